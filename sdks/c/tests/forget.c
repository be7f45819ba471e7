/*
 * Takes an image out of a home that tests share: forget HOME REFERENCE.
 */
#include <stdio.h>

#include <boxlite.h>

int main(int count, char **arguments)
{
    boxlite_error *error = NULL;
    boxlite_runtime_options *options = NULL;
    boxlite_runtime *runtime = NULL;
    boxlite_images *images = NULL;
    boxlite_result *removed = NULL;
    int code = 0;

    if (count != 3) {
        return 2;
    }
    if (boxlite_runtime_options_new(&options, &error) != BOXLITE_OK ||
        boxlite_runtime_options_set_home(options, arguments[1], &error) != BOXLITE_OK ||
        boxlite_runtime_open_sync(options, &runtime, &error) != BOXLITE_OK ||
        boxlite_runtime_images(runtime, &images, &error) != BOXLITE_OK ||
        boxlite_images_remove_sync(images, arguments[2], true, &removed, &error) != BOXLITE_OK) {
        fprintf(stderr, "%s\n", boxlite_error_message(error));
        code = 1;
    }
    boxlite_error_free(error);
    boxlite_result_free(removed);
    boxlite_runtime_options_free(options);
    boxlite_images_free(images);
    boxlite_runtime_free(runtime);
    return code;
}
