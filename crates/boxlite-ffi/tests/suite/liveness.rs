//! Handles that cannot lie: what every kind answers after a shutdown, after a free, and when it was closed itself.

use std::ptr::{null, null_mut};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;

use crate::world::*;

#[test]
fn the_image_handle_is_the_same_value_at_every_access() {
    let world = World::new();
    let runtime = world.open();
    let first = images_of(runtime);
    assert!((0..1000).all(|_| images_of(runtime) == first));
    let again = world.open();
    assert_ne!(images_of(again), first);
    free(runtime);
    free(again);
}

#[test]
fn a_freed_image_handle_is_stale_for_all_and_the_runtime_gives_a_new_one() {
    let world = World::new();
    let runtime = world.open();
    let first = images_of(runtime);
    assert_eq!(unsafe { boxlite_images_free(first) }, BOXLITE_OK);
    assert_eq!(list(first), BOXLITE_INVALID_HANDLE);
    assert_eq!(unsafe { boxlite_images_free(first) }, BOXLITE_INVALID_HANDLE);
    let second = images_of(runtime);
    assert_ne!(second, first);
    assert_eq!((list(second), list(first)), (BOXLITE_OK, BOXLITE_INVALID_HANDLE));
    assert_eq!(images_of(runtime), second);
    assert_eq!(shutdown(runtime), BOXLITE_OK);
    assert_eq!(list(second), BOXLITE_STOPPED);
    free(runtime);
    assert_eq!(list(second), BOXLITE_STOPPED);
    assert_eq!(unsafe { boxlite_images_free(second) }, BOXLITE_OK);
    assert_eq!(list(second), BOXLITE_INVALID_HANDLE);
}

/// Everything that can be asked of the handles of a runtime but the runtime's own, by name.
fn answers(
    images: *mut boxlite_images,
    made: *mut boxlite_box,
    execution: *mut boxlite_execution,
    (stdin, stdout): (*mut boxlite_writer, *mut boxlite_reader),
) -> Vec<(&'static str, boxlite_status)> {
    let (image, path) = (c("app:1"), c("/etc"));
    let (image, path) = (image.as_ptr(), path.as_ptr());
    let arguments = [image];
    let (mut id, mut pid) = (null(), 0);
    let (mut stream, mut stream_in, mut buffer, mut count) = (null_mut(), null_mut(), [0; 8], 0);
    unsafe {
        vec![
            ("pull", outcome(|o, e| boxlite_images_pull(images, image, null(), o, e))),
            ("list", list(images)),
            ("get", outcome(|o, e| boxlite_images_get(images, image, null(), o, e))),
            ("inspect image", outcome(|o, e| boxlite_images_inspect(images, image, null(), o, e))),
            ("tag", outcome(|o, e| boxlite_images_tag(images, image, image, o, e))),
            ("remove image", outcome(|o, e| boxlite_images_remove(images, image, true, o, e))),
            ("export", outcome(|o, e| boxlite_images_export_erofs(images, image, null(), path, o, e))),
            ("id", status(|e| boxlite_box_id(made, &mut id, e))),
            ("inspect", outcome(|o, e| boxlite_box_inspect(made, o, e))),
            ("start", outcome(|o, e| boxlite_box_start(made, o, e))),
            ("start attached", outcome(|o, e| boxlite_box_start_attached(made, o, e))),
            ("attach", outcome(|o, e| boxlite_box_attach(made, o, e))),
            ("exec", outcome(|o, e| boxlite_box_exec(made, arguments.as_ptr(), 1, null(), o, e))),
            ("restart", outcome(|o, e| boxlite_box_restart(made, 1, o, e))),
            ("stop", outcome(|o, e| boxlite_box_stop(made, 1, o, e))),
            ("kill", outcome(|o, e| boxlite_box_kill(made, o, e))),
            ("signal", outcome(|o, e| boxlite_box_signal(made, 15, o, e))),
            ("wait", outcome(|o, e| boxlite_box_wait(made, o, e))),
            ("remove", outcome(|o, e| boxlite_box_remove(made, true, o, e))),
            ("detach", outcome(|o, e| boxlite_box_detach(made, o, e))),
            ("metrics", outcome(|o, e| boxlite_box_metrics(made, o, e))),
            ("logs", outcome(|o, e| boxlite_box_logs(made, -1, false, o, e))),
            ("copy in", outcome(|o, e| boxlite_box_copy_in(made, path, path, null(), o, e))),
            ("copy out", outcome(|o, e| boxlite_box_copy_out(made, path, path, null(), o, e))),
            (
                "put archive",
                outcome(|o, e| boxlite_box_put_archive(made, path, null(), o, &mut stream_in, e)),
            ),
            ("get archive", outcome(|o, e| boxlite_box_get_archive(made, path, null(), o, e))),
            ("stat", outcome(|o, e| boxlite_box_stat(made, path, true, o, e))),
            ("execution id", status(|e| boxlite_execution_id(execution, &mut id, e))),
            ("box id", status(|e| boxlite_execution_box_id(execution, &mut id, e))),
            ("pid", status(|e| boxlite_execution_pid(execution, &mut pid, e))),
            ("stderr", status(|e| boxlite_execution_take_stderr(execution, &mut stream, e))),
            ("execution wait", outcome(|o, e| boxlite_execution_wait(execution, o, e))),
            ("output", outcome(|o, e| boxlite_execution_output(execution, o, e))),
            ("execution signal", outcome(|o, e| boxlite_execution_signal(execution, 15, o, e))),
            ("execution kill", outcome(|o, e| boxlite_execution_kill(execution, o, e))),
            ("resize", outcome(|o, e| boxlite_execution_resize(execution, 1, 1, o, e))),
            ("read", status(|e| boxlite_reader_read(stdout, -1, buffer.as_mut_ptr(), 8, &mut count, e))),
            ("ready", outcome(|o, e| boxlite_reader_ready(stdout, o, e))),
            ("write", outcome(|o, e| boxlite_writer_write(stdin, buffer.as_ptr(), 8, o, e))),
            ("close", outcome(|o, e| boxlite_writer_close(stdin, o, e))),
        ]
    }
}

