/*
 * Everything one should not do with a handle, done: each call answers with a status, and none of it is undefined
 * behaviour. Run it under a sanitizer or valgrind to see that nothing happens.
 *
 *     misuse HOME [BOX_IMAGE]
 *
 * Without an image it needs no network and no machine.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boxlite.h>

static int wrong = 0;

/* Prints what a call answered, and counts it if that is not what it should be. */
static void expect(const char *what, boxlite_status answer, boxlite_status expected)
{
    printf("%-46s %s\n", what, boxlite_status_name(answer));
    if (answer != expected) {
        printf("%-46s %s was expected\n", "", boxlite_status_name(expected));
        wrong += 1;
    }
}

/* Lists the images, and returns how that ended. */
static boxlite_status list(boxlite_images *images)
{
    boxlite_result *result = NULL;
    boxlite_status status = boxlite_images_list_sync(images, &result, NULL);
    boxlite_result_free(result);
    return status;
}

static boxlite_runtime *open_home(const char *home)
{
    boxlite_runtime_options *options = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_error *error = NULL;
    boxlite_runtime_options_new(&options, NULL);
    boxlite_runtime_options_set_home(options, home, NULL);
    expect("open a home", boxlite_runtime_open_sync(options, &runtime, &error), BOXLITE_OK);
    if (error != NULL) {
        printf("    it says: %s\n", boxlite_error_message(error));
        boxlite_error_free(error);
    }
    expect("free the options", boxlite_runtime_options_free(options), BOXLITE_OK);
    expect("set an option after that", boxlite_runtime_options_set_home(options, home, NULL), BOXLITE_INVALID_HANDLE);
    return runtime;
}

/* Handles of the wrong kind, garbage, NULL, and text that is none. */
static void garbage(boxlite_runtime *runtime, boxlite_images *images)
{
    boxlite_error *error = NULL;
    boxlite_operation *operation = NULL;
    int place = 0;

    expect("a runtime as images", list((boxlite_images *)runtime), BOXLITE_INVALID_HANDLE);
    expect("images as a runtime", boxlite_runtime_free((boxlite_runtime *)images), BOXLITE_INVALID_HANDLE);
    expect("an address as images", list((boxlite_images *)&place), BOXLITE_INVALID_HANDLE);
    expect("NULL as images", list(NULL), BOXLITE_INVALID_ARGUMENT);
    expect("free NULL", boxlite_runtime_free(NULL), BOXLITE_OK);
    expect("no place for the operation", boxlite_images_list(images, NULL, NULL), BOXLITE_INVALID_ARGUMENT);
    expect("text that is no UTF-8", boxlite_images_pull(images, "caf\xe9", NULL, &operation, &error),
           BOXLITE_INVALID_ARGUMENT);
    printf("    it says: %s\n", boxlite_error_message(error));
    expect("free the error", boxlite_error_free(error), BOXLITE_OK);
    printf("    and then: %s\n", boxlite_error_message(error));
    expect("free the error again", boxlite_error_free(error), BOXLITE_INVALID_HANDLE);
}

/* Structs that do not say how large they are. */
static void sizes(void)
{
    boxlite_queue *queue = NULL;
    boxlite_completion completion;
    boxlite_queue_new(&queue, NULL);
    memset(&completion, 0, sizeof completion);
    expect("a struct without a size", boxlite_queue_next(queue, 0, &completion, NULL), BOXLITE_INVALID_ARGUMENT);
    completion.size = 4;
    expect("a struct that is too small", boxlite_queue_next(queue, 0, &completion, NULL), BOXLITE_INVALID_ARGUMENT);
    completion.size = sizeof completion;
    expect("an empty queue", boxlite_queue_next(queue, 0, &completion, NULL), BOXLITE_TIMEOUT);
    expect("free the queue", boxlite_queue_free(queue), BOXLITE_OK);
    expect("free the queue again", boxlite_queue_free(queue), BOXLITE_INVALID_HANDLE);
}

