/*
 * What the C interface costs: bench HOME IMAGE
 *
 * Prints one line for each measurement: name, number, unit. The best of several rounds counts, since everything else is the
 * host's noise. The last two need a machine.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <boxlite.h>

enum { ROUNDS = 3, CALLS = 200000, OPERATIONS = 200, BUFFER = 256 * 1024, STREAM = 1600 * 65536 };

static boxlite_runtime *runtime = NULL;
static boxlite_images *images = NULL;
static boxlite_box *box = NULL;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void must(boxlite_status status, const char *what, boxlite_error *error)
{
    if (status != BOXLITE_OK) {
        fprintf(stderr, "%s: %s\n", what, boxlite_error_message(error));
        exit(1);
    }
}

/* Runs `act` several times, and returns the shortest time in seconds. */
static double best(void (*act)(void))
{
    double shortest = 1e9;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        double begun = now();
        act();
        if (now() - begun < shortest) {
            shortest = now() - begun;
        }
    }
    return shortest;
}

static void call_nothing(void)
{
    int call;
    for (call = 0; call < CALLS; call++) {
        boxlite_abi_version();
    }
}

static void access_images(void)
{
    boxlite_images *same = NULL;
    int call;
    for (call = 0; call < CALLS; call++) {
        boxlite_runtime_images(runtime, &same, NULL);
    }
}

static void look_up(void)
{
    int call;
    for (call = 0; call < CALLS; call++) {
        /* The cheapest call that looks a handle up. */
        boxlite_operation_is_done((boxlite_operation *)images);
    }
}

static void wait_for_lists(void)
{
    int call;
    for (call = 0; call < OPERATIONS; call++) {
        boxlite_operation *operation = NULL;
        boxlite_images_list(images, &operation, NULL);
        boxlite_operation_wait(operation, -1, NULL);
        boxlite_operation_free(operation);
    }
}

static void queue_lists(void)
{
    boxlite_queue *queue = NULL;
    boxlite_completion completion;
    int call;
    memset(&completion, 0, sizeof completion);
    completion.size = sizeof completion;
    boxlite_queue_new(&queue, NULL);
    for (call = 0; call < OPERATIONS; call++) {
        boxlite_operation *operation = NULL;
        boxlite_images_list(images, &operation, NULL);
        boxlite_operation_bind(operation, queue, 0, NULL);
    }
    for (call = 0; call < OPERATIONS; call++) {
        boxlite_queue_next(queue, -1, &completion, NULL);
        boxlite_operation_free(completion.operation);
    }
    boxlite_queue_free(queue);
}

/* Reads all that a command prints: waiting in the read itself, or for an operation first. */
static void stream(bool by_operations)
{
    const char *const command[] = {"dd", "if=/dev/zero", "bs=65536", "count=1600"};
    unsigned char *buffer = (unsigned char *)malloc(BUFFER);
    boxlite_error *error = NULL;
    boxlite_execution *execution = NULL;
    boxlite_reader *reader = NULL;
    size_t count = 1, total = 0;

    must(boxlite_box_exec_sync(box, command, 4, NULL, &execution, &error), "exec", error);
    must(boxlite_execution_take_stdout(execution, &reader, &error), "stdout", error);
    while (count > 0) {
        boxlite_status status = BOXLITE_OK;
        if (by_operations) {
            status = boxlite_reader_read(reader, 0, buffer, BUFFER, &count, NULL);
            if (status == BOXLITE_TIMEOUT) {
                must(boxlite_reader_ready_sync(reader, &error), "ready", error);
                continue;
            }
        } else {
            status = boxlite_reader_read(reader, -1, buffer, BUFFER, &count, &error);
        }
        must(status, "read", error);
        total += count;
    }
    if (total != STREAM) {
        fprintf(stderr, "%lu bytes came\n", (unsigned long)total);
        exit(1);
    }
    boxlite_reader_free(reader);
    boxlite_execution_free(execution);
    free(buffer);
}

static void stream_by_reads(void)
{
    stream(false);
}

static void stream_by_operations(void)
{
    stream(true);
}

static void begin_and_end_a_command(void)
{
    const char *const command[] = {"true"};
    boxlite_error *error = NULL;
    boxlite_execution *execution = NULL;
    boxlite_result *result = NULL;
    must(boxlite_box_exec_sync(box, command, 1, NULL, &execution, &error), "exec", error);
    must(boxlite_execution_wait_sync(execution, &result, &error), "wait", error);
    boxlite_result_free(result);
    boxlite_execution_free(execution);
}

int main(int count, char **arguments)
{
    boxlite_error *error = NULL;
    boxlite_runtime_options *options = NULL;
    boxlite_box_options *small = NULL;
    boxlite_pull_options *missing = NULL;
    boxlite_result *pulled = NULL;

    if (count != 3) {
        fprintf(stderr, "usage: bench HOME IMAGE\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    must(boxlite_runtime_options_new(&options, &error), "options", error);
    must(boxlite_runtime_options_set_home(options, arguments[1], &error), "home", error);
    must(boxlite_runtime_open_sync(options, &runtime, &error), "open", error);
    must(boxlite_runtime_images(runtime, &images, &error), "images", error);
    must(boxlite_pull_options_new(&missing, &error), "options", error);
    must(boxlite_pull_options_set_policy(missing, BOXLITE_PULL_MISSING, &error), "policy", error);
    must(boxlite_images_pull_sync(images, arguments[2], missing, &pulled, &error), "pull", error);

    printf("c/call                %8.1f ns\n", best(call_nothing) * 1e9 / CALLS);
    printf("c/refused-handle      %8.1f ns\n", best(look_up) * 1e9 / CALLS);
    printf("c/images-handle       %8.1f ns\n", best(access_images) * 1e9 / CALLS);
    printf("c/list-waited-for     %8.1f us\n", best(wait_for_lists) * 1e6 / OPERATIONS);
    printf("c/list-by-queue       %8.1f us\n", best(queue_lists) * 1e6 / OPERATIONS);

    must(boxlite_box_options_new(&small, &error), "options", error);
    must(boxlite_box_options_set_resources(small, 1, 256, 1024, &error), "resources", error);
    must(boxlite_runtime_create_sync(runtime, arguments[2], small, &box, &error), "create", error);
    must(boxlite_box_start_sync(box, &error), "start", error);
    printf("c/exec                %8.1f ms\n", best(begin_and_end_a_command) * 1e3);
    printf("c/stdout-reads        %8.1f MB/s\n", STREAM / 1e6 / best(stream_by_reads));
    printf("c/stdout-operations   %8.1f MB/s\n", STREAM / 1e6 / best(stream_by_operations));
    must(boxlite_box_remove_sync(box, true, &error), "remove", error);
    boxlite_box_free(box);
    boxlite_result_free(pulled);
    must(boxlite_images_remove_sync(images, arguments[2], true, &pulled, &error), "forget", error);
    boxlite_result_free(pulled);
    boxlite_pull_options_free(missing);
    boxlite_box_options_free(small);
    boxlite_runtime_options_free(options);
    boxlite_images_free(images);
    return boxlite_runtime_free(runtime) == BOXLITE_OK ? 0 : 1;
}
