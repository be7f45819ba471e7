//! Handles that are stale, of another kind, garbage or NULL; text that is no UTF-8; structs that are too small.

use std::ptr::{null, null_mut};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;

use crate::world::*;

/// Begins an operation that nobody waits for.
fn begun(
    act: impl FnOnce(*mut *mut boxlite_operation, *mut *mut boxlite_error) -> boxlite_status,
) -> boxlite_status {
    let mut operation = null_mut();
    let (status, _) = call(|error| act(&mut operation, error));
    assert_eq!(unsafe { boxlite_operation_free(operation) }, BOXLITE_OK);
    status
}

/// One call of a function of every kind of handle, with the same pointer as the receiver.
fn receivers(pointer: usize) -> Vec<(&'static str, boxlite_status)> {
    fn at<T>(pointer: usize) -> *mut T {
        std::ptr::without_provenance_mut(pointer)
    }
    let name = c("x");
    let name = name.as_ptr();
    let (mut json, mut handle, mut fd, mut count, mut bytes) = (null(), null_mut(), 0, 0, [0; 8]);
    unsafe {
        vec![
            ("runtime", call(|e| boxlite_runtime_images(at(pointer), &mut handle, e)).0),
            ("runtime options", call(|e| boxlite_runtime_options_set_home(at(pointer), name, e)).0),
            ("images", outcome(|o, e| boxlite_images_list(at(pointer), o, e))),
            ("pull options", call(|e| boxlite_pull_options_set_policy(at(pointer), 0, e)).0),
            ("box", call(|e| boxlite_box_id(at(pointer), &mut json, e)).0),
            ("box options", call(|e| boxlite_box_options_set_name(at(pointer), name, e)).0),
            ("execution", call(|e| boxlite_execution_id(at(pointer), &mut json, e)).0),
            ("exec options", call(|e| boxlite_exec_options_set_cwd(at(pointer), name, e)).0),
            ("events", begun(|o, e| boxlite_events_next(at(pointer), o, e))),
            ("logs", begun(|o, e| boxlite_logs_next(at(pointer), o, e))),
            ("reader", call(|e| boxlite_reader_read(at(pointer), 0, bytes.as_mut_ptr(), 8, &mut count, e)).0),
            ("writer", outcome(|o, e| boxlite_writer_close(at(pointer), o, e))),
            ("operation", call(|e| boxlite_operation_wait(at(pointer), 0, e)).0),
            ("queue", call(|e| boxlite_queue_fd(at(pointer), &mut fd, e)).0),
            ("result", call(|e| boxlite_result_count(at(pointer), &mut count, e)).0),
        ]
    }
}

/// Frees a pointer as every kind of handle there is.
fn frees(pointer: usize) -> Vec<(&'static str, boxlite_status)> {
    fn at<T>(pointer: usize) -> *mut T {
        std::ptr::without_provenance_mut(pointer)
    }
    unsafe {
        vec![
            ("runtime", boxlite_runtime_free(at(pointer))),
            ("runtime options", boxlite_runtime_options_free(at(pointer))),
            ("images", boxlite_images_free(at(pointer))),
            ("pull options", boxlite_pull_options_free(at(pointer))),
            ("box", boxlite_box_free(at(pointer))),
            ("box options", boxlite_box_options_free(at(pointer))),
            ("execution", boxlite_execution_free(at(pointer))),
            ("exec options", boxlite_exec_options_free(at(pointer))),
            ("events", boxlite_events_free(at(pointer))),
            ("logs", boxlite_logs_free(at(pointer))),
            ("reader", boxlite_reader_free(at(pointer))),
            ("writer", boxlite_writer_free(at(pointer))),
            ("operation", boxlite_operation_free(at(pointer))),
            ("queue", boxlite_queue_free(at(pointer))),
            ("result", boxlite_result_free(at(pointer))),
            ("error", boxlite_error_free(at(pointer))),
        ]
    }
}

