//! Option objects: what a call may be told, set piece by piece, so that there can be more of it later.
//!
//! A call copies the options it is given; they can be used again, changed or freed at once.

use std::sync::{Arc, Mutex};

use boxlite::Result;

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::handle::{self, Handle};
use crate::output::Out;
use crate::status::boxlite_status;

/// Makes an option object with the defaults.
///
/// # Safety
/// The contracts of places, for `out`, and of errors.
pub(crate) unsafe fn new<H: Handle<Object = Mutex<T>>, T: Default>(
    out: *mut *mut H,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(out, "options") }?;
        out.set(handle::insert(Arc::new(Mutex::new(T::default())))?);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, body) }
}

/// Changes an option object.
///
/// # Safety
/// The contract of errors.
pub(crate) unsafe fn set<H: Handle<Object = Mutex<T>>, T>(
    options: *mut H,
    error: *mut *mut boxlite_error,
    change: impl FnOnce(&mut T) -> Result<()>,
) -> boxlite_status {
    let body = || {
        let options = handle::get(options)?;
        let mut options = options.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(change(&mut options)?)
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, body) }
}

/// Copies the options of a call; the defaults for NULL.
pub(crate) fn copy<H: Handle<Object = Mutex<T>>, T: Clone + Default>(options: *const H) -> Result<T> {
    if options.is_null() {
        return Ok(T::default());
    }
    let options = handle::get(options)?;
    Ok(options.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
}
