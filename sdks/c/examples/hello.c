/*
 * Hello from a box: opens a home, makes sure of an image, starts a machine from it and runs one command.
 *
 *     hello IMAGE [HOME]
 *
 * Everything here waits; `pull.c` and `many.c` show how not to.
 */
#include <stdio.h>
#include <string.h>

#include <boxlite.h>

/* Says what went wrong, and what to do about it. */
static int failed(const char *what, boxlite_error *error)
{
    const char *hint = boxlite_error_hint(error);
    fprintf(stderr, "%s: %s\n", what, boxlite_error_message(error));
    if (hint != NULL) {
        fprintf(stderr, "hint: %s\n", hint);
    }
    boxlite_error_free(error);
    return 1;
}

/* Opens a home that needs little: small boxes, in software emulation where there is nothing faster. */
static boxlite_status open_home(const char *home, boxlite_runtime **runtime, boxlite_error **error)
{
    boxlite_runtime_options *options = NULL;
    boxlite_status status = boxlite_runtime_options_new(&options, error);
    if (status == BOXLITE_OK && home != NULL) {
        status = boxlite_runtime_options_set_home(options, home, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_runtime_open_sync(options, runtime, error);
    }
    boxlite_runtime_options_free(options);
    return status;
}

/* Runs a command to its end and shows what it printed. */
static boxlite_status run(boxlite_box *box, const char *const *arguments, size_t count, boxlite_error **error)
{
    boxlite_execution *execution = NULL;
    boxlite_result *result = NULL;
    boxlite_output output;
    boxlite_exit_status ended;
    boxlite_status status;

    memset(&output, 0, sizeof output);
    memset(&ended, 0, sizeof ended);
    output.size = sizeof output;
    ended.size = sizeof ended;
    status = boxlite_box_exec_sync(box, arguments, count, NULL, &execution, error);
    if (status == BOXLITE_OK) {
        status = boxlite_execution_output_sync(execution, &result, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_result_output(result, &output, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_result_exit_status(result, &ended, error);
    }
    if (status == BOXLITE_OK) {
        fwrite(output.stdout_bytes, 1, output.stdout_length, stdout);
        printf("it ended with %d\n", ended.shell_code);
    }
    boxlite_result_free(result);
    boxlite_execution_free(execution);
    return status;
}

int main(int count, char **arguments)
{
    const char *const command[] = {"echo", "hello from a box"};
    boxlite_error *error = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_images *images = NULL;
    boxlite_pull_options *missing = NULL;
    boxlite_result *pulled = NULL;
    boxlite_box_options *small = NULL;
    boxlite_box *box = NULL;
    int code = 0;

    if (count < 2) {
        fprintf(stderr, "usage: hello IMAGE [HOME]\n");
        return 2;
    }
    if (boxlite_abi_version() != BOXLITE_ABI_VERSION) {
        fprintf(stderr, "the library is not the one of the header\n");
        return 2;
    }
    if (open_home(count > 2 ? arguments[2] : NULL, &runtime, &error) != BOXLITE_OK) {
        return failed("open", error);
    }
    if (boxlite_runtime_images(runtime, &images, &error) != BOXLITE_OK ||
        boxlite_pull_options_new(&missing, &error) != BOXLITE_OK ||
        boxlite_pull_options_set_policy(missing, BOXLITE_PULL_MISSING, &error) != BOXLITE_OK ||
        boxlite_images_pull_sync(images, arguments[1], missing, &pulled, &error) != BOXLITE_OK) {
        code = failed("pull", error);
    } else if (boxlite_box_options_new(&small, &error) != BOXLITE_OK ||
               boxlite_box_options_set_resources(small, 1, 256, 1024, &error) != BOXLITE_OK ||
               boxlite_runtime_create_sync(runtime, arguments[1], small, &box, &error) != BOXLITE_OK) {
        code = failed("create", error);
    } else if (boxlite_box_start_sync(box, &error) != BOXLITE_OK) {
        code = failed("start", error);
    } else if (run(box, command, 2, &error) != BOXLITE_OK) {
        code = failed("exec", error);
    }
    if (box != NULL && boxlite_box_remove_sync(box, true, &error) != BOXLITE_OK) {
        code = failed("remove", error);
    }
    boxlite_box_free(box);
    boxlite_box_options_free(small);
    boxlite_result_free(pulled);
    boxlite_pull_options_free(missing);
    boxlite_images_free(images);
    boxlite_runtime_free(runtime);
    return code;
}