fn all(answers: Vec<(&'static str, boxlite_status)>, expected: boxlite_status) {
    for (kind, status) in answers {
        assert_eq!(status, expected, "{kind}");
    }
}

#[test]
fn null_and_garbage_are_refused_by_every_kind() {
    all(receivers(0), BOXLITE_INVALID_ARGUMENT);
    all(frees(0), BOXLITE_OK);
    let place = 0u64;
    for garbage in [1, 8, 0xdead_beef, usize::MAX, 0x0101_0000_0100_0000, &raw const place as usize] {
        all(receivers(garbage), BOXLITE_INVALID_HANDLE);
        all(frees(garbage), BOXLITE_INVALID_HANDLE);
    }
}

#[test]
fn a_handle_of_every_kind_is_refused_by_every_other_kind_and_by_its_own_once_it_is_freed() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let made = world.running(runtime);
    let execution = exec(made, "cat", true);
    let listing = begin(|o, e| unsafe { boxlite_images_list(images, o, e) });
    done(|e| unsafe { boxlite_operation_wait(listing, PATIENCE_MS, e) });
    let mut error = null_mut();
    unsafe { boxlite_images_list(null_mut(), null_mut(), &mut error) };
    let logs = take(
        begin(|o, e| unsafe { boxlite_box_logs(made, -1, false, o, e) }),
        |operation, out, error| unsafe { boxlite_operation_take_logs(operation, out, error) },
    );
    let handles: [(&str, usize); 16] = unsafe {
        [
            ("runtime options", self::made(|o, e| boxlite_runtime_options_new(o, e)).addr()),
            ("pull options", self::made(|o, e| boxlite_pull_options_new(o, e)).addr()),
            ("box options", self::made(|o, e| boxlite_box_options_new(o, e)).addr()),
            ("exec options", self::made(|o, e| boxlite_exec_options_new(o, e)).addr()),
            ("events", self::made(|o, e| boxlite_runtime_events(runtime, o, e)).addr()),
            ("logs", logs.addr()),
            ("reader", self::made(|o, e| boxlite_execution_take_stdout(execution, o, e)).addr()),
            ("writer", self::made(|o, e| boxlite_execution_take_stdin(execution, o, e)).addr()),
            ("result", self::made(|o, e| boxlite_operation_take_result(listing, o, e)).addr()),
            ("queue", self::made(|o, e| boxlite_queue_new(o, e)).addr()),
            ("operation", listing.addr()),
            ("error", error.addr()),
            ("execution", execution.addr()),
            ("box", made.addr()),
            ("images", images.addr()),
            ("runtime", runtime.addr()),
        ]
    };
    for (kind, handle) in handles {
        for (receiver, status) in receivers(handle) {
            assert!(
                receiver == kind || status == BOXLITE_INVALID_HANDLE,
                "a {kind} as {receiver}: {status:?}"
            );
        }
        // One of these is the right one, and frees it.
        for (freed, status) in frees(handle) {
            let expected = if freed == kind { BOXLITE_OK } else { BOXLITE_INVALID_HANDLE };
            assert_eq!(status, expected, "a {kind} freed as {freed}");
        }
        all(receivers(handle), BOXLITE_INVALID_HANDLE);
        all(frees(handle), BOXLITE_INVALID_HANDLE);
    }
}

#[test]
fn missing_places_and_text_are_refused_before_anything_happens() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let made = world.created(runtime);
    let image = world.image();
    let image = image.as_ptr();
    let mut operation = null_mut();
    let no_argument = [null()];
    unsafe {
        let refused = [
            ("no place for the operation", status(|e| boxlite_images_list(images, null_mut(), e))),
            ("no reference", status(|e| boxlite_images_pull(images, null(), null(), &mut operation, e))),
            ("no name", status(|e| boxlite_images_tag(images, image, null(), &mut operation, e))),
            (
                "no file",
                status(|e| boxlite_images_export_erofs(images, image, null(), null(), &mut operation, e)),
            ),
            ("no path", status(|e| boxlite_box_stat(made, null(), true, &mut operation, e))),
            ("no list", status(|e| boxlite_box_exec(made, null(), 1, null(), &mut operation, e))),
            (
                "no text in it",
                status(|e| boxlite_box_exec(made, no_argument.as_ptr(), 1, null(), &mut operation, e)),
            ),
            ("no place for images", status(|e| boxlite_runtime_images(runtime, null_mut(), e))),
            ("no place for options", status(|e| boxlite_runtime_options_new(null_mut(), e))),
            (
                "no writer",
                status(|e| boxlite_box_put_archive(made, image, null(), &mut operation, null_mut(), e)),
            ),
        ];
        for (what, status) in refused {
            assert_eq!(status, BOXLITE_INVALID_ARGUMENT, "{what}");
        }
        assert!(operation.is_null());
        // Nobody has to want the error.
        assert_eq!(boxlite_images_list(images, null_mut(), null_mut()), BOXLITE_INVALID_ARGUMENT);
        let places = [0usize; 2];
        let odd = places.as_ptr().cast::<u8>().add(1).cast_mut().cast();
        assert_eq!(boxlite_images_list(images, odd, null_mut()), BOXLITE_INVALID_ARGUMENT);
    }
    free(runtime);
}

