/* What each operation of the protocol calls, and what it answers. */
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

#define BEGIN(name) static boxlite_status name(struct request *request, boxlite_error **error)

/* Answers null. */
boxlite_status complete_nothing(struct request *request, boxlite_error **error)
{
    (void)error;
    request->answer = json_null();
    return BOXLITE_OK;
}

/* Answers what the operation gives, which has the field names of the protocol already. */
boxlite_status complete_json(struct request *request, boxlite_error **error)
{
    const char *text = NULL;
    boxlite_status status = boxlite_operation_json(request->operation, &text, error);
    if (status == BOXLITE_OK) {
        request->answer = json_loads(text, JSON_DECODE_ANY, NULL);
    }
    return status;
}

BEGIN(complete_exit_code)
{
    boxlite_status status = complete_json(request, error);
    if (status == BOXLITE_OK) {
        json_t *code = json_incref(json_object_get(request->answer, "code"));
        json_decref(request->answer);
        request->answer = code;
    }
    return status;
}

BEGIN(complete_runtime)
{
    boxlite_runtime *runtime = NULL;
    boxlite_status status = boxlite_operation_take_runtime(request->operation, &runtime, error);
    name_handle(request->as, runtime);
    request->answer = json_null();
    return status;
}

BEGIN(complete_box)
{
    boxlite_box *box = NULL;
    boxlite_status status = complete_json(request, error);
    if (status == BOXLITE_OK) {
        status = boxlite_operation_take_box(request->operation, &box, error);
        name_handle(request->as, box);
    }
    return status;
}

BEGIN(complete_execution)
{
    boxlite_execution *execution = NULL;
    boxlite_status status = boxlite_operation_take_execution(request->operation, &execution, error);
    name_handle(request->as, execution);
    request->answer = json_null();
    return status;
}

BEGIN(complete_logs)
{
    boxlite_logs *logs = NULL;
    boxlite_status status = boxlite_operation_take_logs(request->operation, &logs, error);
    name_handle(request->as, logs);
    request->answer = json_null();
    return status;
}

static boxlite_status add_registry(boxlite_runtime_options *options, const json_t *given, boxlite_error **error)
{
    boxlite_registry registry;
    const char *transport = json_string_value(json_object_get(given, "transport"));
    memset(&registry, 0, sizeof registry);
    registry.size = sizeof registry;
    registry.host = json_string_value(json_object_get(given, "host"));
    registry.username = json_string_value(json_object_get(given, "username"));
    registry.password = json_string_value(json_object_get(given, "password"));
    registry.bearer_token = json_string_value(json_object_get(given, "token"));
    if (transport != NULL && strcmp(transport, "http") == 0) {
        registry.transport = BOXLITE_TRANSPORT_HTTP;
    }
    return boxlite_runtime_options_add_registry(options, &registry, error);
}