#[test]
fn every_handle_answers_stopped_after_a_shutdown_and_after_a_free_and_is_stale_when_freed() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let made = world.running(runtime);
    let execution = exec(made, "cat", true);
    let stdin = self::made(|o, e| unsafe { boxlite_execution_take_stdin(execution, o, e) });
    let stdout = self::made(|o, e| unsafe { boxlite_execution_take_stdout(execution, o, e) });
    let events = self::made(|o, e| unsafe { boxlite_runtime_events(runtime, o, e) });
    let all = || answers(images, made, execution, (stdin, stdout));

    assert_eq!(shutdown(runtime), BOXLITE_OK);
    let stopped = |answers: Vec<(&'static str, boxlite_status)>| {
        answers.into_iter().filter(|(_, status)| *status != BOXLITE_STOPPED).collect::<Vec<_>>()
    };
    assert_eq!(stopped(all()), []);
    let name = c("x");
    let (mut same, mut stream) = (null_mut(), null_mut());
    unsafe {
        for (what, status) in [
            ("images", status(|e| boxlite_runtime_images(runtime, &mut same, e))),
            ("events", status(|e| boxlite_runtime_events(runtime, &mut stream, e))),
            ("create", outcome(|o, e| boxlite_runtime_create(runtime, name.as_ptr(), null(), o, e))),
            ("get", outcome(|o, e| boxlite_runtime_get(runtime, name.as_ptr(), o, e))),
            ("list", outcome(|o, e| boxlite_runtime_list(runtime, o, e))),
            ("remove", outcome(|o, e| boxlite_runtime_remove(runtime, name.as_ptr(), true, o, e))),
            ("metrics", outcome(|o, e| boxlite_runtime_metrics(runtime, o, e))),
            ("usage", outcome(|o, e| boxlite_runtime_usage(runtime, o, e))),
            ("check", outcome(|o, e| boxlite_runtime_check(runtime, true, o, e))),
            ("doctor", outcome(|o, e| boxlite_runtime_doctor(runtime, o, e))),
            ("prepare", outcome(|o, e| boxlite_runtime_prepare(runtime, null(), o, e))),
            ("kernels", outcome(|o, e| boxlite_runtime_kernels(runtime, o, e))),
        ] {
            assert_eq!(status, BOXLITE_STOPPED, "{what}");
        }
    }
    assert_eq!(shutdown(runtime), BOXLITE_OK);
    let (_, refused) = call(|e| unsafe { boxlite_images_list(images, &mut null_mut(), e) });
    assert_eq!(refused["operation"], "images.list");

    free(runtime);
    assert_eq!(stopped(all()), []);
    // Events end: what had happened before comes first, and then nothing, however often it is asked for.
    let next = || finish(begin(|o, e| unsafe { boxlite_events_next(events, o, e) }));
    assert_eq!(next()["type"], "box_stopped");
    assert!(next().is_null() && next().is_null());
    unsafe {
        assert_eq!(boxlite_runtime_free(runtime), BOXLITE_INVALID_HANDLE);
        assert_eq!(boxlite_images_free(images), BOXLITE_OK);
        assert_eq!(boxlite_box_free(made), BOXLITE_OK);
        assert_eq!(boxlite_execution_free(execution), BOXLITE_OK);
        assert_eq!(boxlite_writer_free(stdin), BOXLITE_OK);
        assert_eq!(boxlite_reader_free(stdout), BOXLITE_OK);
        assert_eq!(boxlite_events_free(events), BOXLITE_OK);
    }
    for (what, status) in all() {
        assert_eq!(status, BOXLITE_INVALID_HANDLE, "{what}");
    }
}

