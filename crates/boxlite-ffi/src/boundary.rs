//! The panic boundary: every exported body runs inside [`boundary`], which turns what went wrong into a status.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use boxlite::{Error, ErrorCode};

use crate::error::{self, boxlite_error};
use crate::status::boxlite_status;

/// The result of the body of an exported function. The error is shared, since an operation gives the one it ended with to
/// everybody who asks.
pub(crate) type Result<T, E = Arc<Error>> = std::result::Result<T, E>;

/// Runs the body of an exported function. An error goes where `error` points, if anywhere, and its code is the status; a
/// panic is an error of the code `Internal`.
///
/// # Safety
/// `error` is NULL or may be written.
pub(crate) unsafe fn boundary(
    error: *mut *mut boxlite_error,
    body: impl FnOnce() -> Result<()>,
) -> boxlite_status {
    match catch(body) {
        Ok(()) => boxlite_status::BOXLITE_OK,
        Err(failure) => {
            let status = failure.code().into();
            // SAFETY: as promised by the caller.
            unsafe { error::give(failure, error) };
            status
        }
    }
}

/// Runs the body of an exported function that returns a value, or what stands for none of it.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    catch(body).unwrap_or(otherwise)
}

/// Runs `body`; a panic becomes an error.
fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a body leaves half done is behind locks that recover from poisoning, or is dropped with it.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into()))
}

/// Makes an error of a panic.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    Error::new(ErrorCode::Internal, format!("the library panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_object_and_a_status() {
        let mut error = std::ptr::null_mut();
        // SAFETY: the place lives on this stack.
        let status = unsafe { boundary(&mut error, || panic!("number {}", 7)) };
        assert_eq!(status, boxlite_status::BOXLITE_INTERNAL);
        let failure = crate::handle::get::<boxlite_error>(error).unwrap();
        assert_eq!(failure.error().message(), "the library panicked: number 7");
        assert_eq!(value(3, || panic!("again")), 3);
    }
}
