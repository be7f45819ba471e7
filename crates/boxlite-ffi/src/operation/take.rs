//! Taking what a successful operation made. A handle is given once, and whoever takes it owns it.

use std::sync::Arc;

use boxlite::{Error, ErrorCode};

use super::{Operation, boxlite_operation};
use crate::boundary::boundary;
use crate::boxes::boxlite_box;
use crate::data::Outcome;
use crate::error::boxlite_error;
use crate::execution::boxlite_execution;
use crate::handle::{self, Handle};
use crate::input::invalid;
use crate::output::Out;
use crate::result::{ResultObject, boxlite_result};
use crate::runtime::{RuntimeObject, boxlite_runtime};
use crate::status::boxlite_status;
use crate::stream::{boxlite_logs, boxlite_reader};

impl Operation {
    /// Takes what was made, if it is what is asked for, and gives it a handle. `object` gives back what it is not.
    fn take<H: Handle>(
        &self,
        object: impl FnOnce(Outcome) -> Result<H::Object, Outcome>,
    ) -> Result<*mut H, Arc<Error>> {
        self.with_outcome(|outcome| match object(std::mem::replace(outcome, Outcome::Taken)) {
            Ok(object) => handle::insert::<H>(Arc::new(object)),
            Err(Outcome::Taken) => {
                Err(Error::new(ErrorCode::InvalidState, "what the operation gave has been taken"))
            }
            Err(other) => {
                *outcome = other;
                Err(invalid(format!("the operation gives no {}", H::NOUN)))
            }
        })
    }
}

/// Takes a handle out of an operation.
///
/// # Safety
/// The contracts of places, for `place`, and of errors.
unsafe fn take<H: Handle>(
    operation: *mut boxlite_operation,
    place: *mut *mut H,
    error: *mut *mut boxlite_error,
    object: impl FnOnce(Outcome) -> Result<H::Object, Outcome>,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(place, H::NOUN) }?;
        out.set(operation.take(object)?);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, body) }
}

/// Takes the runtime that `boxlite_runtime_open` opened. Freed with `boxlite_runtime_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_runtime(
    operation: *mut boxlite_operation,
    runtime: *mut *mut boxlite_runtime,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let object = |outcome| match outcome {
        Outcome::Runtime(runtime) => Ok(RuntimeObject::new(runtime)),
        other => Err(other),
    };
    // SAFETY: the contracts of places and errors.
    unsafe { take(operation, runtime, error, object) }
}

/// Takes the handle of a box. Freed with `boxlite_box_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_box(
    operation: *mut boxlite_operation,
    r#box: *mut *mut boxlite_box,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let object = |outcome| match outcome {
        Outcome::Box(made) => Ok(made),
        other => Err(other),
    };
    // SAFETY: the contracts of places and errors.
    unsafe { take(operation, r#box, error, object) }
}

/// Takes the command that was begun, or attached to. Freed with `boxlite_execution_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_execution(
    operation: *mut boxlite_operation,
    execution: *mut *mut boxlite_execution,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let object = |outcome| match outcome {
        Outcome::Execution(execution) => Ok(*execution),
        other => Err(other),
    };
    // SAFETY: the contracts of places and errors.
    unsafe { take(operation, execution, error, object) }
}

/// Takes the stream of log entries. Freed with `boxlite_logs_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_logs(
    operation: *mut boxlite_operation,
    logs: *mut *mut boxlite_logs,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let object = |outcome| match outcome {
        Outcome::Logs(logs) => Ok(logs),
        other => Err(other),
    };
    // SAFETY: the contracts of places and errors.
    unsafe { take(operation, logs, error, object) }
}

/// Takes the reader of an archive. Freed with `boxlite_reader_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_reader(
    operation: *mut boxlite_operation,
    reader: *mut *mut boxlite_reader,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let object = |outcome| match outcome {
        Outcome::Reader(reader) => Ok(reader),
        other => Err(other),
    };
    // SAFETY: the contracts of places and errors.
    unsafe { take(operation, reader, error, object) }
}

/// Takes the data that an operation gives. Freed with `boxlite_result_free`; may be taken again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_result(
    operation: *mut boxlite_operation,
    result: *mut *mut boxlite_result,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(result, "result") }?;
        let data = operation.with_outcome(|outcome| match outcome {
            Outcome::Data(data) => Ok(data.clone()),
            _ => Err(invalid("the operation gives no result")),
        })?;
        out.set(handle::insert::<boxlite_result>(Arc::new(ResultObject::new(data)))?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}
