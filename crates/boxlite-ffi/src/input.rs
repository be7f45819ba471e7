//! What C passes in, checked before anything believes it: text, bytes, numbers that stand for a choice.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::time::Duration;

use boxlite::{Error, ErrorCode, Result};

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// Reads a text, which has to be there.
///
/// # Safety
/// `text` is NULL or points to bytes that end with a NUL and do not change during the call.
pub(crate) unsafe fn text<'call>(text: *const c_char, name: &str) -> Result<&'call str> {
    // SAFETY: as promised by the caller.
    unsafe { optional_text(text, name) }?.ok_or_else(|| invalid(format!("`{name}` is NULL")))
}

/// Reads a text, or `None` for NULL.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional_text<'call>(text: *const c_char, name: &str) -> Result<Option<&'call str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|error| invalid(format!("`{name}` is not UTF-8: {error}")))
}

/// Reads a path, which has to be there.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn path(path: *const c_char, name: &str) -> Result<PathBuf> {
    // SAFETY: as promised by the caller.
    Ok(PathBuf::from(unsafe { text(path, name) }?))
}

/// Reads a list of texts.
///
/// # Safety
/// `texts` is NULL or points to `count` texts, each as for [`text`].
pub(crate) unsafe fn list(texts: *const *const c_char, count: usize, name: &str) -> Result<Vec<String>> {
    // SAFETY: as promised by the caller.
    let texts = unsafe { slice(texts, count, name) }?;
    // SAFETY: as promised by the caller.
    texts.iter().map(|item| Ok(unsafe { text(*item, name) }?.to_owned())).collect()
}

/// Reads bytes, or other plain elements; NULL is fine if there are none.
///
/// # Safety
/// `start` is NULL or points to `count` elements that do not change during the call.
pub(crate) unsafe fn slice<'call, T>(start: *const T, count: usize, name: &str) -> Result<&'call [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if start.is_null() || !start.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("`{name}` does not point to {count} elements")));
    }
    // SAFETY: as promised by the caller; the size fits.
    Ok(unsafe { std::slice::from_raw_parts(start, count) })
}

/// Reads a timeout in milliseconds; `None` for a negative one, which is none.
pub(crate) fn timeout(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// Picks what a number stands for.
pub(crate) fn choice<T: Copy>(number: u32, name: &str, choices: &[T]) -> Result<T> {
    choices.get(number as usize).copied().ok_or_else(|| {
        invalid(format!("`{name}` is {number}, but there are only 0 to {}", choices.len().saturating_sub(1)))
    })
}
