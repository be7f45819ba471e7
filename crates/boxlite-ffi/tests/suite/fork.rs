//! A child of the process that opened a runtime: told so by every call, at once, and free to open its own.

use std::ptr::{null, null_mut};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};

use crate::world::*;

/// Runs `body` in a forked child, and returns its exit code. A child that hangs is ended by an alarm.
fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child makes plain calls and exits without unwinding into the copy of the test's stack.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(20);
                let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(99);
                libc::_exit(code)
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
            }
        }
    }
}

#[test]
fn a_forked_child_is_told_so_by_every_handle_and_never_hangs() {
    let world = World::new();
    let gate = Gate::new();
    let (runtime, images) = world.open_with_image();
    world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldHead(gate.clone())));
    let made = world.running(runtime);
    let execution = exec(made, "cat", true);
    let (stdout, queue) = (
        self::made(|o, e| unsafe { boxlite_execution_take_stdout(execution, o, e) }),
        self::made(|o, e| unsafe { boxlite_queue_new(o, e) }),
    );
    let pulling = begin(|o, e| pull(images, &world.image(), o, e));
    let code = in_child(|| {
        let (mut buffer, mut count, mut id, mut operation) = ([0u8; 8], 0, null(), null_mut());
        // SAFETY: zero is a value of every field.
        let mut completion: boxlite_completion = unsafe { std::mem::zeroed() };
        completion.size = size_of::<boxlite_completion>();
        let nowhere = null_mut();
        let answers = unsafe {
            [
                boxlite_images_list(images, &mut operation, nowhere),
                boxlite_runtime_images(runtime, &mut null_mut(), nowhere),
                boxlite_box_id(made, &mut id, nowhere),
                boxlite_execution_id(execution, &mut id, nowhere),
                boxlite_reader_read(stdout, -1, buffer.as_mut_ptr(), 8, &mut count, nowhere),
                boxlite_operation_wait(pulling, -1, nowhere),
                boxlite_operation_cancel(pulling, nowhere),
                boxlite_operation_free(pulling),
                boxlite_queue_next(queue, -1, &mut completion, nowhere),
                boxlite_runtime_shutdown(runtime, 1000, &mut operation, nowhere),
                boxlite_runtime_free(runtime),
                boxlite_images_free(images),
            ]
        };
        let wrong = answers.iter().position(|answer| *answer != BOXLITE_FORKED_PROCESS);
        wrong.map_or(0, |place| place as i32 + 1)
    });
    assert_eq!(code, 0, "the answer at that place is another one");
    // The parent's own handles are as good as before.
    gate.open();
    assert_eq!(end(pulling).0, BOXLITE_OK);
    assert_eq!(list(images), BOXLITE_OK);
    free(runtime);
}

/// It could hang in what the library's libraries keep for the whole process, and is the parent's.
#[test]
fn a_forked_child_is_refused_a_runtime_of_its_own_and_does_not_hang() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let options = world.options(world.home.path());
    let code = in_child(|| {
        let mut operation = null_mut();
        let parents = unsafe { boxlite_runtime_open(options, &mut operation, null_mut()) };
        let defaults = unsafe { boxlite_runtime_open(null(), &mut operation, null_mut()) };
        let stale = list(images);
        i32::from(
            (parents, defaults, stale)
                != (BOXLITE_FORKED_PROCESS, BOXLITE_FORKED_PROCESS, BOXLITE_FORKED_PROCESS),
        )
    });
    assert_eq!(code, 0);
    assert_eq!(list(images), BOXLITE_OK);
    free(runtime);
}
