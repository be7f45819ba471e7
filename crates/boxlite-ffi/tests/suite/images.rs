//! Every operation of the image handle, and how its results are read.

use std::ptr::{null, null_mut};

use boxlite_ffi::boxlite_status::*;
use boxlite_ffi::*;
use serde_json::json;

use crate::world::*;

fn result_of(operation: *mut boxlite_operation) -> *mut boxlite_result {
    take(operation, |operation, out, error| unsafe { boxlite_operation_take_result(operation, out, error) })
}

#[test]
fn a_pull_gives_what_it_pulled_and_a_list_shows_it() {
    let world = World::new();
    let runtime = world.open();
    let images = images_of(runtime);
    let image = world.image();
    let operation = begin(|operation, error| pull(images, &image, operation, error));
    done(|error| unsafe { boxlite_operation_wait(operation, PATIENCE_MS, error) });
    // SAFETY: zero is a value of every field.
    let mut progress: boxlite_progress = unsafe { std::mem::zeroed() };
    progress.size = size_of::<boxlite_progress>();
    done(|error| unsafe { boxlite_operation_progress(operation, &mut progress, error) });
    assert_eq!((progress.stage, progress.layer_count, progress.layers_done), (4, 1, 1));
    assert!(progress.received_bytes > 0 && progress.received_bytes == progress.total_bytes, "{progress:?}");

    let pulled = result_of(operation);
    // SAFETY: null is a value of every field.
    let mut view: boxlite_pulled_image = unsafe { std::mem::zeroed() };
    view.size = size_of::<boxlite_pulled_image>();
    done(|error| unsafe { boxlite_result_pulled_image(pulled, &mut view, error) });
    assert_eq!(text(view.reference), image.to_str().unwrap());
    assert_eq!(text(view.id), world.artifact.digest().to_string());
    assert_eq!((view.layer_count, view.cached), (1, 0));

    let listed =
        result_of(begin(|operation, error| unsafe { boxlite_images_list(images, operation, error) }));
    let mut count = 0;
    done(|error| unsafe { boxlite_result_count(listed, &mut count, error) });
    assert_eq!(count, 1);
    // SAFETY: null is a value of every field.
    let mut info: boxlite_image_info = unsafe { std::mem::zeroed() };
    info.size = size_of::<boxlite_image_info>();
    done(|error| unsafe { boxlite_result_image(listed, 0, &mut info, error) });
    assert_eq!(text(info.id), text(view.id));
    assert_eq!(text(info.tag), "1");
    assert!(info.size_bytes > 0 && info.size == size_of::<boxlite_image_info>());
    let mut other = info;
    assert_eq!(
        status(|error| unsafe { boxlite_result_image(listed, 1, &mut other, error) }),
        BOXLITE_INVALID_ARGUMENT
    );
    assert_eq!(
        status(|error| unsafe { boxlite_result_pulled_image(listed, &mut view, error) }),
        BOXLITE_INVALID_ARGUMENT
    );
    let mut text_json = null();
    done(|error| unsafe { boxlite_result_json(listed, &mut text_json, error) });
    let value: serde_json::Value = serde_json::from_str(&text(text_json)).unwrap();
    assert_eq!(value[0]["id"], world.artifact.digest().to_string());
    unsafe {
        assert_eq!(boxlite_result_free(pulled), BOXLITE_OK);
        assert_eq!(boxlite_result_free(listed), BOXLITE_OK);
    }
    free(runtime);
}

