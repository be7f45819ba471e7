//! The exported functions of a runtime.

use std::sync::Arc;

use boxlite::{ResultExt, Runtime};

use super::options::boxlite_runtime_options;
use super::{OpenRuntime, RuntimeObject, boxlite_runtime};
use crate::boundary::boundary;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::handle;
use crate::images::boxlite_images;
use crate::input;
use crate::operation::{Operation, Within, boxlite_operation, submit};
use crate::options;
use crate::output::Out;
use crate::status::boxlite_status;
use crate::stream::{EventsObject, boxlite_events};

/// Opens a home, making it if it does not exist, and settles what dead processes left behind. Takes milliseconds and uses
/// no network. `options` may be NULL.
///
/// Gives a runtime, with `boxlite_operation_take_runtime`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_open(
    options: *const boxlite_runtime_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let options = options::copy(options)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let open = async { Ok(Outcome::Runtime(OpenRuntime::new(Runtime::open(options).await?))) };
        Ok(submit(Within::Nothing, out, |_| open)?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Returns the handle of the images: the same value at every call, without any work. There is one for each runtime: it is
/// freed once, with `boxlite_images_free`, before the runtime or after it, and not once for each call. Freeing it makes it
/// stale for everybody who holds it; the next call makes a new one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_images(
    runtime: *mut boxlite_runtime,
    images: *mut *mut boxlite_images,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let runtime = handle::get(runtime)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(images, "images") }?;
        out.set(runtime.images().during("runtime.images")?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Begins an operation of a runtime.
///
/// # Safety
/// The contracts of places, for `operation`, and of errors.
unsafe fn begin<F>(
    name: &'static str,
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
    work: impl FnOnce(Runtime) -> F,
) -> boxlite_status
where
    F: Future<Output = boxlite::Result<Outcome>> + Send + 'static,
{
    // SAFETY: as promised by the caller.
    unsafe {
        begin_with(name, runtime, operation, error, || Ok(()), |runtime, (), _| work(runtime.runtime.clone()))
    }
}

/// Begins an operation of a runtime for which `read` reads what C passed in.
///
/// # Safety
/// The contracts of places, for `operation`, and of errors.
pub(super) unsafe fn begin_with<T, F>(
    name: &'static str,
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
    read: impl FnOnce() -> boxlite::Result<T>,
    work: impl FnOnce(&RuntimeObject, T, &Arc<Operation>) -> F,
) -> boxlite_status
where
    F: Future<Output = boxlite::Result<Outcome>> + Send + 'static,
{
    let begin = || {
        let runtime = handle::get(runtime)?;
        runtime.scope.check()?;
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(operation, "operation") }?;
        let input = read()?;
        submit(Within::Scope(&runtime.scope), out, |begun| work(&runtime, input, begun))
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, || Ok(begin().during(name)?)) }
}

/// Reads what the runtime has done since it was opened.
///
/// Gives a `boxlite_runtime_counters`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_metrics(
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |runtime: Runtime| async move { Ok(Data::RuntimeMetrics(runtime.metrics().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("runtime.metrics", runtime, operation, error, work) }
}

/// Measures what takes space in the home.
///
/// Gives a `boxlite_usage`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_usage(
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |runtime: Runtime| async move { Ok(Data::Usage(runtime.usage().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("runtime.usage", runtime, operation, error, work) }
}

/// Examines the whole home: every byte of every image, the database, the boxes and what is left of dead ones; mends what
/// it can if `repair` is true. What is wrong is in the result, as many findings as its count.
///
/// Gives a report as JSON, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_check(
    runtime: *mut boxlite_runtime,
    repair: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = move |runtime: Runtime| async move { Ok(Data::Check(runtime.check(repair).await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("runtime.check", runtime, operation, error, work) }
}

/// Looks at whether boxes can run on this host, and says what to do if not.
///
/// Gives a report as JSON, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_doctor(
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |runtime: Runtime| async move { Ok(Data::Doctor(runtime.doctor().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("runtime.doctor", runtime, operation, error, work) }
}

/// Listens to what happens in a runtime from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_events(
    runtime: *mut boxlite_runtime,
    events: *mut *mut boxlite_events,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let runtime = handle::get(runtime)?;
        runtime.scope.check().during("runtime.events")?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(events, "events") }?;
        let object = EventsObject::new(runtime.runtime.events(), runtime.scope.clone());
        out.set(handle::insert::<boxlite_events>(Arc::new(object))?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Shuts a runtime down within `timeout_ms` milliseconds and 250 more.
///
/// From this call on, everything new on the runtime and on every handle made from it answers `BOXLITE_STOPPED`. What is
/// under way is cancelled and takes back what it has begun; boxes that are not detached are stopped, and killed shortly
/// before the deadline. When the operation has ended, so has every other operation of the runtime, and nothing in this
/// process touches the home any more: it can be opened again, or deleted, at once.
///
/// May be called again, and by several at once: all get the same answer, and the earliest deadline counts. It cannot be
/// cancelled. Answers `BOXLITE_TIMEOUT` if something had to be given up to keep the deadline; the home is let go all the
/// same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_shutdown(
    runtime: *mut boxlite_runtime,
    timeout_ms: u64,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let runtime = handle::get(runtime)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let timeout = input::timeout(i64::try_from(timeout_ms).unwrap_or(i64::MAX)).unwrap_or_default();
        // Of no scope: it is what ends the scope.
        Ok(submit(Within::Nothing, out, |_| {
            let shutdown = runtime.shutdown(timeout);
            async { shutdown.await.map(|()| Outcome::Nothing) }
        })?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a runtime: makes its handle stale, shuts it down with a deadline of two seconds if that was not done before, and
/// waits for it. Handles made from it answer `BOXLITE_STOPPED` from then on, and are still to be freed, the image handle
/// too: until then a handle takes a little memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_free(runtime: *mut boxlite_runtime) -> boxlite_status {
    let body = || {
        if let Some(runtime) = handle::free(runtime)? {
            runtime.end()?;
        }
        Ok(())
    };
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), body) }
}
