//! What the tests start from, and the interface with less ceremony.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Arc;

use boxlite_ffi::boxlite_status::BOXLITE_OK;
use boxlite_ffi::*;
use boxlite_testkit::engine::FakeEngine;
use boxlite_testkit::images::{Artifact, Entry, Image, Layer};
use boxlite_testkit::registry::{Gate, Registry};
use serde_json::{Value, json};

/// Long enough for everything that is to end by itself, short enough to notice what does not.
pub const PATIENCE_MS: i64 = 20_000;

pub struct World {
    pub home: tempfile::TempDir,
    pub registry: Registry,
    pub engine: Arc<FakeEngine>,
    pub artifact: Artifact,
}

impl World {
    pub fn new() -> Self {
        let registry = Registry::start();
        let entries = [Entry::file("etc/motd", "hello"), Entry::file("bin", "x".repeat(5000))];
        let artifact =
            Image::new([Layer::from_entries(entries)]).run("Cmd", json!(["echo", "from the image"])).build();
        registry.push("app", "1", &artifact);
        World { home: tempfile::tempdir().unwrap(), registry, engine: FakeEngine::new(), artifact }
    }

    pub fn image(&self) -> CString {
        c(&self.registry.reference("app:1"))
    }

    /// Opens the home.
    pub fn open(&self) -> *mut boxlite_runtime {
        self.open_at(self.home.path())
    }

    pub fn open_at(&self, home: &Path) -> *mut boxlite_runtime {
        let options = self.options(home);
        let runtime = open(options);
        assert_eq!(unsafe { boxlite_runtime_options_free(options) }, BOXLITE_OK);
        runtime
    }

    pub fn options(&self, home: &Path) -> *mut boxlite_runtime_options {
        let options = made(|out, error| unsafe { boxlite_runtime_options_new(out, error) });
        let (home, host) = (c(home.to_str().unwrap()), c(&self.registry.host()));
        // SAFETY: null is a value of every field.
        let mut registry: boxlite_registry = unsafe { std::mem::zeroed() };
        (registry.size, registry.host) = (size_of::<boxlite_registry>(), host.as_ptr());
        registry.transport = boxlite_transport::BOXLITE_TRANSPORT_HTTP as u32;
        unsafe {
            done(|error| boxlite_runtime_options_set_home(options, home.as_ptr(), error));
            done(|error| boxlite_runtime_options_add_registry(options, &registry, error));
            done(|error| boxlite_runtime_options_set_retry(options, 3, 1, error));
        }
        set_engine(options, self.engine.clone()).unwrap();
        options
    }

    /// Opens the home, with the image in it.
    pub fn open_with_image(&self) -> (*mut boxlite_runtime, *mut boxlite_images) {
        let runtime = self.open();
        let images = images_of(runtime);
        finish(begin(|operation, error| pull(images, &self.image(), operation, error)));
        (runtime, images)
    }

    /// A box that runs until it is stopped.
    pub fn running(&self, runtime: *mut boxlite_runtime) -> *mut boxlite_box {
        let created = self.created(runtime);
        finish(begin(|operation, error| unsafe { boxlite_box_start(created, operation, error) }));
        created
    }

