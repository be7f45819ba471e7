//! Commands and their streams, logs, events, archives and copies.

use std::ptr::{null, null_mut};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use serde_json::json;

use crate::world::*;

fn read_all(reader: *mut boxlite_reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let (mut buffer, mut count) = (vec![0u8; 50_000], 0);
        done(|e| unsafe {
            boxlite_reader_read(reader, PATIENCE_MS, buffer.as_mut_ptr(), buffer.len(), &mut count, e)
        });
        if count == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// Reads with operations only, as a program does that waits in one place for many things.
fn read_all_when_ready(reader: *mut boxlite_reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        finish(begin(|o, e| unsafe { boxlite_reader_ready(reader, o, e) }));
        let (mut buffer, mut count) = ([0u8; 7000], 0);
        done(|e| unsafe { boxlite_reader_read(reader, 0, buffer.as_mut_ptr(), buffer.len(), &mut count, e) });
        if count == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn bytes_go_through_a_command_unchanged_in_both_ways_of_reading() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let made = world.running(runtime);
    let sent: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
    for by_operations in [false, true] {
        let execution = exec(made, "cat", true);
        let stdin = self::made(|o, e| unsafe { boxlite_execution_take_stdin(execution, o, e) });
        let stdout = self::made(|o, e| unsafe { boxlite_execution_take_stdout(execution, o, e) });
        let mut writes = Vec::new();
        for chunk in sent.chunks(100_000) {
            writes.push(begin(|o, e| unsafe {
                boxlite_writer_write(stdin, chunk.as_ptr(), chunk.len(), o, e)
            }));
        }
        writes.push(begin(|o, e| unsafe { boxlite_writer_close(stdin, o, e) }));
        let received = if by_operations { read_all_when_ready(stdout) } else { read_all(stdout) };
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        for write in writes {
            assert_eq!(end(write).0, BOXLITE_OK);
        }
        let status = finish(begin(|o, e| unsafe { boxlite_execution_wait(execution, o, e) }));
        assert_eq!(status["code"], 0);
        let mut twice = null_mut();
        let refused = self::status(|e| unsafe { boxlite_execution_take_stdout(execution, &mut twice, e) });
        assert_eq!(refused, BOXLITE_INVALID_STATE);
        unsafe {
            assert_eq!(boxlite_reader_free(stdout), BOXLITE_OK);
            assert_eq!(boxlite_writer_free(stdin), BOXLITE_OK);
            assert_eq!(boxlite_execution_free(execution), BOXLITE_OK);
        }
    }
    free(runtime);
}

#[test]
fn the_output_of_a_command_is_collected_and_its_end_is_shown() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let execution = exec(world.running(runtime), "echo hello", false);
    let operation = begin(|o, e| unsafe { boxlite_execution_output(execution, o, e) });
    let result = take(operation, |o, out, e| unsafe { boxlite_operation_take_result(o, out, e) });
    // SAFETY: zero is a value of every field.
    let (mut output, mut status): (boxlite_output, boxlite_exit_status) = unsafe { std::mem::zeroed() };
    (output.size, status.size) = (size_of::<boxlite_output>(), size_of::<boxlite_exit_status>());
    done(|e| unsafe { boxlite_result_output(result, &mut output, e) });
    done(|e| unsafe { boxlite_result_exit_status(result, &mut status, e) });
    // SAFETY: the result is alive.
    let bytes = unsafe { std::slice::from_raw_parts(output.stdout_bytes, output.stdout_length) };
    assert_eq!((bytes, output.stderr_length), (&b"hello\n"[..], 0));
    assert_eq!((status.code, status.signal, status.shell_code), (0, 0, 0));
    assert_eq!(unsafe { boxlite_result_free(result) }, BOXLITE_OK);
    free(runtime);
}

#[test]
fn a_command_that_nobody_holds_is_killed() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let made = world.running(runtime);
    let events = self::made(|o, e| unsafe { boxlite_runtime_events(runtime, o, e) });
    let execution = exec(made, "sleep", false);
    assert_eq!(unsafe { boxlite_execution_free(execution) }, BOXLITE_OK);
    loop {
        let event = finish(begin(|o, e| unsafe { boxlite_events_next(events, o, e) }));
        if event["type"] == "exec_completed" {
            assert_eq!(event["status"]["signal"], 9);
            break;
        }
    }
    assert_eq!(unsafe { boxlite_events_free(events) }, BOXLITE_OK);
    free(runtime);
}

