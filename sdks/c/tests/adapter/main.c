/*
 * The loop of the adapter: requests come over stdin, completions through one queue, and replies go out in whatever order
 * things end. One thread, which waits in `poll` and nowhere else.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter.h"

boxlite_queue *queue = NULL;

static struct request *requests = NULL;

void reply(json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_ENCODE_ANY);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

static void complain(json_int_t id, const char *text, const char *what)
{
    char message[512];
    snprintf(message, sizeof message, "%s `%s`", text, what != NULL ? what : "");
    reply(json_pack("{s:I, s:s}", "id", id, "adapter_error", message));
}

static void forget(struct request *request)
{
    struct request **at = &requests;
    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
    boxlite_operation_free(request->operation);
    boxlite_operation_free(request->others[0]);
    boxlite_operation_free(request->others[1]);
    boxlite_writer_free(request->writer);
    boxlite_reader_free(request->archive);
    json_decref(request->message);
    free(request->bytes);
    free(request);
}

/* Replies to a request that has its answer, once its events have been told. */
static void end(struct request *request)
{
    request->ended = true;
    if (request->watcher != NULL) {
        return;
    }
    if (request->failure != NULL) {
        reply(json_pack("{s:I, s:o}", "id", request->id, "error", request->failure));
    } else {
        reply(json_pack("{s:I, s:o}", "id", request->id, "ok", request->answer));
    }
    forget(request);
}

/* Goes on after a step: waits for the operation it began, or ends the request. */
static void after(struct request *request, boxlite_status status, boxlite_error *error)
{
    if (status == BOXLITE_OK && request->answer == NULL && request->operation != NULL) {
        status = boxlite_operation_bind(request->operation, queue, (uint64_t)(uintptr_t)request, &error);
        if (status == BOXLITE_OK) {
            return;
        }
    }
    if (status != BOXLITE_OK) {
        /* Functions that free give no error object. */
        request->failure = error != NULL ? error_object(error)
                                         : json_pack("{s:s, s:s}", "code", boxlite_status_name(status), "message",
                                                     "the handle cannot be freed");
    }
    end(request);
}

/* Tells the events of a pull until there are no more. */
static boxlite_status complete_events(struct request *watcher, boxlite_error **error)
{
    struct request *pull = watcher->watched;
    const char *text = NULL;
    boxlite_status status = boxlite_operation_json(watcher->operation, &text, error);
    json_t *events = status == BOXLITE_OK ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(events);
    size_t at;

    for (at = 0; at < count; at++) {
        reply(json_pack("{s:I, s:O}", "progress", pull->id, "event", json_array_get(events, at)));
    }
    json_decref(events);
    boxlite_operation_free(watcher->operation);
    watcher->operation = NULL;
    if (count > 0) {
        status = boxlite_operation_next_events(pull->operation, &watcher->operation, error);
    }
    return status;
}

static void end_events(struct request *watcher)
{
    struct request *pull = watcher->watched;
    forget(watcher);
    pull->watcher = NULL;
    if (pull->ended) {
        end(pull);
    }
}

static void watch_completed(struct request *watcher)
{
    boxlite_error *error = NULL;
    boxlite_status status = boxlite_operation_wait(watcher->operation, 0, &error);
    if (status == BOXLITE_OK) {
        status = complete_events(watcher, &error);
    }
    if (status == BOXLITE_OK && watcher->operation != NULL) {
        status = boxlite_operation_bind(watcher->operation, queue, (uint64_t)(uintptr_t)watcher, &error);
    }
    if (status != BOXLITE_OK || watcher->operation == NULL) {
        boxlite_error_free(error);
        end_events(watcher);
    }
}

boxlite_status watch_events(struct request *request, boxlite_error **error)
{
    struct request *watcher = calloc(1, sizeof *watcher);
    boxlite_status status;

    watcher->next = requests;
    requests = watcher;
    watcher->watched = request;
    status = boxlite_operation_next_events(request->operation, &watcher->operation, error);
    if (status == BOXLITE_OK) {
        status = boxlite_operation_bind(watcher->operation, queue, (uint64_t)(uintptr_t)watcher, error);
    }
    if (status == BOXLITE_OK) {
        request->watcher = watcher;
    } else {
        forget(watcher);
    }
    return status;
}

static void completed(struct request *request)
{
    boxlite_error *error = NULL;
    boxlite_operation *operation = request->operation;
    boxlite_status status;

    if (request->watched != NULL) {
        watch_completed(request);
        return;
    }
    status = boxlite_operation_wait(operation, 0, &error);
    if (status == BOXLITE_OK) {
        status = request->complete(request, &error);
    }
    if (status == BOXLITE_OK && request->answer == NULL && request->operation == operation) {
        complain(request->id, "nothing was answered to", json_string_value(json_object_get(request->message, "op")));
        forget(request);
        return;
    }
    after(request, status, error);
}