#[test]
fn what_waits_in_a_stream_is_told_of_the_shutdown() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let execution = exec(world.running(runtime), "cat", true);
    let stdout = made(|o, e| unsafe { boxlite_execution_take_stdout(execution, o, e) });
    let stderr = made(|o, e| unsafe { boxlite_execution_take_stderr(execution, o, e) }).addr();
    let events = made(|o, e| unsafe { boxlite_runtime_events(runtime, o, e) });
    let ready = begin(|o, e| unsafe { boxlite_reader_ready(stdout, o, e) });
    let next = begin(|o, e| unsafe { boxlite_events_next(events, o, e) });
    let waiting = begin(|o, e| unsafe { boxlite_execution_wait(execution, o, e) });
    let (sender, receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let (mut buffer, mut count) = ([0; 8], 0);
        sender.send(()).unwrap();
        let stderr = std::ptr::without_provenance_mut(stderr);
        status(|e| unsafe { boxlite_reader_read(stderr, -1, buffer.as_mut_ptr(), 8, &mut count, e) })
    });
    receiver.recv().unwrap();
    assert_eq!(shutdown(runtime), BOXLITE_OK);
    assert_eq!(reading.join().unwrap(), BOXLITE_STOPPED);
    unsafe {
        // All of them have ended by now: nobody has to wait.
        assert!(boxlite_operation_is_done(ready) && boxlite_operation_is_done(next));
        assert!(boxlite_operation_is_done(waiting));
    }
    assert_eq!(end(waiting).0, BOXLITE_STOPPED);
    assert_eq!(finish(next)["type"], "box_stopped");
    free(runtime);
}

#[test]
fn the_home_can_be_reopened_and_deleted_while_old_handles_are_held() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let made = world.created(runtime);
    free(runtime);
    let again = world.open();
    assert_eq!(list(images_of(again)), BOXLITE_OK);
    assert_eq!(list(images), BOXLITE_STOPPED);
    free(again);
    std::fs::remove_dir_all(world.home.path()).unwrap();
    assert_eq!(list(images), BOXLITE_STOPPED);
    assert_eq!(outcome(|o, e| unsafe { boxlite_box_start(made, o, e) }), BOXLITE_STOPPED);
    assert!(!world.home.path().exists(), "something made it again");
    std::fs::create_dir(world.home.path()).unwrap();
}

#[test]
fn a_runtime_that_nobody_took_is_shut_down() {
    let world = World::new();
    let options = world.options(world.home.path());
    let opening = begin(|o, e| unsafe { boxlite_runtime_open(options, o, e) });
    done(|e| unsafe { boxlite_operation_wait(opening, PATIENCE_MS, e) });
    unsafe {
        assert_eq!(boxlite_operation_free(opening), BOXLITE_OK);
        assert_eq!(boxlite_runtime_options_free(options), BOXLITE_OK);
    }
    let database = world.home.path().join("boxlite.db");
    let is_open = || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|target| target == database)
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while is_open() {
        assert!(std::time::Instant::now() < deadline, "it is still open");
        std::thread::yield_now();
    }
}