/* Operations that are used after they were freed, and results that are taken as what they are not. */
static void operations(boxlite_images *images)
{
    boxlite_operation *operation = NULL;
    boxlite_result *result = NULL;
    boxlite_box *box = NULL;
    boxlite_image_info info;

    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    expect("begin a list", boxlite_images_list(images, &operation, NULL), BOXLITE_OK);
    expect("wait for it", boxlite_operation_wait(operation, -1, NULL), BOXLITE_OK);
    expect("take a box out of it", boxlite_operation_take_box(operation, &box, NULL), BOXLITE_INVALID_ARGUMENT);
    expect("take the result", boxlite_operation_take_result(operation, &result, NULL), BOXLITE_OK);
    expect("look behind its end", boxlite_result_image(result, 1000, &info, NULL), BOXLITE_INVALID_ARGUMENT);
    expect("free the operation", boxlite_operation_free(operation), BOXLITE_OK);
    expect("wait for it after that", boxlite_operation_wait(operation, -1, NULL), BOXLITE_INVALID_HANDLE);
    expect("cancel it after that", boxlite_operation_cancel(operation, NULL), BOXLITE_INVALID_HANDLE);
    expect("free it again", boxlite_operation_free(operation), BOXLITE_INVALID_HANDLE);
    expect("the result is still good", boxlite_result_free(result), BOXLITE_OK);
    expect("and then it is not", boxlite_result_free(result), BOXLITE_INVALID_HANDLE);
}

/* A child of this process cannot use what its parent opened, and is told so at once. */
static void child(boxlite_runtime *runtime, boxlite_images *images)
{
    int ended = 0;
    pid_t forked, waited;
    fflush(stdout);
    forked = fork();
    if (forked == 0) {
        int good;
        /* A call that waits for a thread that only the parent has would wait for ever. */
        alarm(60);
        good = list(images) == BOXLITE_FORKED_PROCESS &&
               boxlite_runtime_free(runtime) == BOXLITE_FORKED_PROCESS;
        /* Not `_exit`: to a leak checker the copy of the parent's memory would look lost. */
        execl(good ? "/bin/true" : "/bin/false", "child", (char *)NULL);
        _exit(1);
    }
    do {
        waited = waitpid(forked, &ended, 0);
    } while (waited < 0 && errno == EINTR);
    expect("use the handles in a forked child",
           waited == forked && WIFEXITED(ended) && WEXITSTATUS(ended) == 0 ? BOXLITE_FORKED_PROCESS : BOXLITE_INTERNAL,
           BOXLITE_FORKED_PROCESS);
}