    pub fn created(&self, runtime: *mut boxlite_runtime) -> *mut boxlite_box {
        let image = self.image();
        let create = begin(|operation, error| unsafe {
            boxlite_runtime_create(runtime, image.as_ptr(), null_mut(), operation, error)
        });
        take(create, |operation, out, error| unsafe { boxlite_operation_take_box(operation, out, error) })
    }
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Reads a text that a handle owns.
pub fn text(text: *const c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: it came from the library, and its handle is alive.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

type Errors = *mut *mut boxlite_error;

/// Makes a call and returns its status and, freed, its error as JSON.
pub fn call(act: impl FnOnce(Errors) -> boxlite_status) -> (boxlite_status, Value) {
    let mut error = null_mut();
    let status = act(&mut error);
    if error.is_null() {
        assert_eq!(status, BOXLITE_OK, "a failure without an error");
        return (status, Value::Null);
    }
    unsafe {
        assert_eq!(boxlite_error_status(error), status);
        let json = serde_json::from_str(&text(boxlite_error_json(error))).unwrap();
        assert_eq!(boxlite_error_free(error), BOXLITE_OK);
        (status, json)
    }
}

/// Makes a call that succeeds.
pub fn done(act: impl FnOnce(Errors) -> boxlite_status) {
    let (status, error) = call(act);
    assert_eq!(status, BOXLITE_OK, "{error}");
}

/// Makes a call that fails, and returns its status.
pub fn status(act: impl FnOnce(Errors) -> boxlite_status) -> boxlite_status {
    let (status, _) = call(act);
    assert_ne!(status, BOXLITE_OK);
    status
}

/// Makes a call that gives a handle.
pub fn made<T>(act: impl FnOnce(*mut *mut T, Errors) -> boxlite_status) -> *mut T {
    let mut out = null_mut();
    done(|error| act(&mut out, error));
    assert!(!out.is_null());
    out
}

/// Begins an operation.
pub fn begin(
    act: impl FnOnce(*mut *mut boxlite_operation, Errors) -> boxlite_status,
) -> *mut boxlite_operation {
    made(act)
}

/// Waits for the end of an operation, which it frees.
pub fn end(operation: *mut boxlite_operation) -> (boxlite_status, Value) {
    let ended = call(|error| unsafe { boxlite_operation_wait(operation, PATIENCE_MS, error) });
    unsafe {
        assert!(boxlite_operation_is_done(operation), "it hangs");
        assert_eq!(boxlite_operation_free(operation), BOXLITE_OK);
    }
    ended
}

/// Waits for the success of an operation, and returns what it gave as JSON.
pub fn finish(operation: *mut boxlite_operation) -> Value {
    done(|error| unsafe { boxlite_operation_wait(operation, PATIENCE_MS, error) });
    let mut json = std::ptr::null();
    done(|error| unsafe { boxlite_operation_json(operation, &mut json, error) });
    let value = serde_json::from_str(&text(json)).unwrap();
    assert_eq!(unsafe { boxlite_operation_free(operation) }, BOXLITE_OK);
    value
}

/// Waits for the success of an operation, and takes what it made.
pub fn take<T>(
    operation: *mut boxlite_operation,
    act: impl FnOnce(*mut boxlite_operation, *mut *mut T, Errors) -> boxlite_status,
) -> *mut T {
    done(|error| unsafe { boxlite_operation_wait(operation, PATIENCE_MS, error) });
    let taken = made(|out, error| act(operation, out, error));
    assert_eq!(unsafe { boxlite_operation_free(operation) }, BOXLITE_OK);
    taken
}

/// Begins an operation and waits for how it ends; also if that is said at once.
pub fn outcome(act: impl FnOnce(*mut *mut boxlite_operation, Errors) -> boxlite_status) -> boxlite_status {
    let mut operation = null_mut();
    match call(|error| act(&mut operation, error)).0 {
        BOXLITE_OK => end(operation).0,
        refused => refused,
    }
}

pub fn open(options: *mut boxlite_runtime_options) -> *mut boxlite_runtime {
    let opening = begin(|operation, error| unsafe { boxlite_runtime_open(options, operation, error) });
    take(opening, |operation, out, error| unsafe { boxlite_operation_take_runtime(operation, out, error) })
}

pub fn images_of(runtime: *mut boxlite_runtime) -> *mut boxlite_images {
    made(|out, error| unsafe { boxlite_runtime_images(runtime, out, error) })
}

pub fn pull(
    images: *mut boxlite_images,
    reference: &CStr,
    operation: *mut *mut boxlite_operation,
    error: Errors,
) -> boxlite_status {
    unsafe { boxlite_images_pull(images, reference.as_ptr(), null_mut(), operation, error) }
}

pub fn list(images: *mut boxlite_images) -> boxlite_status {
    outcome(|operation, error| unsafe { boxlite_images_list(images, operation, error) })
}

pub fn shutdown(runtime: *mut boxlite_runtime) -> boxlite_status {
    outcome(|operation, error| unsafe {
        boxlite_runtime_shutdown(runtime, PATIENCE_MS as u64, operation, error)
    })
}

pub fn free(runtime: *mut boxlite_runtime) {
    assert_eq!(unsafe { boxlite_runtime_free(runtime) }, BOXLITE_OK);
}

/// Begins a command in a box.
pub fn exec(made: *mut boxlite_box, words: &str, stdin: bool) -> *mut boxlite_execution {
    let words: Vec<CString> = words.split_whitespace().map(c).collect();
    let arguments: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    let options = self::made(|out, error| unsafe { boxlite_exec_options_new(out, error) });
    done(|error| unsafe { boxlite_exec_options_set_stdin(options, stdin, error) });
    let begun = begin(|operation, error| unsafe {
        boxlite_box_exec(made, arguments.as_ptr(), arguments.len(), options, operation, error)
    });
    assert_eq!(unsafe { boxlite_exec_options_free(options) }, BOXLITE_OK);
    take(begun, |operation, out, error| unsafe { boxlite_operation_take_execution(operation, out, error) })
}

/// Waits on a gate of the registry.
pub fn soon<T>(waiting: impl Future<Output = T>) -> T {
    Gate::block_on(waiting)
}

/// How often races are run: a few times, or as the environment says.
pub fn rounds() -> usize {
    std::env::var("BOXLITE_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}
