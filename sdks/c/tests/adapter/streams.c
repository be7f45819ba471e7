/* Operations of the protocol that take more than one call: streams of a command, and archives. */
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

enum { CHUNK = 64 * 1024 };

/* Waits until the reader of a request has something. */
static boxlite_status wait_for_bytes(struct request *request, complete_function complete, boxlite_error **error)
{
    boxlite_operation_free(request->operation);
    request->operation = NULL;
    request->complete = complete;
    return boxlite_reader_ready(request->reader, &request->operation, error);
}

static boxlite_status complete_read(struct request *request, boxlite_error **error)
{
    unsigned char *buffer = malloc(CHUNK);
    size_t count = 0;
    boxlite_status status = boxlite_reader_read(request->reader, 0, buffer, CHUNK, &count, error);
    if (status == BOXLITE_OK) {
        request->answer = encode(buffer, count);
    }
    free(buffer);
    return status;
}

boxlite_status begin_read(struct request *request, boxlite_error **error)
{
    const char *name = text_of(request, "stream");
    bool is_stderr = name != NULL && strcmp(name, "stderr") == 0;
    boxlite_reader **stream = &request->on->streams[is_stderr];
    boxlite_status status = BOXLITE_OK;

    if (*stream == NULL) {
        boxlite_execution *execution = request->on->value;
        status = is_stderr ? boxlite_execution_take_stderr(execution, stream, error)
                           : boxlite_execution_take_stdout(execution, stream, error);
    }
    request->reader = *stream;
    return status == BOXLITE_OK ? wait_for_bytes(request, complete_read, error) : status;
}

static boxlite_status take_input(struct request *request, boxlite_error **error)
{
    if (request->on->input != NULL) {
        return BOXLITE_OK;
    }
    return boxlite_execution_take_stdin(request->on->value, &request->on->input, error);
}

boxlite_status begin_write(struct request *request, boxlite_error **error)
{
    size_t length = 0;
    unsigned char *bytes = decode(text_of(request, "bytes"), &length);
    boxlite_status status = take_input(request, error);
    if (status == BOXLITE_OK) {
        status = boxlite_writer_write(request->on->input, bytes, length, &request->operation, error);
    }
    free(bytes);
    return status;
}

boxlite_status begin_close_stdin(struct request *request, boxlite_error **error)
{
    boxlite_status status = take_input(request, error);
    return status == BOXLITE_OK ? boxlite_writer_close(request->on->input, &request->operation, error) : status;
}

boxlite_status begin_put_archive(struct request *request, boxlite_error **error)
{
    size_t length = 0;
    unsigned char *bytes = decode(text_of(request, "bytes"), &length);
    boxlite_status status = boxlite_box_put_archive(request->on->value, text_of(request, "directory"), NULL,
                                                    &request->operation, &request->writer, error);
    if (status == BOXLITE_OK) {
        /* How these end shows in how the unpacking ends. */
        boxlite_writer_write(request->writer, bytes, length, &request->others[0], NULL);
        boxlite_writer_close(request->writer, &request->others[1], NULL);
    }
    free(bytes);
    return status;
}

static boxlite_status complete_archive(struct request *request, boxlite_error **error)
{
    size_t count = 0;
    boxlite_status status;

    request->bytes = realloc(request->bytes, request->length + CHUNK);
    status = boxlite_reader_read(request->reader, 0, request->bytes + request->length, CHUNK, &count, error);
    if (status != BOXLITE_OK) {
        return status;
    }
    request->length += count;
    if (count > 0) {
        return wait_for_bytes(request, complete_archive, error);
    }
    request->answer = encode(request->bytes, request->length);
    return BOXLITE_OK;
}

static boxlite_status complete_get_archive(struct request *request, boxlite_error **error)
{
    boxlite_status status = boxlite_operation_take_reader(request->operation, &request->archive, error);
    request->reader = request->archive;
    return status == BOXLITE_OK ? wait_for_bytes(request, complete_archive, error) : status;
}

boxlite_status begin_get_archive(struct request *request, boxlite_error **error)
{
    request->complete = complete_get_archive;
    return boxlite_box_get_archive(request->on->value, text_of(request, "path"), NULL, &request->operation, error);
}

boxlite_status begin_close_execution(struct request *request, boxlite_error **error)
{
    (void)error;
    boxlite_reader_free(request->on->streams[0]);
    boxlite_reader_free(request->on->streams[1]);
    boxlite_writer_free(request->on->input);
    request->answer = json_null();
    return boxlite_execution_free(request->on->value);
}