/* Boxes, executions and streams after their end. */
static void boxes(boxlite_runtime *runtime, const char *image)
{
    const char *const command[] = {"cat"};
    boxlite_box_options *small = NULL;
    boxlite_exec_options *connected = NULL;
    boxlite_box *box = NULL;
    boxlite_execution *cat = NULL;
    boxlite_reader *reader = NULL;
    boxlite_writer *writer = NULL;
    const char *id = NULL;
    char name[64] = "";
    unsigned char byte = 0;
    size_t count = 0;

    boxlite_box_options_new(&small, NULL);
    boxlite_box_options_set_resources(small, 1, 256, 1024, NULL);
    boxlite_exec_options_new(&connected, NULL);
    boxlite_exec_options_set_stdin(connected, true, NULL);
    expect("create a box", boxlite_runtime_create_sync(runtime, image, small, &box, NULL), BOXLITE_OK);
    /* The text belongs to the handle, and the box is to be removed after that was freed. */
    if (boxlite_box_id(box, &id, NULL) == BOXLITE_OK) {
        snprintf(name, sizeof name, "%s", id);
    }
    expect("exec in a box that does not run", boxlite_box_exec_sync(box, command, 1, connected, &cat, NULL),
           BOXLITE_INVALID_STATE);
    expect("start it", boxlite_box_start_sync(box, NULL), BOXLITE_OK);
    expect("start it again", boxlite_box_start_sync(box, NULL), BOXLITE_INVALID_STATE);
    expect("exec", boxlite_box_exec_sync(box, command, 1, connected, &cat, NULL), BOXLITE_OK);
    expect("take stdin", boxlite_execution_take_stdin(cat, &writer, NULL), BOXLITE_OK);
    expect("take stdout", boxlite_execution_take_stdout(cat, &reader, NULL), BOXLITE_OK);
    expect("take stdout again", boxlite_execution_take_stdout(cat, &reader, NULL), BOXLITE_INVALID_STATE);
    expect("read when there is nothing", boxlite_reader_read(reader, 0, &byte, 1, &count, NULL), BOXLITE_TIMEOUT);
    expect("write", boxlite_writer_write_sync(writer, &byte, 1, NULL), BOXLITE_OK);
    expect("read", boxlite_reader_read(reader, -1, &byte, 1, &count, NULL), BOXLITE_OK);
    expect("free the reader", boxlite_reader_free(reader), BOXLITE_OK);
    expect("read after that", boxlite_reader_read(reader, -1, &byte, 1, &count, NULL), BOXLITE_INVALID_HANDLE);
    expect("free the box while its command runs", boxlite_box_free(box), BOXLITE_OK);
    expect("the command is still good", boxlite_writer_close_sync(writer, NULL), BOXLITE_OK);
    expect("write after the end", boxlite_writer_write_sync(writer, &byte, 1, NULL), BOXLITE_INVALID_STATE);
    expect("free the writer", boxlite_writer_free(writer), BOXLITE_OK);
    expect("free the execution", boxlite_execution_free(cat), BOXLITE_OK);
    expect("kill it after that", boxlite_execution_kill_sync(cat, NULL), BOXLITE_INVALID_HANDLE);
    expect("use the box after it was freed", boxlite_box_start_sync(box, NULL), BOXLITE_INVALID_HANDLE);
    expect("remove it all the same", boxlite_runtime_remove_sync(runtime, name, true, NULL), BOXLITE_OK);
    boxlite_box_options_free(small);
    boxlite_exec_options_free(connected);
}

int main(int count, char **arguments)
{
    boxlite_runtime *runtime;
    boxlite_images *images = NULL;
    boxlite_images *same = NULL;

    if (count < 2) {
        fprintf(stderr, "usage: misuse HOME [BOX_IMAGE]\n");
        return 2;
    }
    runtime = open_home(arguments[1]);
    expect("ask for the images", boxlite_runtime_images(runtime, &images, NULL), BOXLITE_OK);
    expect("ask again", boxlite_runtime_images(runtime, &same, NULL), BOXLITE_OK);
    expect("it is the same handle", same == images ? BOXLITE_OK : BOXLITE_INTERNAL, BOXLITE_OK);
    garbage(runtime, images);
    sizes();
    operations(images);
    child(runtime, images);
    if (count > 2) {
        boxes(runtime, arguments[2]);
    }
    expect("free the image handle", boxlite_images_free(images), BOXLITE_OK);
    expect("use it after that", list(images), BOXLITE_INVALID_HANDLE);
    expect("free it again", boxlite_images_free(images), BOXLITE_INVALID_HANDLE);
    expect("ask for the images once more", boxlite_runtime_images(runtime, &images, NULL), BOXLITE_OK);
    expect("they are there", list(images), BOXLITE_OK);
    expect("shut the runtime down", boxlite_runtime_shutdown_sync(runtime, 20000, NULL), BOXLITE_OK);
    expect("use the images after that", list(images), BOXLITE_STOPPED);
    expect("free the runtime", boxlite_runtime_free(runtime), BOXLITE_OK);
    expect("free it again", boxlite_runtime_free(runtime), BOXLITE_INVALID_HANDLE);
    expect("use the images after that", list(images), BOXLITE_STOPPED);
    expect("free them", boxlite_images_free(images), BOXLITE_OK);
    expect("use them after that", list(images), BOXLITE_INVALID_HANDLE);
    printf("%d surprises\n", wrong);
    return wrong == 0 ? 0 : 1;
}