#[test]
fn a_box_is_made_as_its_options_say_by_setters_or_by_json() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let image = world.image();
    let set = self::made(|o, e| unsafe { boxlite_box_options_new(o, e) });
    let text = ["one", "A", "1", "owner", "me", "/srv", "nobody", "host", "linux/amd64", "echo", "hi"].map(c);
    let [name, variable, value, label, owner, cwd, user, host, platform, echo, hi] =
        text.each_ref().map(|t| t.as_ptr());
    let main = [echo, hi];
    unsafe {
        done(|e| boxlite_box_options_set_name(set, name, e));
        done(|e| boxlite_box_options_set_resources(set, 2, 512, 100, e));
        done(|e| boxlite_box_options_add_env(set, variable, value, e));
        done(|e| boxlite_box_options_add_label(set, label, owner, e));
        done(|e| boxlite_box_options_set_cwd(set, cwd, e));
        done(|e| boxlite_box_options_set_user(set, user, e));
        done(|e| boxlite_box_options_set_hostname(set, host, e));
        done(|e| boxlite_box_options_set_platform(set, platform, e));
        done(|e| boxlite_box_options_set_entrypoint(set, null(), 0, e));
        done(|e| boxlite_box_options_set_main(set, main.as_ptr(), 2, null(), e));
        done(|e| boxlite_box_options_set_detach(set, true, e));
        done(|e| boxlite_box_options_set_auto_remove(set, false, e));
    }
    let create = |options| {
        let operation =
            begin(|o, e| unsafe { boxlite_runtime_create(runtime, image.as_ptr(), options, o, e) });
        take(operation, |o, out, e| unsafe { boxlite_operation_take_box(o, out, e) })
    };
    let spec = |made| finish(begin(|o, e| unsafe { boxlite_box_inspect(made, o, e) }))["spec"].clone();
    let mut first = spec(create(set));
    assert_eq!(first["resources"], json!({"cpus": 2, "memory_mib": 512, "disk_mib": 100}));
    assert_eq!((&first["env"], &first["labels"]), (&json!(["A=1"]), &json!(["owner=me"])));
    assert_eq!(first["main"]["argv"], json!(["echo", "hi"]));
    first["name"] = json!("two");
    let (again, json) = (self::made(|o, e| unsafe { boxlite_box_options_new(o, e) }), c(&first.to_string()));
    done(|e| unsafe { boxlite_box_options_set_json(again, json.as_ptr(), e) });
    assert_eq!(spec(create(again)), first);
    let misspelt = c(r#"{"nmae": "three"}"#);
    let refused = status(|e| unsafe { boxlite_box_options_set_json(again, misspelt.as_ptr(), e) });
    assert_eq!(refused, BOXLITE_INVALID_ARGUMENT);

    let listed = begin(|o, e| unsafe { boxlite_runtime_list(runtime, o, e) });
    let listed = take(listed, |o, out, e| unsafe { boxlite_operation_take_result(o, out, e) });
    // SAFETY: null is a value of every field.
    let mut info: boxlite_box_info = unsafe { std::mem::zeroed() };
    info.size = size_of::<boxlite_box_info>();
    done(|e| unsafe { boxlite_result_box(listed, 0, &mut info, e) });
    assert_eq!((crate::world::text(info.name), info.state, info.exit_code), ("two".into(), 0, -1));
    unsafe {
        assert_eq!(boxlite_result_free(listed), BOXLITE_OK);
        assert_eq!(boxlite_box_options_free(set), BOXLITE_OK);
        assert_eq!(boxlite_box_options_free(again), BOXLITE_OK);
    }
    free(runtime);
}

#[test]
fn files_go_in_and_out_and_archives_stream() {
    let world = World::new();
    let (runtime, _) = world.open_with_image();
    let made = world.running(runtime);
    let host = tempfile::tempdir().unwrap();
    let (source, copied) = (host.path().join("source"), host.path().join("copied"));
    std::fs::write(&source, "content").unwrap();
    let (source_name, copied_name) = (c(source.to_str().unwrap()), c(copied.to_str().unwrap()));
    let (inside, directory) = (c("/etc/new"), c("/etc"));
    finish(begin(|o, e| unsafe {
        boxlite_box_copy_in(made, source_name.as_ptr(), inside.as_ptr(), null(), o, e)
    }));
    // SAFETY: zero is a value of every field.
    let mut options: boxlite_copy_options = unsafe { std::mem::zeroed() };
    (options.size, options.keep_existing) = (size_of::<boxlite_copy_options>(), 1);
    let exists = outcome(|o, e| unsafe {
        boxlite_box_copy_in(made, source_name.as_ptr(), inside.as_ptr(), &options, o, e)
    });
    assert_eq!(exists, BOXLITE_ALREADY_EXISTS);
    finish(begin(|o, e| unsafe {
        boxlite_box_copy_out(made, inside.as_ptr(), copied_name.as_ptr(), null(), o, e)
    }));
    assert_eq!(std::fs::read_to_string(&copied).unwrap(), "content");
    let stat = finish(begin(|o, e| unsafe { boxlite_box_stat(made, inside.as_ptr(), true, o, e) }));
    assert_eq!((stat["size_bytes"].as_u64(), stat["uid"].as_u64()), (Some(7), Some(0)));

    let operation = begin(|o, e| unsafe { boxlite_box_get_archive(made, inside.as_ptr(), null(), o, e) });
    let reader = take(operation, |o, out, e| unsafe { boxlite_operation_take_reader(o, out, e) });
    let archive = read_all(reader);
    assert!(archive.len() > 512 && archive.windows(7).any(|window| window == b"content"));
    finish(begin(|o, e| unsafe { boxlite_runtime_metrics(runtime, o, e) }));
    let mut writer = null_mut();
    let putting =
        begin(|o, e| unsafe { boxlite_box_put_archive(made, directory.as_ptr(), null(), o, &mut writer, e) });
    finish(begin(|o, e| unsafe { boxlite_writer_write(writer, archive.as_ptr(), archive.len(), o, e) }));
    finish(begin(|o, e| unsafe { boxlite_writer_close(writer, o, e) }));
    assert_eq!(end(putting).0, BOXLITE_OK);
    unsafe {
        assert_eq!(boxlite_writer_free(writer), BOXLITE_OK);
        assert_eq!(boxlite_reader_free(reader), BOXLITE_OK);
    }
    free(runtime);
}
