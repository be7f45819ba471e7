/*
 * Two hundred commands at once, and one thread: every operation is bound to one queue, whose descriptor sits in an epoll
 * next to whatever else a program waits for.
 *
 *     many IMAGE [HOME] [COUNT]
 *
 * Each command is a small machine of its own here, moved on by what completes: begun, then collected, then done. The
 * number that goes along with each operation says which command it is about.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <boxlite.h>

enum step { BEGINNING, COLLECTING, DONE };

struct command {
    enum step step;
    boxlite_operation *operation;
    boxlite_execution *execution;
};

/* Commands that printed something else than their number. */
static size_t mismatches = 0;

static int failed(const char *what, boxlite_error *error)
{
    fprintf(stderr, "%s: %s\n", what, boxlite_error_message(error));
    boxlite_error_free(error);
    return 1;
}

/* Begins one command, which prints its own number. */
static boxlite_status begin(boxlite_box *box, boxlite_queue *queue, struct command *command, size_t number,
                            boxlite_error **error)
{
    char text[24];
    const char *arguments[2];
    boxlite_status status;

    snprintf(text, sizeof text, "%zu", number);
    arguments[0] = "echo";
    arguments[1] = text;
    command->step = BEGINNING;
    status = boxlite_box_exec(box, arguments, 2, NULL, &command->operation, error);
    if (status == BOXLITE_OK) {
        status = boxlite_operation_bind(command->operation, queue, number, error);
    }
    return status;
}

/* Whether these bytes, which end with no NUL, are a number and the end of a line. */
static bool is_line(const uint8_t *bytes, size_t length, size_t number)
{
    char text[24];
    int expected = snprintf(text, sizeof text, "%zu\n", number);
    return length == (size_t)expected && memcmp(bytes, text, length) == 0;
}

/* Moves a command on after its operation has completed. */
static boxlite_status move_on(boxlite_queue *queue, struct command *command, size_t number, boxlite_error **error)
{
    boxlite_operation *completed = command->operation;
    boxlite_status status = boxlite_operation_wait(completed, 0, error);

    command->operation = NULL;
    if (status == BOXLITE_OK && command->step == BEGINNING) {
        status = boxlite_operation_take_execution(completed, &command->execution, error);
        if (status == BOXLITE_OK) {
            status = boxlite_execution_output(command->execution, &command->operation, error);
        }
        if (status == BOXLITE_OK) {
            status = boxlite_operation_bind(command->operation, queue, number, error);
        }
        command->step = COLLECTING;
    } else if (status == BOXLITE_OK) {
        boxlite_result *result = NULL;
        boxlite_output output;
        memset(&output, 0, sizeof output);
        output.size = sizeof output;
        status = boxlite_operation_take_result(completed, &result, error);
        if (status == BOXLITE_OK) {
            status = boxlite_result_output(result, &output, error);
        }
        if (status == BOXLITE_OK && !is_line(output.stdout_bytes, output.stdout_length, number)) {
            fprintf(stderr, "command %zu printed something else\n", number);
            mismatches += 1;
        }
        boxlite_result_free(result);
        boxlite_execution_free(command->execution);
        command->execution = NULL;
        command->step = DONE;
    }
    boxlite_operation_free(completed);
    return status;
}

/* Waits until all commands are done; nothing but `epoll_wait` ever waits here. `left` says how many are not. */
static boxlite_status drain(boxlite_queue *queue, struct command *commands, size_t *left, boxlite_error **error)
{
    struct epoll_event event;
    int descriptor = -1;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    boxlite_status status = boxlite_queue_fd(queue, &descriptor, error);

    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    if (status == BOXLITE_OK && epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        perror("epoll_ctl");
        close(epoll);
        return status;
    }
    while (status == BOXLITE_OK && *left > 0) {
        boxlite_completion completion;
        if (epoll_wait(epoll, &event, 1, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            perror("epoll_wait");
            break;
        }
        memset(&completion, 0, sizeof completion);
        completion.size = sizeof completion;
        while (boxlite_queue_next(queue, 0, &completion, NULL) == BOXLITE_OK) {
            struct command *command = &commands[completion.user_data];
            status = move_on(queue, command, (size_t)completion.user_data, error);
            if (status != BOXLITE_OK) {
                break;
            }
            *left -= command->step == DONE;
        }
    }
    close(epoll);
    return status;
}

int main(int count, char **arguments)
{
    size_t wanted = count > 3 ? strtoul(arguments[3], NULL, 10) : 200;
    struct command *commands = (struct command *)calloc(wanted, sizeof *commands);
    boxlite_error *error = NULL;
    boxlite_runtime_options *options = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_box_options *small = NULL;
    boxlite_box *box = NULL;
    boxlite_queue *queue = NULL;
    boxlite_status status;
    size_t number, left = wanted;
    int code = 0;

    if (count < 2 || commands == NULL) {
        fprintf(stderr, "usage: many IMAGE [HOME] [COUNT]\n");
        free(commands);
        return 2;
    }
    boxlite_runtime_options_new(&options, NULL);
    boxlite_box_options_new(&small, NULL);
    boxlite_queue_new(&queue, NULL);
    if ((count > 2 && boxlite_runtime_options_set_home(options, arguments[2], &error) != BOXLITE_OK) ||
        boxlite_runtime_open_sync(options, &runtime, &error) != BOXLITE_OK ||
        boxlite_box_options_set_resources(small, 1, 256, 1024, &error) != BOXLITE_OK ||
        boxlite_runtime_create_sync(runtime, arguments[1], small, &box, &error) != BOXLITE_OK ||
        boxlite_box_start_sync(box, &error) != BOXLITE_OK) {
        code = failed("start", error);
    } else {
        status = BOXLITE_OK;
        for (number = 0; number < wanted && status == BOXLITE_OK; number++) {
            status = begin(box, queue, &commands[number], number, &error);
        }
        if (status == BOXLITE_OK) {
            status = drain(queue, commands, &left, &error);
        }
        if (status != BOXLITE_OK) {
            code = failed("exec", error);
        } else if (left > 0 || mismatches > 0) {
            fprintf(stderr, "%zu commands did not end, %zu printed something else\n", left, mismatches);
            code = 1;
        } else {
            printf("%zu commands, one thread\n", wanted);
        }
    }
    for (number = 0; number < wanted; number++) {
        boxlite_operation_free(commands[number].operation);
        boxlite_execution_free(commands[number].execution);
    }
    if (box != NULL) {
        boxlite_box_remove_sync(box, true, NULL);
    }
    boxlite_box_free(box);
    boxlite_box_options_free(small);
    boxlite_runtime_options_free(options);
    boxlite_queue_free(queue);
    boxlite_runtime_free(runtime);
    free(commands);
    return code;
}
