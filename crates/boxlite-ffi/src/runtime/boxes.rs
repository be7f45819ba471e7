//! The boxes of a runtime: made, found, listed, removed.

use std::ffi::c_char;

use super::boxlite_runtime;
use super::exports::begin_with;
use crate::boxes::{BoxObject, boxlite_box_options};
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::input;
use crate::operation::boxlite_operation;
use crate::options;
use crate::status::boxlite_status;

/// Makes a box of an image that is in the store. Nothing runs yet, and nothing but a row is written. `image` may be NULL if
/// the options name one; `options` may be NULL.
///
/// Gives a box, with `boxlite_operation_take_box`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_create(
    runtime: *mut boxlite_runtime,
    image: *const c_char,
    options: *const boxlite_box_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || {
        let mut spec: boxlite::BoxSpec = options::copy(options)?;
        // SAFETY: the contract of text.
        if let Some(image) = unsafe { input::optional_text(image, "image") }? {
            spec.image = image.to_owned();
        }
        Ok(spec)
    };
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with("runtime.create", runtime, operation, error, read, |found, spec, _| {
            let (runtime, scope) = (found.runtime.clone(), found.scope.clone());
            async move { Ok(BoxObject::new(runtime.create(spec).await?, scope).into()) }
        })
    }
}

/// Finds a box by its name, its id or a unique prefix of its id.
///
/// Gives a box, with `boxlite_operation_take_box`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_get(
    runtime: *mut boxlite_runtime,
    name: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || Ok(unsafe { input::text(name, "name") }?.to_owned());
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with("runtime.get", runtime, operation, error, read, |found, name, _| {
            let (runtime, scope) = (found.runtime.clone(), found.scope.clone());
            async move { Ok(BoxObject::new(runtime.get(&name).await?, scope).into()) }
        })
    }
}

/// Lists all boxes of the home, newest first, as they are now: also those of other processes.
///
/// Gives a list of `boxlite_box_info`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_list(
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with(
            "runtime.list",
            runtime,
            operation,
            error,
            || Ok(()),
            |found, (), _| {
                let runtime = found.runtime.clone();
                async move { Ok(Data::Boxes(runtime.list().await?).into()) }
            },
        )
    }
}

/// Removes a box, found as by `boxlite_runtime_get`, and its disk; one that runs only if `force` is true, which kills it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_remove(
    runtime: *mut boxlite_runtime,
    name: *const c_char,
    force: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || Ok(unsafe { input::text(name, "name") }?.to_owned());
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with("runtime.remove", runtime, operation, error, read, |found, name, _| {
            let runtime = found.runtime.clone();
            async move { runtime.remove(&name, force).await.map(|()| Outcome::Nothing) }
        })
    }
}