/* Carries an operation out in a forked child, which only says what it was told. */
static void fork_and_try(struct request *request)
{
    const char *name = text_of(request, "op");
    begin_function begin = name == NULL ? NULL : find_operation(name);
    char text[4096] = "";
    ssize_t count = 0;
    int ends[2];
    pid_t child;

    if (begin == NULL || pipe(ends) != 0) {
        complain(request->id, "cannot fork for", name);
        forget(request);
        return;
    }
    child = fork();
    if (child == 0) {
        boxlite_error *error = NULL;
        boxlite_status status;
        json_t *line;
        request->arguments = json_object_get(request->arguments, "args");
        status = begin(request, &error);
        if (status == BOXLITE_OK && request->operation != NULL) {
            status = boxlite_operation_wait(request->operation, -1, &error);
        }
        line = status == BOXLITE_OK ? json_pack("{s:n}", "ok") : json_pack("{s:o}", "error", error_object(error));
        json_dumpfd(line, ends[1], JSON_COMPACT);
        _exit(0);
    }
    close(ends[1]);
    while (count < (ssize_t)sizeof text - 1) {
        ssize_t got = read(ends[0], text + count, sizeof text - 1 - (size_t)count);
        if (got <= 0 && errno != EINTR) {
            break;
        }
        count += got > 0 ? got : 0;
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    request->answer = json_loads(text, 0, NULL);
    if (request->answer == NULL) {
        complain(request->id, "the child said nothing about", name);
        forget(request);
        return;
    }
    end(request);
}

static void cancel(json_int_t id)
{
    struct request *request;
    for (request = requests; request != NULL; request = request->next) {
        if (request->id == id && request->watched == NULL) {
            boxlite_operation_cancel(request->operation, NULL);
        }
    }
}

static void received(json_t *message)
{
    struct request *request;
    const char *name = json_string_value(json_object_get(message, "op"));
    const char *on = json_string_value(json_object_get(message, "on"));
    begin_function begin = name == NULL ? NULL : find_operation(name);
    bool forks = name != NULL && strcmp(name, "test.fork") == 0;
    boxlite_error *error = NULL;
    boxlite_status status;

    if (json_object_get(message, "cancel") != NULL) {
        cancel(json_integer_value(json_object_get(message, "cancel")));
        json_decref(message);
        return;
    }
    request = calloc(1, sizeof *request);
    request->next = requests;
    requests = request;
    request->id = json_integer_value(json_object_get(message, "id"));
    request->message = message;
    request->arguments = json_object_get(message, "args");
    request->as = json_string_value(json_object_get(message, "as"));
    request->on = on == NULL ? NULL : find_handle(on);
    request->complete = complete_nothing;
    if (begin == NULL && !forks) {
        complain(request->id, "there is no operation", name);
        forget(request);
        return;
    }
    if (request->on == NULL && strcmp(name, "runtime.open") != 0) {
        complain(request->id, "there is no handle", on);
        forget(request);
        return;
    }
    if (forks) {
        fork_and_try(request);
        return;
    }
    status = begin(request, &error);
    after(request, status, error);
}

/* Splits what has come into lines. Returns false at the end of stdin. */
static bool read_requests(void)
{
    static char *text = NULL;
    static size_t length = 0;
    char *line, *newline;
    ssize_t count;

    text = realloc(text, length + 65536);
    count = read(STDIN_FILENO, text + length, 65536);
    if (count <= 0) {
        return count < 0 && errno == EINTR;
    }
    length += (size_t)count;
    for (line = text; (newline = memchr(line, '\n', length - (size_t)(line - text))) != NULL; line = newline + 1) {
        json_t *message = json_loadb(line, (size_t)(newline - line), 0, NULL);
        if (message != NULL) {
            received(message);
        }
    }
    length -= (size_t)(line - text);
    memmove(text, line, length);
    return true;
}

int main(void)
{
    struct pollfd descriptors[2];
    int descriptor = -1;

    if (boxlite_abi_version() != BOXLITE_ABI_VERSION || boxlite_queue_new(&queue, NULL) != BOXLITE_OK ||
        boxlite_queue_fd(queue, &descriptor, NULL) != BOXLITE_OK) {
        fprintf(stderr, "the library cannot be used\n");
        return 1;
    }
    reply(json_pack("{s:{s:i, s:s, s:s, s:[s,s,s,s,s,s,s,s]}}", "hello", "protocol", 1, "surface", "c", "version",
                    boxlite_version(), "capabilities", "progress", "cancel", "close_handle", "identity",
                    "fork", "main", "tty", "vm"));
    descriptors[0].fd = STDIN_FILENO;
    descriptors[1].fd = descriptor;
    descriptors[0].events = descriptors[1].events = POLLIN;
    for (;;) {
        if (poll(descriptors, 2, -1) < 0) {
            continue;
        }
        if (descriptors[1].revents != 0) {
            boxlite_completion completion;
            memset(&completion, 0, sizeof completion);
            completion.size = sizeof completion;
            while (boxlite_queue_next(queue, 0, &completion, NULL) == BOXLITE_OK) {
                completed((struct request *)(uintptr_t)completion.user_data);
            }
        }
        if (descriptors[0].revents != 0 && !read_requests()) {
            /* As a program that forgets to close anything. */
            return 0;
        }
    }
}
