/* The program around a snippet of docs/c.md: opens a home that has the image, runs the snippet, closes everything. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <boxlite.h>

static int snippet(boxlite_runtime *runtime, boxlite_images *images, const char *image)
{
    boxlite_error *error = NULL;
    (void)runtime;
    (void)images;
    (void)image;
    {
#include SNIPPET
    }
    if (error != NULL) {
        fprintf(stderr, "%s\n", boxlite_error_message(error));
        boxlite_error_free(error);
        return 1;
    }
    return 0;
}

int main(int count, char **arguments)
{
    boxlite_error *error = NULL;
    boxlite_runtime_options *options = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_images *images = NULL;
    boxlite_pull_options *missing = NULL;
    boxlite_result *pulled = NULL;
    int code = 1;

    if (count != 3) {
        return 2;
    }
    if (boxlite_runtime_options_new(&options, &error) == BOXLITE_OK &&
        boxlite_runtime_options_set_home(options, arguments[2], &error) == BOXLITE_OK &&
        boxlite_runtime_open_sync(options, &runtime, &error) == BOXLITE_OK &&
        boxlite_runtime_images(runtime, &images, &error) == BOXLITE_OK &&
        boxlite_pull_options_new(&missing, &error) == BOXLITE_OK &&
        boxlite_pull_options_set_policy(missing, BOXLITE_PULL_MISSING, &error) == BOXLITE_OK &&
        boxlite_images_pull_sync(images, arguments[1], missing, &pulled, &error) == BOXLITE_OK) {
        code = snippet(runtime, images, arguments[1]);
    } else {
        fprintf(stderr, "%s\n", boxlite_error_message(error));
        boxlite_error_free(error);
    }
    boxlite_result_free(pulled);
    boxlite_pull_options_free(missing);
    boxlite_runtime_options_free(options);
    boxlite_images_free(images);
    boxlite_runtime_free(runtime);
    return code;
}