#[test]
fn text_that_is_no_utf8_is_refused_and_says_which() {
    let world = World::new();
    let runtime = world.open();
    let images = images_of(runtime);
    let bytes = b"caf\xe9\0";
    let (status, error) =
        call(|e| unsafe { boxlite_images_pull(images, bytes.as_ptr().cast(), null(), &mut null_mut(), e) });
    assert_eq!(status, BOXLITE_INVALID_ARGUMENT);
    assert!(error["message"].as_str().unwrap().contains("`reference` is not UTF-8"), "{error}");
    free(runtime);
}

#[test]
fn a_struct_that_is_too_small_or_says_no_size_is_refused() {
    // SAFETY: zero is a value of every field.
    let mut registry: boxlite_registry = unsafe { std::mem::zeroed() };
    let options = made(|o, e| unsafe { boxlite_runtime_options_new(o, e) });
    for size in [0, 8, size_of::<boxlite_registry>() - 1, usize::MAX] {
        registry.size = size;
        let refused = status(|e| unsafe { boxlite_runtime_options_add_registry(options, &registry, e) });
        assert_eq!(refused, BOXLITE_INVALID_ARGUMENT, "{size}");
    }
    let queue = made(|o, e| unsafe { boxlite_queue_new(o, e) });
    let mut completion = boxlite_completion { size: 16, operation: null_mut(), user_data: 7, status: 0 };
    let refused = status(|e| unsafe { boxlite_queue_next(queue, 0, &mut completion, e) });
    assert_eq!((refused, completion.user_data), (BOXLITE_INVALID_ARGUMENT, 7));
    unsafe {
        assert_eq!(boxlite_runtime_options_free(options), BOXLITE_OK);
        assert_eq!(boxlite_queue_free(queue), BOXLITE_OK);
    }
}

#[test]
fn credentials_that_do_not_go_together_and_choices_that_do_not_exist_are_refused() {
    let (host, word) = (c("registry.test"), c("word"));
    let options = made(|o, e| unsafe { boxlite_runtime_options_new(o, e) });
    // SAFETY: zero is a value of every field.
    let mut registry: boxlite_registry = unsafe { std::mem::zeroed() };
    (registry.size, registry.host) = (size_of::<boxlite_registry>(), host.as_ptr());
    let add = |registry: &boxlite_registry| {
        call(|e| unsafe { boxlite_runtime_options_add_registry(options, registry, e) }).0
    };
    assert_eq!(add(&registry), BOXLITE_OK);
    registry.username = word.as_ptr();
    assert_eq!(add(&registry), BOXLITE_INVALID_ARGUMENT);
    registry.password = word.as_ptr();
    assert_eq!(add(&registry), BOXLITE_OK);
    registry.bearer_token = word.as_ptr();
    assert_eq!(add(&registry), BOXLITE_INVALID_ARGUMENT);
    registry = boxlite_registry {
        transport: 2,
        username: null(),
        password: null(),
        bearer_token: null(),
        ..registry
    };
    assert_eq!(add(&registry), BOXLITE_INVALID_ARGUMENT);
    unsafe {
        assert_eq!(
            status(|e| boxlite_runtime_options_set_accelerator(options, 3, e)),
            BOXLITE_INVALID_ARGUMENT
        );
        assert_eq!(status(|e| boxlite_runtime_options_set_retry(options, 0, 1, e)), BOXLITE_INVALID_ARGUMENT);
        assert_eq!(boxlite_runtime_options_free(options), BOXLITE_OK);
    }
}

#[test]
fn what_an_operation_made_is_given_once_and_only_as_what_it_is() {
    let world = World::new();
    let options = world.options(world.home.path());
    let opening = begin(|o, e| unsafe { boxlite_runtime_open(options, o, e) });
    done(|e| unsafe { boxlite_operation_wait(opening, PATIENCE_MS, e) });
    unsafe {
        let (mut result, mut made_box) = (null_mut(), null_mut());
        assert_eq!(
            status(|e| boxlite_operation_take_result(opening, &mut result, e)),
            BOXLITE_INVALID_ARGUMENT
        );
        assert_eq!(
            status(|e| boxlite_operation_take_box(opening, &mut made_box, e)),
            BOXLITE_INVALID_ARGUMENT
        );
        let runtime = made(|o, e| boxlite_operation_take_runtime(opening, o, e));
        let mut second = null_mut();
        assert_eq!(
            status(|e| boxlite_operation_take_runtime(opening, &mut second, e)),
            BOXLITE_INVALID_STATE
        );
        assert!(second.is_null());
        assert_eq!(boxlite_operation_free(opening), BOXLITE_OK);
        assert_eq!(boxlite_runtime_options_free(options), BOXLITE_OK);
        free(runtime);
    }
}
