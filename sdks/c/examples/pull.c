/*
 * A pull that can be watched and given up: shows how far it is, and cancels when the user presses Ctrl-C.
 *
 *     pull REFERENCE [HOME [cancel]]
 *
 * The library installs no signal handler and calls nothing back: this program waits in `poll` for the descriptor of the
 * operation, looks at the progress whenever it likes, and asks for an end when it wants one. The last argument makes it
 * want one by itself, as soon as layers are being fetched.
 */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <boxlite.h>

static volatile sig_atomic_t interrupted = 0;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static int failed(const char *what, boxlite_error *error)
{
    fprintf(stderr, "%s: %s\n", what, boxlite_error_message(error));
    boxlite_error_free(error);
    return 1;
}

/* Waits for the end of a pull, and shows how far it is ten times a second. */
static boxlite_status watch(boxlite_operation *pull, bool cancel, boxlite_error **error)
{
    boxlite_progress progress;
    struct pollfd ended;
    int descriptor = -1;

    memset(&progress, 0, sizeof progress);
    progress.size = sizeof progress;
    if (boxlite_operation_fd(pull, &descriptor, error) != BOXLITE_OK) {
        return boxlite_error_status(*error);
    }
    ended.fd = descriptor;
    ended.events = POLLIN;
    while (poll(&ended, 1, 100) != 1) {
        boxlite_status status = boxlite_operation_progress(pull, &progress, error);
        if (status != BOXLITE_OK) {
            return status;
        }
        fprintf(stderr, "\r%u of %u layers, %llu of %llu bytes", (unsigned)progress.layers_done,
                (unsigned)progress.layer_count, (unsigned long long)progress.received_bytes,
                (unsigned long long)progress.total_bytes);
        if (interrupted || (cancel && progress.stage == BOXLITE_STAGE_LAYERS)) {
            /* A request: the pull takes back what it has begun, and the loop goes on until it has. */
            boxlite_operation_cancel(pull, NULL);
        }
    }
    fprintf(stderr, "\n");
    return boxlite_operation_wait(pull, 0, error);
}

int main(int count, char **arguments)
{
    boxlite_error *error = NULL;
    boxlite_runtime_options *options = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_images *images = NULL;
    boxlite_operation *pull = NULL;
    boxlite_result *result = NULL;
    boxlite_pulled_image pulled;
    struct sigaction action;
    boxlite_status status;
    int code = 0;

    if (count < 2) {
        fprintf(stderr, "usage: pull REFERENCE [HOME [cancel]]\n");
        return 2;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    sigaction(SIGINT, &action, NULL);

    boxlite_runtime_options_new(&options, NULL);
    if (count > 2 && boxlite_runtime_options_set_home(options, arguments[2], &error) != BOXLITE_OK) {
        return failed("home", error);
    }
    status = boxlite_runtime_open_sync(options, &runtime, &error);
    boxlite_runtime_options_free(options);
    if (status != BOXLITE_OK) {
        return failed("open", error);
    }
    if (boxlite_runtime_images(runtime, &images, &error) != BOXLITE_OK ||
        boxlite_images_pull(images, arguments[1], NULL, &pull, &error) != BOXLITE_OK) {
        code = failed("pull", error);
    } else {
        status = watch(pull, count > 3, &error);
        if (status == BOXLITE_CANCELLED) {
            printf("given up; the next pull goes on from here\n");
            boxlite_error_free(error);
            code = 130;
        } else if (status != BOXLITE_OK) {
            code = failed("pull", error);
        } else {
            memset(&pulled, 0, sizeof pulled);
            pulled.size = sizeof pulled;
            if (boxlite_operation_take_result(pull, &result, &error) != BOXLITE_OK ||
                boxlite_result_pulled_image(result, &pulled, &error) != BOXLITE_OK) {
                code = failed("result", error);
            } else {
                printf("%s is %s, %llu bytes fetched\n", pulled.reference, pulled.id,
                       (unsigned long long)pulled.bytes_fetched);
            }
        }
    }
    boxlite_result_free(result);
    boxlite_operation_free(pull);
    boxlite_images_free(images);
    boxlite_runtime_free(runtime);
    return code;
}
