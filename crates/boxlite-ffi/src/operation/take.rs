//! Taking what a successful operation made. Handles and results are given once; whoever takes them owns them.

use std::sync::Arc;

use boxlite::{Error, ErrorCode, Result};

use super::{Operation, boxlite_operation};
use crate::boundary::boundary;
use crate::data::Outcome;
use crate::error::boxlite_error;
use crate::handle::{self, Handle};
use crate::input::invalid;
use crate::output::Out;
use crate::result::{ResultObject, boxlite_result};
use crate::runtime::{RuntimeObject, boxlite_runtime};
use crate::status::boxlite_status;

impl Operation {
    /// Takes what was made, if `of_kind` says it is what is asked for, and gives it a handle.
    fn take<H: Handle>(
        &self,
        of_kind: impl FnOnce(&Outcome) -> bool,
        object: impl FnOnce(Outcome) -> Option<Arc<H::Object>>,
    ) -> Result<*mut H, Arc<Error>> {
        self.with_outcome(|outcome| {
            if matches!(outcome, Outcome::Taken) {
                return Err(Error::new(ErrorCode::InvalidState, "what the operation gave has been taken"));
            }
            if !of_kind(outcome) {
                return Err(invalid(format!("the operation gives no {}", H::NOUN)));
            }
            let object = object(std::mem::replace(outcome, Outcome::Taken));
            handle::insert::<H>(object.expect("it is of this kind"))
        })
    }
}

/// Takes the runtime that `boxlite_runtime_open` opened. Freed with `boxlite_runtime_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_operation_take_runtime(
    operation: *mut boxlite_operation,
    runtime: *mut *mut boxlite_runtime,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let operation = handle::get(operation)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(runtime, "runtime") }?;
        out.set(operation.take(
            |outcome| matches!(outcome, Outcome::Runtime(_)),
            |outcome| match outcome {
                Outcome::Runtime(runtime) => Some(Arc::new(RuntimeObject::new(runtime))),
                _ => None,
            },
        )?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
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
