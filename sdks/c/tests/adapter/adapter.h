/*
 * The conformance adapter for C (conformance/PROTOCOL.md): carries out the operations of BoxLite as a C program would, and
 * reports what came back. It compares nothing and waits for nothing but its stdin and one completion queue.
 *
 *   main.c        the loop: requests in, completions in, replies out
 *   handles.c     names given by the driver, and the handles behind them
 *   values.c      JSON to C and back
 *   operations.c  what each operation of the protocol calls
 *   streams.c     those that take more than one call
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <boxlite.h>

/* A handle under the name the driver gave it. It stays when the handle was freed: using it then is what is tested. */
struct handle {
    struct handle *next;
    char *name;
    void *value;
    /* Streams of an execution, taken when they are first used. */
    boxlite_reader *streams[2];
    boxlite_writer *input;
};

struct request;

/* Begins the next operation of a request: sets `operation`, or answers with another status than BOXLITE_OK. */
typedef boxlite_status (*begin_function)(struct request *request, boxlite_error **error);

/* Looks at an operation that succeeded: sets `answer`, or begins the next one. */
typedef boxlite_status (*complete_function)(struct request *request, boxlite_error **error);

struct request {
    struct request *next;
    json_int_t id;
    json_t *message;
    const json_t *arguments;
    struct handle *on;
    const char *as;
    complete_function complete;
    /* What is waited for at this moment. */
    boxlite_operation *operation;
    /* What ends by itself with it, as the writes of an archive. */
    boxlite_operation *others[2];
    boxlite_writer *writer;
    boxlite_reader *reader;
    /* The reader, if it is the request's own. */
    boxlite_reader *archive;
    unsigned char *bytes;
    size_t length;
    /* Events of a pull: this request watches another one, and is watched by it. */
    struct request *watched;
    struct request *watcher;
    bool ended;
    json_t *answer;
    json_t *failure;
};

extern boxlite_queue *queue;

/* main.c */
void reply(json_t *line);
boxlite_status watch_events(struct request *request, boxlite_error **error);

/* handles.c */
struct handle *find_handle(const char *name);
void name_handle(const char *name, void *value);

/* values.c */
const char *text_of(const struct request *request, const char *name);
bool flag_of(const struct request *request, const char *name, bool otherwise);
json_int_t number_of(const struct request *request, const char *name, json_int_t otherwise);
char *platform_of(const struct request *request);
char *json_of(const struct request *request, const char *name);
unsigned char *decode(const char *text, size_t *length);
json_t *encode(const unsigned char *bytes, size_t length);
json_t *error_object(boxlite_error *error);

/* operations.c */
begin_function find_operation(const char *name);
boxlite_status complete_nothing(struct request *request, boxlite_error **error);
boxlite_status complete_json(struct request *request, boxlite_error **error);

/* streams.c */
boxlite_status begin_read(struct request *request, boxlite_error **error);
boxlite_status begin_write(struct request *request, boxlite_error **error);
boxlite_status begin_close_stdin(struct request *request, boxlite_error **error);
boxlite_status begin_put_archive(struct request *request, boxlite_error **error);
boxlite_status begin_get_archive(struct request *request, boxlite_error **error);
boxlite_status begin_close_execution(struct request *request, boxlite_error **error);

#endif
