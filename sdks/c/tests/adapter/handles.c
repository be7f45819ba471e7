/* Names given by the driver, and the handles behind them. A name given again replaces the old handle. */
#define _POSIX_C_SOURCE 200809L

#include <stdlib.h>
#include <string.h>

#include "adapter.h"

static struct handle *handles = NULL;

struct handle *find_handle(const char *name)
{
    struct handle *handle = handles;
    while (handle != NULL && strcmp(handle->name, name) != 0) {
        handle = handle->next;
    }
    return handle;
}

void name_handle(const char *name, void *value)
{
    struct handle *handle = find_handle(name);
    if (handle == NULL) {
        handle = calloc(1, sizeof *handle);
        handle->name = strdup(name);
        handle->next = handles;
        handles = handle;
    }
    handle->value = value;
    handle->streams[0] = handle->streams[1] = NULL;
    handle->input = NULL;
}
