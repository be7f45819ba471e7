//! Cancelling is a request, and the end is the answer.

use std::ptr::null;

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use boxlite_testkit::engine::STAGES;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use serde_json::json;

use crate::world::*;

#[test]
fn a_pull_is_cancelled_at_every_stage_and_the_next_one_succeeds() {
    let world = World::new();
    let stages = [
        (Target::Manifests, 0),
        (Target::Blob(world.artifact.config_digest()), 0),
        (Target::Blob(world.artifact.layer_digest(0)), 0),
        (Target::Blob(world.artifact.layer_digest(0)), 40),
    ];
    let runtime = world.open();
    let images = images_of(runtime);
    let reference = world.image();
    for (target, bytes) in stages {
        for by_free in [false, true] {
            let gate = Gate::new();
            world.registry.script(Rule::on(target.clone()).with(Fault::HoldAfter(bytes, gate.clone())));
            let pulling = begin(|o, e| pull(images, &reference, o, e));
            soon(gate.reached());
            if by_free {
                assert_eq!(unsafe { boxlite_operation_free(pulling) }, BOXLITE_OK);
            } else {
                done(|e| unsafe { boxlite_operation_cancel(pulling, e) });
                assert_eq!(end(pulling).0, BOXLITE_CANCELLED);
            }
            soon(gate.abandoned());
            assert_eq!(finish(begin(|o, e| unsafe { boxlite_images_list(images, o, e) })), json!([]));
            world.registry.heal();
            finish(begin(|o, e| pull(images, &reference, o, e)));
            let check = finish(begin(|o, e| unsafe { boxlite_runtime_check(runtime, false, o, e) }));
            assert_eq!(check["findings"], json!([]));
            finish(begin(|o, e| unsafe { boxlite_images_remove(images, reference.as_ptr(), false, o, e) }));
        }
    }
    free(runtime);
}

#[test]
fn a_start_is_cancelled_at_every_stage_and_has_rolled_back_when_it_ends() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    for stage in STAGES {
        let made = world.created(runtime);
        let hold = world.engine.hold_at(stage);
        let starting = begin(|o, e| unsafe { boxlite_box_start(made, o, e) });
        soon(hold.reached(1));
        done(|e| unsafe { boxlite_operation_cancel(starting, e) });
        assert_eq!(end(starting).0, BOXLITE_CANCELLED, "{stage:?}");
        let info = finish(begin(|o, e| unsafe { boxlite_box_inspect(made, o, e) }));
        assert_eq!(info["state"], "created", "{stage:?}");
        world.engine.heal();
        finish(begin(|o, e| unsafe { boxlite_box_start(made, o, e) }));
        finish(begin(|o, e| unsafe { boxlite_box_remove(made, true, o, e) }));
        assert_eq!(unsafe { boxlite_box_free(made) }, BOXLITE_OK);
    }
    free(runtime);
}

#[test]
fn what_has_ended_is_not_cancelled_and_a_shutdown_never_is() {
    let world = World::new();
    let runtime = world.open();
    let listing = begin(|o, e| unsafe { boxlite_images_list(images_of(runtime), o, e) });
    done(|e| unsafe { boxlite_operation_wait(listing, PATIENCE_MS, e) });
    done(|e| unsafe { boxlite_operation_cancel(listing, e) });
    assert_eq!(end(listing).0, BOXLITE_OK);
    let stopping = begin(|o, e| unsafe { boxlite_runtime_shutdown(runtime, 5000, o, e) });
    done(|e| unsafe { boxlite_operation_cancel(stopping, e) });
    assert_eq!(end(stopping).0, BOXLITE_OK);
    free(runtime);
}

#[test]
fn a_read_and_a_wait_that_are_cancelled_leave_the_stream_as_it_was() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let execution = exec(world.running(runtime), "cat", true);
    let stdout = made(|o, e| unsafe { boxlite_execution_take_stdout(execution, o, e) });
    let stdin = made(|o, e| unsafe { boxlite_execution_take_stdin(execution, o, e) });
    let (mut buffer, mut count) = ([0u8; 16], 0);
    // Something has been read ahead, and taken, before.
    finish(begin(|o, e| unsafe { boxlite_writer_write(stdin, b"first".as_ptr(), 5, o, e) }));
    finish(begin(|o, e| unsafe { boxlite_reader_ready(stdout, o, e) }));
    done(|e| unsafe { boxlite_reader_read(stdout, 0, buffer.as_mut_ptr(), 16, &mut count, e) });
    assert_eq!(&buffer[..count], b"first");
    let ready = begin(|o, e| unsafe { boxlite_reader_ready(stdout, o, e) });
    // One at a time.
    let second =
        status(|e| unsafe { boxlite_reader_read(stdout, 0, buffer.as_mut_ptr(), 16, &mut count, e) });
    assert_eq!(second, BOXLITE_INVALID_STATE);
    done(|e| unsafe { boxlite_operation_cancel(ready, e) });
    assert_eq!(end(ready).0, BOXLITE_CANCELLED);
    let nothing =
        status(|e| unsafe { boxlite_reader_read(stdout, 1, buffer.as_mut_ptr(), 16, &mut count, e) });
    assert_eq!(nothing, BOXLITE_TIMEOUT);
    let waiting = begin(|o, e| unsafe { boxlite_execution_wait(execution, o, e) });
    done(|e| unsafe { boxlite_operation_cancel(waiting, e) });
    assert_eq!(end(waiting).0, BOXLITE_CANCELLED);
    finish(begin(|o, e| unsafe { boxlite_writer_write(stdin, b"still".as_ptr(), 5, o, e) }));
    finish(begin(|o, e| unsafe { boxlite_reader_ready(stdout, o, e) }));
    done(|e| unsafe { boxlite_reader_read(stdout, 0, buffer.as_mut_ptr(), 16, &mut count, e) });
    assert_eq!(&buffer[..count], b"still");
    finish(begin(|o, e| unsafe { boxlite_writer_close(stdin, o, e) }));
    let status = finish(begin(|o, e| unsafe { boxlite_execution_wait(execution, o, e) }));
    assert_eq!(status["code"], 0);
    assert_eq!(
        outcome(|o, e| unsafe { boxlite_writer_write(stdin, null(), 0, o, e) }),
        BOXLITE_INVALID_STATE
    );
    free(runtime);
}
