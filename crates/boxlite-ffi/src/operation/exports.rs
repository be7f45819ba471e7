//! The exported functions of an operation: wait, cancel, look, bind, free.

use std::ffi::c_char;

use super::progress::boxlite_progress;
use super::{Within, boxlite_operation, submit};
use boxlite::ResultExt;

use crate::boundary::{boundary, value};
use crate::data::Data;
use crate::error::boxlite_error;
use crate::handle;
use crate::input;
use crate::output::{Out, OutStruct};
use crate::queue::{Completion, boxlite_queue};
use crate::status::boxlite_status;

/// Waits up to `timeout_ms` milliseconds for an operation to end: 0 does not wait, a negative number waits without end.
/// Answers how it ended: `BOXLITE_OK`, or its error. Any number of threads may wait, any number of times.
///
/// An operation that has not ended in time goes on, and this answers `BOXLITE_TIMEOUT`; `boxlite_operation_is_done` tells
/// that from an operation that ended with a timeout of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_wait(
    operation: *mut boxlite_operation,
    timeout_ms: i64,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of errors.
    unsafe { boundary(error, || handle::get(operation)?.wait(input::timeout(timeout_ms))) }
}

/// Returns whether an operation has ended; also false for what is no operation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_is_done(operation: *mut boxlite_operation) -> bool {
    value(false, || Ok(handle::get(operation)?.is_done()))
}

/// Asks an operation to stop, and returns at once. Its end is the answer: it takes back what it has begun and ends with
/// `BOXLITE_CANCELLED`, or with success if that came first. One that has ended is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_cancel(
    operation: *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        handle::get(operation)?.cancel();
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Returns a descriptor that is readable once the operation has ended, for `poll` and `epoll`. It belongs to the operation:
/// do not read from it, and do not close it; `boxlite_operation_free` does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_fd(
    operation: *mut boxlite_operation,
    descriptor: *mut i32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(descriptor, "descriptor") }?;
        out.set(operation.descriptor()?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Has the end of an operation told to a queue, together with `user_data`: one completion, exactly once, also if the
/// operation has ended already, is freed before, or is ended by a shutdown. One queue for each operation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_bind(
    operation: *mut boxlite_operation,
    queue: *mut boxlite_queue,
    user_data: u64,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let (found, queue) = (handle::get(operation)?, handle::get(queue)?);
        Ok(found.bind(queue, Completion { operation: operation.addr(), user_data, status: 0 })?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Reads how far a pull is. All zero for an operation that is no pull.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_progress(
    operation: *mut boxlite_operation,
    progress: *mut boxlite_progress,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: the contract of structs.
        let out = unsafe { OutStruct::new(progress, "progress") }?;
        out.set(operation.progress().numbers());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Waits for the next events of a pull or a preparation. Each is given once; as JSON, an array of objects with a `type`:
/// `resolving`, `resolved`, `layer_cached`, `layer_downloading`, `layer_waiting`, `layer_done`, `retrying`, `merging`,
/// `done`; or of `{"stage", "elapsed_us"}` for a preparation. The array is empty once the operation has ended.
///
/// Gives a result, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_next_events(
    of: *mut boxlite_operation,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let watched = handle::get(of)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = watched.scope().cloned();
        let within = scope.as_ref().map_or(Within::Nothing, Within::ScopeWhileOpen);
        Ok(submit(within, out, |begun| {
            let begun = begun.clone();
            async move {
                let events = begun.unless_cancelled(watched.progress().next()).await?;
                Ok(Data::Progress(events).into())
            }
        })
        .during("operation.next_events")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Returns what a successful operation gives, as JSON; `null` if that is nothing, or a handle that has been taken. The text
/// lives until the operation is freed.
///
/// Answers `BOXLITE_INVALID_STATE` before the operation has ended, and the operation's own error if it failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_json(
    operation: *mut boxlite_operation,
    json: *mut *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(json, "json") }?;
        out.set(operation.json()?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees an operation. One that has not ended is cancelled and takes back what it has begun by itself: this never waits.
/// What it made and nobody took is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_free(operation: *mut boxlite_operation) -> boxlite_status {
    let body = || {
        if let Some(operation) = handle::free(operation)? {
            operation.cancel();
        }
        Ok(())
    };
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), body) }
}
