//! The exported functions of a box: its life, and commands in it.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use boxlite::{BoxHandle, LogOptions, Result, ResultExt};

use super::{BoxObject, boxlite_box};
use crate::boundary::boundary;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::execution::{self, ExecutionObject, boxlite_exec_options};
use crate::handle;
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::status::boxlite_status;
use crate::stream::LogsObject;

/// Begins an operation of a box.
///
/// # Safety
/// The contracts of places, for `operation`, and of errors.
pub(super) unsafe fn begin<T, F>(
    name: &'static str,
    made: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
    read: impl FnOnce() -> Result<T>,
    work: impl FnOnce(BoxHandle, Arc<BoxObject>, T) -> F,
) -> boxlite_status
where
    F: Future<Output = Result<Outcome>> + Send + 'static,
{
    let begin = || {
        let made = handle::get(made)?;
        made.scope.check()?;
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(operation, "operation") }?;
        let input = read()?;
        let scope = made.scope.clone();
        submit(Within::Scope(&scope), out, |_| work(made.handle.clone(), made, input))
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, || Ok(begin().during(name)?)) }
}

/// Returns the id of a box, which is good for `boxlite_runtime_get`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_id(
    r#box: *mut boxlite_box,
    id: *mut *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let made = handle::get(r#box)?;
        made.scope.check()?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(id, "id") }?;
        out.set(made.texts.keep(made.id()));
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Looks up what is known of a box now.
///
/// Gives a `boxlite_box_info`, and all the rest as JSON, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_inspect(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { Ok(Data::Box(Box::new(made.info().await?)).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.info", r#box, operation, error, || Ok(()), work) }
}

/// Starts a box, and its main command if it has one, whose output goes to the log. Ends when commands can run in it;
/// cancelled or failed, nothing of it runs and the box is as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_start(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { made.start().await.map(|()| Outcome::Nothing) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.start", r#box, operation, error, || Ok(()), work) }
}

/// Starts a box, attached to its main command from its first byte of output on. A box that has none is not started.
///
/// Gives an execution, with `boxlite_operation_take_execution`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_start_attached(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |handle: BoxHandle, made: Arc<BoxObject>, ()| async move {
        Ok(ExecutionObject::new(handle.start_attached().await?, made.scope.clone()).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.start_attached", r#box, operation, error, || Ok(()), work) }
}

/// Attaches to the main command of a box that runs: what it prints from now on comes here as well as into the log. One at a
/// time.
///
/// Gives an execution, with `boxlite_operation_take_execution`. Freeing it lets go of the command, which goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_attach(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |handle: BoxHandle, made: Arc<BoxObject>, ()| async move {
        Ok(ExecutionObject::new(handle.attach().await?, made.scope.clone()).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.attach", r#box, operation, error, || Ok(()), work) }
}

/// Runs a command in a box. Ends when the command has begun; cancelled before, it is killed. The first argument is the
/// program, looked up in the `PATH` if it has no slash. `options` may be NULL.
///
/// Gives an execution, with `boxlite_operation_take_execution`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_exec(
    r#box: *mut boxlite_box,
    arguments: *const *const c_char,
    count: usize,
    options: *const boxlite_exec_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of lists of text.
    let read = || unsafe { execution::spec(arguments, count, options) };
    let work = |handle: BoxHandle, made: Arc<BoxObject>, spec| async move {
        Ok(ExecutionObject::new(handle.exec(spec).await?, made.scope.clone()).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.exec", r#box, operation, error, read, work) }
}

/// Stops a box if it runs, and starts it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_restart(
    r#box: *mut boxlite_box,
    timeout_ms: u64,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = move |made: BoxHandle, _, ()| async move {
        made.restart(Duration::from_millis(timeout_ms)).await.map(|()| Outcome::Nothing)
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.restart", r#box, operation, error, || Ok(()), work) }
}

/// Stops a box: asks every process in it to end, unmounts its disk, and kills what is left after `timeout_ms`
/// milliseconds. A box that does not run is stopped already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_stop(
    r#box: *mut boxlite_box,
    timeout_ms: u64,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = move |made: BoxHandle, _, ()| async move {
        made.stop(Duration::from_millis(timeout_ms)).await.map(|()| Outcome::Nothing)
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.stop", r#box, operation, error, || Ok(()), work) }
}

/// Kills a box at once: what its commands had not written to its disk is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_kill(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { made.kill().await.map(|()| Outcome::Nothing) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.kill", r#box, operation, error, || Ok(()), work) }
}

/// Sends a signal, by its number on Linux, to the process group of the main command, of which no one may be attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_signal(
    r#box: *mut boxlite_box,
    signal: i32,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work =
        move |made: BoxHandle, _, ()| async move { made.signal(signal).await.map(|()| Outcome::Nothing) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.signal", r#box, operation, error, || Ok(()), work) }
}

/// Waits until a box has stopped.
///
/// Gives its exit code as a `boxlite_exit_status`, with `boxlite_operation_take_result`: the main command's, 0 after a
/// stop, 137 after a kill.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_wait(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { Ok(Data::ExitCode(made.wait().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.wait", r#box, operation, error, || Ok(()), work) }
}

/// Removes a box and its disk; one that runs only if `force` is true, which kills it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_remove(
    r#box: *mut boxlite_box,
    force: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work =
        move |made: BoxHandle, _, ()| async move { made.remove(force).await.map(|()| Outcome::Nothing) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.remove", r#box, operation, error, || Ok(()), work) }
}

/// Makes a box one that outlives the process that starts it, from its next start on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_detach(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { made.detach().await.map(|()| Outcome::Nothing) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.detach", r#box, operation, error, || Ok(()), work) }
}

/// Measures what a box uses at this moment.
///
/// Gives a `boxlite_box_usage`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_metrics(
    r#box: *mut boxlite_box,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |made: BoxHandle, _, ()| async move { Ok(Data::BoxMetrics(made.metrics().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.metrics", r#box, operation, error, || Ok(()), work) }
}

/// Reads what the main command of a box printed, whether the box runs or not: from the last `tail` lines on, from the
/// beginning if that is negative; to the end there is now, or until the box stops if `follow` is true.
///
/// Gives a stream of log entries, with `boxlite_operation_take_logs`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_logs(
    r#box: *mut boxlite_box,
    tail: i64,
    follow: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let options = LogOptions { follow, tail: usize::try_from(tail).ok() };
    let work = move |handle: BoxHandle, made: Arc<BoxObject>, ()| async move {
        Ok(LogsObject::new(handle.logs(options).await?, made.scope.clone()).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.logs", r#box, operation, error, || Ok(()), work) }
}

/// Frees the handle of a box. The box itself goes on as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_free(r#box: *mut boxlite_box) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(r#box).map(drop)?)) }
}
