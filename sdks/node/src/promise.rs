//! A future of the library as a promise of JavaScript.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use boxlite::{Error, ErrorCode, Result, cancelled_by};
use futures::FutureExt;
use napi::bindgen_prelude::{FromNapiValue, ToNapiValue, Unknown};
use napi::{Env, check_status, sys};

use crate::answer::{cancelled, error_text};
use crate::executor::Executor;

/// Returns the promise of what `future` gives. Cancelling `operation` cancels what the future has begun in the library; the
/// promise settles when that is over.
pub fn promise<'env, T: ToNapiValue + 'static>(
    env: &'env Env,
    operation: u32,
    future: impl Future<Output = Result<T>> + 'static,
) -> napi::Result<Unknown<'env>> {
    let executor = Executor::of(env)?;
    let (mut deferred, mut raw) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: `env` is the environment of the call this happens in.
    check_status!(unsafe { sys::napi_create_promise(env.raw(), &mut deferred, &mut raw) })?;
    let (inner, raw_env) = (executor.clone(), env.raw());
    let cancel = (operation != 0).then(|| executor.cancellable(operation));
    let task = executor.spawn(true, async move {
        let guarded = AssertUnwindSafe(future).catch_unwind();
        let result = match cancel {
            None => guarded.await,
            Some(cancel) => {
                let result = cancelled_by(cancel, guarded).await;
                inner.finished(operation);
                result
            }
        };
        settle(raw_env, deferred, result.unwrap_or_else(|_| Err(panicked())));
    });
    executor.waits_for(task, operation);
    // SAFETY: the promise was made above, in the scope of the same call.
    unsafe { Unknown::from_napi_value(env.raw(), raw) }
}

/// Returns the promise of what `future` gives, or of `Cancelled` as soon as that is asked for: for waiting that has nothing
/// to roll back, as for the next bytes of a stream, and that begins no operation of the library.
pub fn waiting<'env, T: ToNapiValue + 'static>(
    env: &'env Env,
    operation: u32,
    future: impl Future<Output = Result<T>> + 'static,
) -> napi::Result<Unknown<'env>> {
    if operation == 0 {
        return promise(env, 0, future);
    }
    let executor = Executor::of(env)?;
    let token = executor.cancellable(operation);
    promise(env, 0, async move {
        let result = tokio::select! {
            biased;
            () = token.cancelled() => Err(cancelled()),
            result = future => result,
        };
        executor.finished(operation);
        result
    })
}

fn panicked() -> Error {
    Error::new(ErrorCode::Internal, "the native module panicked")
}

/// Settles a promise on the thread of its environment. What Node refuses here, it refuses because the environment is going.
fn settle<T: ToNapiValue>(env: sys::napi_env, deferred: sys::napi_deferred, result: Result<T>) {
    let value = result.and_then(|value| {
        // SAFETY: `env` is alive: tasks are polled in calls from it only.
        unsafe { T::to_napi_value(env, value) }
            .map_err(|error| Error::new(ErrorCode::Internal, format!("an answer was lost: {error}")))
    });
    match value {
        // SAFETY: as above; the deferred was made with the promise, and is used once.
        Ok(value) => unsafe { sys::napi_resolve_deferred(env, deferred, value) },
        Err(error) => {
            // SAFETY: as above.
            match unsafe { String::to_napi_value(env, error_text(&error)) } {
                // SAFETY: as above.
                Ok(text) => unsafe { sys::napi_reject_deferred(env, deferred, text) },
                Err(_) => sys::Status::napi_generic_failure,
            }
        }
    };
}
