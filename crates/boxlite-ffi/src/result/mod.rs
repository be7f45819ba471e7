//! Results: plain data that an operation gave, to be looked at as structs or as JSON.
//!
//! A view is a copy of numbers, and of addresses of texts that the result keeps: they are good until it is freed.

mod boxes;
mod executions;
mod images;
mod system;

use std::ffi::{CString, c_char};
use std::sync::{Arc, OnceLock};

use crate::boundary::boundary;
use crate::data::Data;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::output::{Out, OutStruct, SizedStruct};
use crate::status::boxlite_status;
use crate::text::Texts;

pub use boxes::*;
pub use executions::*;
pub use images::*;
pub use system::*;

/// Data that an operation gave. Freed with `boxlite_result_free`; text read from it lives until then.
pub struct boxlite_result {
    _private: [u8; 0],
}

impl Handle for boxlite_result {
    type Object = ResultObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Result;
    const NOUN: &'static str = "result";
}

/// Data with the texts that C has read of it.
pub(crate) struct ResultObject {
    data: Arc<Data>,
    texts: Texts,
    json: OnceLock<CString>,
}

impl ResultObject {
    pub fn new(data: Arc<Data>) -> Self {
        ResultObject { data, texts: Texts::default(), json: OnceLock::new() }
    }
}

/// Fills in a view of a result.
///
/// # Safety
/// The contracts of structs, for `view`, and of errors.
unsafe fn view<T: SizedStruct>(
    result: *const boxlite_result,
    place: *mut T,
    error: *mut *mut boxlite_error,
    look: impl FnOnce(&Data, &Texts) -> boxlite::Result<T>,
) -> boxlite_status {
    let body = || {
        let result = handle::get(result)?;
        // SAFETY: as promised by the caller.
        let out = unsafe { OutStruct::new(place, "view") }?;
        out.set(look(&result.data, &result.texts)?);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, body) }
}

/// Returns how many elements a result has: those of a list; 1 for a single thing; 0 where a stream has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_count(
    result: *const boxlite_result,
    count: *mut usize,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let result = handle::get(result)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(count, "count") }?;
        out.set(result.data.count());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Returns everything there is to know, as JSON: also what no struct shows. Fields are only ever added to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_json(
    result: *const boxlite_result,
    json: *mut *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let result = handle::get(result)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(json, "json") }?;
        out.set(result.json.get_or_init(|| crate::text::json(&result.data.json())).as_ptr());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a result, and every text read from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_free(result: *mut boxlite_result) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(result).map(drop)?)) }
}
