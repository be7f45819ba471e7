//! The error object: everything a program or a person may want to know of a failure.

use std::ffi::c_char;
use std::sync::Arc;

use boxlite::{Error, ErrorCode};

use crate::boundary::{boundary, value};
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::status::boxlite_status;
use crate::text::Texts;

/// What went wrong. Freed with `boxlite_error_free`; text read from it lives until then.
pub struct boxlite_error {
    _private: [u8; 0],
}

impl Handle for boxlite_error {
    type Object = ErrorObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Error;
    const NOUN: &'static str = "error";
}

/// An error with the texts that C has read of it.
pub(crate) struct ErrorObject {
    error: Arc<Error>,
    texts: Texts,
}

impl ErrorObject {
    #[cfg(test)]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

/// Makes an error object, if somebody wants it. Without a place for it, or for one more handle, the status has to do.
///
/// # Safety
/// `place` is NULL or may be written.
pub(crate) unsafe fn give(error: Arc<Error>, place: *mut *mut boxlite_error) {
    if place.is_null() || !place.is_aligned() {
        return;
    }
    let object = Arc::new(ErrorObject { error, texts: Texts::default() });
    if let Ok(handle) = handle::insert::<boxlite_error>(object) {
        // SAFETY: as promised by the caller, and it is aligned.
        unsafe { place.write(handle) }
    }
}

/// Reads a text of an error; NULL if there is none.
fn text(error: *const boxlite_error, read: impl FnOnce(&ErrorObject) -> *const c_char) -> *const c_char {
    value(std::ptr::null(), || Ok(read(&*handle::get(error)?)))
}

/// Returns what kind of failure it is; `BOXLITE_OK` for NULL, `BOXLITE_INVALID_HANDLE` for what is no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_status(error: *const boxlite_error) -> boxlite_status {
    if error.is_null() {
        return boxlite_status::BOXLITE_OK;
    }
    let read = || Ok(handle::get(error).map_or_else(|missing| missing.code(), |found| found.error.code()));
    value(ErrorCode::Internal, read).into()
}

/// Returns what failed and on what, as one line. Never NULL, so that it can be printed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_message(error: *const boxlite_error) -> *const c_char {
    let message = text(error, |found| found.texts.keep(found.error.message()));
    match (message.is_null(), error.is_null()) {
        (false, _) => message,
        (true, true) => c"no error".as_ptr(),
        (true, false) => c"no such error: it was freed, is of another kind, or never existed".as_ptr(),
    }
}

/// Returns the operation that failed, as `images.pull`; NULL if that is not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_operation(error: *const boxlite_error) -> *const c_char {
    text(error, |found| found.texts.keep_optional(found.error.operation()))
}

/// Returns what to do about it; NULL if there is nothing to say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_hint(error: *const boxlite_error) -> *const c_char {
    text(error, |found| found.texts.keep_optional(found.error.hint_text()))
}

/// Returns whether the same call may succeed later, all else unchanged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_retryable(error: *const boxlite_error) -> bool {
    value(false, || Ok(handle::get(error)?.error.is_retryable()))
}

/// Returns what the error happened to: the value for `reference`, `digest`, `registry`, `path`, `box`, `entry`, `platform`
/// or `status`; NULL if the error has no such value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_context(
    error: *const boxlite_error,
    key: *const c_char,
) -> *const c_char {
    value(std::ptr::null(), || {
        let found = handle::get(error)?;
        // SAFETY: the contract of text that is passed in.
        let key = unsafe { input::text(key, "key") }?;
        let value = found.error.context().iter().find(|(known, _)| known.as_str() == key);
        Ok(found.texts.keep_optional(value.map(|(_, value)| value.as_str())))
    })
}

/// Returns the whole error as JSON: `{"code", "message", "operation", "context": {...}, "retryable", "hint", "source"}`,
/// where the code is a name as `NotFound`. NULL for what is no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_json(error: *const boxlite_error) -> *const c_char {
    text(error, |found| found.texts.keep(&serde_json::to_string(&*found.error).unwrap_or_default()))
}

/// Frees an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_error_free(error: *mut boxlite_error) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(error).map(drop)?)) }
}

/// Returns the name of a status, as `NotFound`; `Ok` for 0, `Unknown` for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn boxlite_status_name(status: i32) -> *const c_char {
    value(c"Unknown".as_ptr(), || Ok(name(status).as_ptr()))
}

fn name(status: i32) -> &'static std::ffi::CStr {
    use std::ffi::CString;
    use std::sync::LazyLock;
    static NAMES: LazyLock<Vec<(i32, CString)>> = LazyLock::new(|| {
        let named = |code: &ErrorCode| (code.number(), CString::new(code.as_str()).unwrap_or_default());
        ErrorCode::ALL.iter().map(named).collect()
    });
    match status {
        0 => c"Ok",
        _ => NAMES.iter().find(|(number, _)| *number == status).map_or(c"Unknown", |(_, name)| name),
    }
}