#[test]
fn every_operation_of_the_image_handle_does_its_work() {
    let world = World::new();
    let (runtime, images) = world.open_with_image();
    let image = world.image();
    let (name, file) = (c("localhost/other:2"), world.home.path().join("image.erofs"));
    let file_name = c(file.to_str().unwrap());
    let got = finish(begin(|o, e| unsafe { boxlite_images_get(images, image.as_ptr(), null(), o, e) }));
    assert_eq!(got["reference"], image.to_str().unwrap());
    let tagged =
        finish(begin(|o, e| unsafe { boxlite_images_tag(images, image.as_ptr(), name.as_ptr(), o, e) }));
    assert_eq!(tagged["reference"], "localhost/other:2");
    let details =
        finish(begin(|o, e| unsafe { boxlite_images_inspect(images, image.as_ptr(), null(), o, e) }));
    assert_eq!(details["config"]["command"], json!(["echo", "from the image"]));
    assert_eq!(details["references"].as_array().unwrap().len(), 2);
    finish(begin(|o, e| unsafe {
        boxlite_images_export_erofs(images, image.as_ptr(), null(), file_name.as_ptr(), o, e)
    }));
    assert!(file.metadata().unwrap().len() > 0);
    let removed = finish(begin(|o, e| unsafe { boxlite_images_remove(images, name.as_ptr(), false, o, e) }));
    assert_eq!(removed["untagged"], json!(["localhost/other:2"]));
    let gone = outcome(|o, e| unsafe { boxlite_images_get(images, name.as_ptr(), null(), o, e) });
    assert_eq!(gone, BOXLITE_NOT_FOUND);

    let options = made(|out, error| unsafe { boxlite_pull_options_new(out, error) });
    done(|error| unsafe { boxlite_pull_options_set_policy(options, 2, error) });
    let missing = c(&world.registry.reference("never:1"));
    let never = outcome(|o, e| unsafe { boxlite_images_pull(images, missing.as_ptr(), options, o, e) });
    assert_eq!(never, BOXLITE_NOT_FOUND);
    assert_eq!(
        status(|error| unsafe { boxlite_pull_options_set_policy(options, 3, error) }),
        BOXLITE_INVALID_ARGUMENT
    );
    let platform = c("linux/");
    assert_eq!(
        status(|error| unsafe { boxlite_pull_options_set_platform(options, platform.as_ptr(), error) }),
        BOXLITE_INVALID_ARGUMENT
    );
    assert_eq!(unsafe { boxlite_pull_options_free(options) }, BOXLITE_OK);

    let usage = finish(begin(|o, e| unsafe { boxlite_runtime_usage(runtime, o, e) }));
    assert_eq!(usage["images"], 1);
    let check = finish(begin(|o, e| unsafe { boxlite_runtime_check(runtime, false, o, e) }));
    assert_eq!(check["findings"], json!([]));
    let metrics = finish(begin(|o, e| unsafe { boxlite_runtime_metrics(runtime, o, e) }));
    assert_eq!(metrics["boxes_created_total"], 0);
    assert_eq!(finish(begin(|o, e| unsafe { boxlite_runtime_kernels(runtime, o, e) })), json!([]));
    free(runtime);
}

#[test]
fn an_error_tells_everything_it_knows() {
    let world = World::new();
    let runtime = world.open();
    let images = images_of(runtime);
    let reference = c(&world.registry.reference("missing:1"));
    let operation = begin(|operation, error| pull(images, &reference, operation, error));
    let mut error = null_mut();
    let key = c("reference");
    unsafe {
        assert_eq!(boxlite_operation_wait(operation, PATIENCE_MS, &mut error), BOXLITE_NOT_FOUND);
        assert_eq!(boxlite_error_status(error), BOXLITE_NOT_FOUND);
        assert_eq!(text(boxlite_status_name(BOXLITE_NOT_FOUND as i32)), "NotFound");
        assert_eq!(text(boxlite_error_operation(error)), "images.pull");
        assert_eq!(text(boxlite_error_context(error, key.as_ptr())), reference.to_str().unwrap());
        assert!(boxlite_error_context(error, c"entry".as_ptr()).is_null());
        assert!(!boxlite_error_retryable(error));
        assert!(!text(boxlite_error_hint(error)).is_empty());
        let json: serde_json::Value = serde_json::from_str(&text(boxlite_error_json(error))).unwrap();
        assert_eq!(json["code"], "NotFound");
        assert_eq!(json["message"], text(boxlite_error_message(error)));
        assert_eq!(boxlite_error_free(error), BOXLITE_OK);
        // The text of what is no error can be printed all the same.
        assert!(text(boxlite_error_message(error)).contains("freed"));
        assert_eq!(boxlite_error_status(error), BOXLITE_INVALID_HANDLE);
        assert_eq!(text(boxlite_error_message(null())), "no error");
        assert_eq!(boxlite_operation_free(operation), BOXLITE_OK);
    }
    free(runtime);
}

#[test]
fn the_events_of_a_pull_come_in_order_each_once_and_end_with_it() {
    let world = World::new();
    let runtime = world.open();
    let operation = begin(|operation, error| pull(images_of(runtime), &world.image(), operation, error));
    let mut types = Vec::new();
    loop {
        let events = finish(begin(|o, e| unsafe { boxlite_operation_next_events(operation, o, e) }));
        if events == json!([]) {
            break;
        }
        types.extend(
            events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()),
        );
    }
    types.retain(|event| event != "layer_downloading");
    assert_eq!(types, ["resolving", "resolved", "layer_done", "merging", "done"]);
    assert_eq!(end(operation).0, BOXLITE_OK);
    free(runtime);
}