BEGIN(runtime_open)
{
    boxlite_runtime_options *options = NULL;
    const json_t *registries = json_object_get(request->arguments, "registries");
    const char *accelerator = text_of(request, "accelerator");
    json_int_t delay = number_of(request, "retry_delay_ms", -1);
    size_t at;
    boxlite_status status = boxlite_runtime_options_new(&options, error);

    if (status == BOXLITE_OK) {
        status = boxlite_runtime_options_set_home(options, text_of(request, "home"), error);
    }
    for (at = 0; status == BOXLITE_OK && at < json_array_size(registries); at++) {
        status = add_registry(options, json_array_get(registries, at), error);
    }
    if (status == BOXLITE_OK && accelerator != NULL) {
        uint32_t choice = strcmp(accelerator, "tcg") == 0 ? BOXLITE_ACCELERATOR_TCG : BOXLITE_ACCELERATOR_KVM;
        status = boxlite_runtime_options_set_accelerator(options, choice, error);
    }
    if (status == BOXLITE_OK && flag_of(request, "spare_machine", false)) {
        status = boxlite_runtime_options_set_spare_machine(options, true, error);
    }
    if (status == BOXLITE_OK && delay >= 0) {
        status = boxlite_runtime_options_set_retry(options, 5, (uint64_t)delay, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_runtime_open(options, &request->operation, error);
    }
    boxlite_runtime_options_free(options);
    request->complete = complete_runtime;
    return status;
}

BEGIN(runtime_images)
{
    boxlite_images *images = NULL;
    boxlite_status status = boxlite_runtime_images(request->on->value, &images, error);
    if (status == BOXLITE_OK && request->as != NULL) {
        name_handle(request->as, images);
    }
    request->answer = json_null();
    return status;
}

BEGIN(runtime_create)
{
    boxlite_box_options *options = NULL;
    char *spec = json_of(request, "spec");
    boxlite_status status = boxlite_box_options_new(&options, error);
    if (status == BOXLITE_OK) {
        status = boxlite_box_options_set_json(options, spec, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_runtime_create(request->on->value, NULL, options, &request->operation, error);
    }
    boxlite_box_options_free(options);
    free(spec);
    request->complete = complete_box;
    return status;
}

BEGIN(runtime_get)
{
    request->complete = complete_box;
    return boxlite_runtime_get(request->on->value, text_of(request, "name"), &request->operation, error);
}

BEGIN(runtime_list)
{
    request->complete = complete_json;
    return boxlite_runtime_list(request->on->value, &request->operation, error);
}

BEGIN(runtime_remove)
{
    return boxlite_runtime_remove(request->on->value, text_of(request, "name"), flag_of(request, "force", false),
                                  &request->operation, error);
}

BEGIN(runtime_metrics)
{
    request->complete = complete_json;
    return boxlite_runtime_metrics(request->on->value, &request->operation, error);
}

BEGIN(runtime_usage)
{
    request->complete = complete_json;
    return boxlite_runtime_usage(request->on->value, &request->operation, error);
}

BEGIN(runtime_check)
{
    request->complete = complete_json;
    return boxlite_runtime_check(request->on->value, flag_of(request, "repair", false), &request->operation, error);
}

BEGIN(runtime_doctor)
{
    request->complete = complete_json;
    return boxlite_runtime_doctor(request->on->value, &request->operation, error);
}

BEGIN(runtime_prepare)
{
    boxlite_box_options *options = NULL;
    const json_t *resources = json_object_get(request->arguments, "resources");
    boxlite_status status = boxlite_box_options_new(&options, error);
    if (status == BOXLITE_OK && resources != NULL) {
        json_t *spec = json_pack("{s:O}", "resources", resources);
        char *text = json_dumps(spec, 0);
        status = boxlite_box_options_set_json(options, text, error);
        free(text);
        json_decref(spec);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_runtime_prepare(request->on->value, options, &request->operation, error);
    }
    boxlite_box_options_free(options);
    return status;
}

BEGIN(runtime_events)
{
    boxlite_events *events = NULL;
    boxlite_status status = boxlite_runtime_events(request->on->value, &events, error);
    name_handle(request->as, events);
    request->answer = json_null();
    return status;
}

BEGIN(runtime_shutdown)
{
    uint64_t timeout = (uint64_t)number_of(request, "timeout_ms", 10000);
    return boxlite_runtime_shutdown(request->on->value, timeout, &request->operation, error);
}

BEGIN(runtime_close)
{
    (void)error;
    request->answer = json_null();
    return boxlite_runtime_free(request->on->value);
}

BEGIN(kernels_list)
{
    request->complete = complete_json;
    return boxlite_runtime_kernels(request->on->value, &request->operation, error);
}

BEGIN(kernels_install)
{
    request->complete = complete_json;
    return boxlite_runtime_install_kernel(request->on->value, NULL, NULL, &request->operation, error);
}

BEGIN(images_pull)
{
    static const char *const policies[] = {"always", "missing", "never"};
    boxlite_pull_options *options = NULL;
    const char *policy = text_of(request, "policy");
    char *platform = platform_of(request);
    uint32_t choice;
    boxlite_status status = boxlite_pull_options_new(&options, error);

    for (choice = 0; status == BOXLITE_OK && policy != NULL && choice < 3; choice++) {
        if (strcmp(policy, policies[choice]) == 0) {
            status = boxlite_pull_options_set_policy(options, choice, error);
        }
    }
    if (status == BOXLITE_OK && platform != NULL) {
        status = boxlite_pull_options_set_platform(options, platform, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_images_pull(request->on->value, text_of(request, "reference"), options, &request->operation,
                                     error);
    }
    if (status == BOXLITE_OK && flag_of(request, "progress", false)) {
        status = watch_events(request, error);
    }
    boxlite_pull_options_free(options);
    free(platform);
    request->complete = complete_json;
    return status;
}

BEGIN(images_list)
{
    request->complete = complete_json;
    return boxlite_images_list(request->on->value, &request->operation, error);
}

BEGIN(images_get)
{
    char *platform = platform_of(request);
    boxlite_status status = boxlite_images_get(request->on->value, text_of(request, "reference"), platform,
                                               &request->operation, error);
    free(platform);
    request->complete = complete_json;
    return status;
}

BEGIN(images_inspect)
{
    char *platform = platform_of(request);
    boxlite_status status = boxlite_images_inspect(request->on->value, text_of(request, "reference"), platform,
                                                   &request->operation, error);
    free(platform);
    request->complete = complete_json;
    return status;
}

BEGIN(images_tag)
{
    request->complete = complete_json;
    return boxlite_images_tag(request->on->value, text_of(request, "reference"), text_of(request, "name"),
                              &request->operation, error);
}

BEGIN(images_remove)
{
    request->complete = complete_json;
    return boxlite_images_remove(request->on->value, text_of(request, "reference"), flag_of(request, "force", false),
                                 &request->operation, error);
}

BEGIN(images_export_erofs)
{
    char *platform = platform_of(request);
    boxlite_status status = boxlite_images_export_erofs(request->on->value, text_of(request, "reference"), platform,
                                                        text_of(request, "file"), &request->operation, error);
    free(platform);
    return status;
}

BEGIN(images_close)
{
    (void)error;
    request->answer = json_null();
    return boxlite_images_free(request->on->value);
}

BEGIN(box_info)
{
    request->complete = complete_json;
    return boxlite_box_inspect(request->on->value, &request->operation, error);
}

BEGIN(box_start)
{
    return boxlite_box_start(request->on->value, &request->operation, error);
}

BEGIN(box_start_attached)
{
    request->complete = complete_execution;
    return boxlite_box_start_attached(request->on->value, &request->operation, error);
}

BEGIN(box_exec)
{
    boxlite_exec_options *options = NULL;
    char *spec = json_of(request, "spec");
    boxlite_status status = boxlite_exec_options_new(&options, error);
    if (status == BOXLITE_OK) {
        status = boxlite_exec_options_set_json(options, spec, error);
    }
    if (status == BOXLITE_OK) {
        status = boxlite_box_exec(request->on->value, NULL, 0, options, &request->operation, error);
    }
    boxlite_exec_options_free(options);
    free(spec);
    request->complete = complete_execution;
    return status;
}

BEGIN(box_attach)
{
    request->complete = complete_execution;
    return boxlite_box_attach(request->on->value, &request->operation, error);
}

BEGIN(box_detach)
{
    return boxlite_box_detach(request->on->value, &request->operation, error);
}

BEGIN(box_stop)
{
    uint64_t timeout = (uint64_t)number_of(request, "timeout_ms", 10000);
    return boxlite_box_stop(request->on->value, timeout, &request->operation, error);
}

BEGIN(box_restart)
{
    uint64_t timeout = (uint64_t)number_of(request, "timeout_ms", 10000);
    return boxlite_box_restart(request->on->value, timeout, &request->operation, error);
}

BEGIN(box_kill)
{
    return boxlite_box_kill(request->on->value, &request->operation, error);
}

BEGIN(box_signal)
{
    return boxlite_box_signal(request->on->value, (int32_t)number_of(request, "signal", 0), &request->operation,
                              error);
}

BEGIN(box_wait)
{
    request->complete = complete_exit_code;
    return boxlite_box_wait(request->on->value, &request->operation, error);
}

BEGIN(box_metrics)
{
    request->complete = complete_json;
    return boxlite_box_metrics(request->on->value, &request->operation, error);
}

BEGIN(box_stat)
{
    request->complete = complete_json;
    return boxlite_box_stat(request->on->value, text_of(request, "path"), flag_of(request, "follow_symlinks", false),
                            &request->operation, error);
}

static boxlite_copy_options copy_options(const struct request *request)
{
    boxlite_copy_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.keep_existing = !flag_of(request, "overwrite", true);
    options.follow_symlinks = flag_of(request, "follow_symlinks", false);
    return options;
}

BEGIN(box_copy_in)
{
    boxlite_copy_options options = copy_options(request);
    return boxlite_box_copy_in(request->on->value, text_of(request, "host"), text_of(request, "inside"), &options,
                               &request->operation, error);
}

BEGIN(box_copy_out)
{
    boxlite_copy_options options = copy_options(request);
    return boxlite_box_copy_out(request->on->value, text_of(request, "inside"), text_of(request, "host"), &options,
                                &request->operation, error);
}

BEGIN(box_logs)
{
    request->complete = complete_logs;
    return boxlite_box_logs(request->on->value, number_of(request, "tail", -1), flag_of(request, "follow", false),
                            &request->operation, error);
}

BEGIN(box_remove)
{
    return boxlite_box_remove(request->on->value, flag_of(request, "force", false), &request->operation, error);
}

BEGIN(box_close)
{
    (void)error;
    request->answer = json_null();
    return boxlite_box_free(request->on->value);
}

BEGIN(execution_output)
{
    request->complete = complete_json;
    if (request->on->input != NULL) {
        /* Collecting closes stdin; one that was taken is closed by whoever took it. */
        boxlite_writer_close(request->on->input, &request->others[0], NULL);
    }
    return boxlite_execution_output(request->on->value, &request->operation, error);
}

BEGIN(execution_wait)
{
    request->complete = complete_json;
    return boxlite_execution_wait(request->on->value, &request->operation, error);
}

BEGIN(execution_signal)
{
    return boxlite_execution_signal(request->on->value, (int32_t)number_of(request, "signal", 0), &request->operation,
                                    error);
}

BEGIN(execution_kill)
{
    return boxlite_execution_kill(request->on->value, &request->operation, error);
}

BEGIN(execution_resize)
{
    return boxlite_execution_resize(request->on->value, (uint16_t)number_of(request, "rows", 0),
                                    (uint16_t)number_of(request, "columns", 0), &request->operation, error);
}

BEGIN(events_next)
{
    request->complete = complete_json;
    return boxlite_events_next(request->on->value, &request->operation, error);
}

BEGIN(logs_next)
{
    request->complete = complete_json;
    return boxlite_logs_next(request->on->value, &request->operation, error);
}

BEGIN(test_same)
{
    const struct handle *other = find_handle(text_of(request, "other"));
    (void)error;
    request->answer = json_boolean(other != NULL && other->value == request->on->value);
    return BOXLITE_OK;
}

static const struct {
    const char *name;
    begin_function begin;
} operations[] = {
    {"runtime.open", runtime_open},
    {"runtime.images", runtime_images},
    {"runtime.create", runtime_create},
    {"runtime.get", runtime_get},
    {"runtime.list", runtime_list},
    {"runtime.remove", runtime_remove},
    {"runtime.metrics", runtime_metrics},
    {"runtime.usage", runtime_usage},
    {"runtime.check", runtime_check},
    {"runtime.doctor", runtime_doctor},
    {"runtime.prepare", runtime_prepare},
    {"runtime.events", runtime_events},
    {"runtime.shutdown", runtime_shutdown},
    {"runtime.close", runtime_close},
    {"kernels.list", kernels_list},
    {"kernels.install", kernels_install},
    {"images.pull", images_pull},
    {"images.list", images_list},
    {"images.get", images_get},
    {"images.inspect", images_inspect},
    {"images.tag", images_tag},
    {"images.remove", images_remove},
    {"images.export_erofs", images_export_erofs},
    {"images.close", images_close},
    {"box.info", box_info},
    {"box.start", box_start},
    {"box.start_attached", box_start_attached},
    {"box.exec", box_exec},
    {"box.attach", box_attach},
    {"box.detach", box_detach},
    {"box.stop", box_stop},
    {"box.restart", box_restart},
    {"box.kill", box_kill},
    {"box.signal", box_signal},
    {"box.wait", box_wait},
    {"box.metrics", box_metrics},
    {"box.stat", box_stat},
    {"box.copy_in", box_copy_in},
    {"box.copy_out", box_copy_out},
    {"box.put_archive", begin_put_archive},
    {"box.get_archive", begin_get_archive},
    {"box.logs", box_logs},
    {"box.remove", box_remove},
    {"box.close", box_close},
    {"execution.read", begin_read},
    {"execution.write", begin_write},
    {"execution.close_stdin", begin_close_stdin},
    {"execution.output", execution_output},
    {"execution.wait", execution_wait},
    {"execution.signal", execution_signal},
    {"execution.kill", execution_kill},
    {"execution.resize", execution_resize},
    {"execution.close", begin_close_execution},
    {"events.next", events_next},
    {"logs.next", logs_next},
    {"test.same", test_same},
};

begin_function find_operation(const char *name)
{
    size_t at;
    for (at = 0; at < sizeof operations / sizeof operations[0]; at++) {
        if (strcmp(operations[at].name, name) == 0) {
            return operations[at].begin;
        }
    }
    return NULL;
}
