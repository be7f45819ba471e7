//! The exported functions of an execution.

use std::ffi::c_char;
use std::sync::Arc;

use boxlite::{Error, ErrorCode, Execution, Result, ResultExt, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{ExecutionObject, boxlite_execution};
use crate::boundary::boundary;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::handle::{self, Handle};
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::status::boxlite_status;
use crate::stream::{ReaderObject, WriterObject, boxlite_reader, boxlite_writer, from_io};

/// Returns a value of an execution.
///
/// # Safety
/// The contracts of places, for `out`, and of errors.
unsafe fn read<T>(
    execution: *mut boxlite_execution,
    out: *mut T,
    error: *mut *mut boxlite_error,
    read: impl FnOnce(&ExecutionObject) -> Result<T>,
) -> boxlite_status {
    let body = || {
        let execution = handle::get(execution)?;
        execution.scope.check()?;
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(out, "output") }?;
        out.set(read(&execution)?);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, body) }
}

/// Begins an operation of an execution.
///
/// # Safety
/// The contracts of places, for `operation`, and of errors.
unsafe fn begin<F>(
    name: &'static str,
    execution: *mut boxlite_execution,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
    work: impl FnOnce(&mut Execution) -> F,
) -> boxlite_status
where
    F: Future<Output = Result<Outcome>> + Send + 'static,
{
    let begin = || {
        let execution = handle::get(execution)?;
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(operation, "operation") }?;
        submit(Within::Scope(&execution.scope), out, |_| work(&mut execution.lock()))
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, || Ok(begin().during(name)?)) }
}

/// Returns the id of an execution, unique among those of its box that run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_id(
    execution: *mut boxlite_execution,
    id: *mut *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, id, error, |found| Ok(found.texts.keep(found.lock().id()))) }
}

/// Returns the process id inside the box.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_pid(
    execution: *mut boxlite_execution,
    pid: *mut u32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, pid, error, |found| Ok(found.lock().pid())) }
}

/// Returns the id of the box it runs in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_box_id(
    execution: *mut boxlite_execution,
    id: *mut *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, id, error, |found| Ok(found.texts.keep(found.lock().box_id().as_str()))) }
}

fn taken(stream: &str) -> Error {
    Error::new(ErrorCode::InvalidState, format!("{stream} has been taken, or was not asked for"))
}

/// Gives a stream a handle.
fn give<H: Handle>(object: Option<H::Object>, stream: &str) -> Result<*mut H> {
    handle::insert::<H>(Arc::new(object.ok_or_else(|| taken(stream))?))
}

/// Takes stdin, if the options asked for it. Until somebody takes it, it stays open. Once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_take_stdin(
    execution: *mut boxlite_execution,
    stdin_writer: *mut *mut boxlite_writer,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let take = |found: &ExecutionObject| {
        let stdin = found.lock().take_stdin();
        give(stdin.map(|stdin| WriterObject::new(stdin, found.scope.clone())), "stdin")
    };
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, stdin_writer, error, take) }
}

/// Takes stdout, or the terminal. Once. A command whose output nobody reads waits when there is no more room for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_take_stdout(
    execution: *mut boxlite_execution,
    stdout_reader: *mut *mut boxlite_reader,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let take = |found: &ExecutionObject| {
        let stdout = found.lock().take_stdout();
        give(stdout.map(|stdout| ReaderObject::new(stdout, found.scope.clone())), "stdout")
    };
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, stdout_reader, error, take) }
}

/// Takes stderr, which is empty if the command has a terminal. Once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_take_stderr(
    execution: *mut boxlite_execution,
    stderr_reader: *mut *mut boxlite_reader,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let take = |found: &ExecutionObject| {
        let stderr = found.lock().take_stderr();
        give(stderr.map(|stderr| ReaderObject::new(stderr, found.scope.clone())), "stderr")
    };
    // SAFETY: the contracts of places and errors.
    unsafe { read(execution, stderr_reader, error, take) }
}

/// Waits for the end of a command; may be called again. Output that nobody took by now is thrown away; output that was
/// taken has to be read, or freed, for the command to come to its end.
///
/// Gives a `boxlite_exit_status`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_wait(
    execution: *mut boxlite_execution,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |found: &mut Execution| {
        let untaken = (found.take_stdout(), found.take_stderr());
        let ended = found.ended();
        async move {
            drop(untaken);
            Ok(Data::ExitStatus(ended.await?).into())
        }
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("execution.wait", execution, operation, error, work) }
}

/// Closes stdin, collects everything that is still to come, and waits for the end. For commands whose streams nobody took.
///
/// Gives a `boxlite_output`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_output(
    execution: *mut boxlite_execution,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let execution = handle::get(execution)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        Ok(submit(Within::Scope(&execution.scope), out, |begun| {
            let begun = begun.clone();
            let mut found = execution.lock();
            let streams = (found.take_stdin(), found.take_stdout(), found.take_stderr());
            let ended = found.ended();
            async move {
                let (stdin, stdout, stderr) = streams;
                drop(stdin);
                let (stdout, stderr) =
                    (stdout.ok_or_else(|| taken("stdout"))?, stderr.ok_or_else(|| taken("stderr"))?);
                // Reading is no operation of the library: nothing else would notice that it was given up.
                let both = async { futures::try_join!(collect(stdout), collect(stderr)) };
                let (stdout, stderr) = begun.unless_cancelled(both).await??;
                Ok(Data::Output(boxlite::Output { stdout, stderr, status: ended.await? }).into())
            }
        })
        .during("execution.output")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

async fn collect(mut stream: impl AsyncRead + Unpin) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.map_err(from_io)?;
    Ok(bytes)
}

/// Sends a signal, by its number on Linux, to the process group of a command; one that has ended is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_signal(
    execution: *mut boxlite_execution,
    signal: i32,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |found: &mut Execution| {
        let sent = found.signal(signal);
        async { sent.await.map(|()| Outcome::Nothing) }
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("execution.signal", execution, operation, error, work) }
}

/// Kills a command with everything it started, whatever groups and sessions that made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_kill(
    execution: *mut boxlite_execution,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |found: &mut Execution| {
        let killed = found.kill();
        async { killed.await.map(|()| Outcome::Nothing) }
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("execution.kill", execution, operation, error, work) }
}

/// Changes the size of the terminal of a command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_resize(
    execution: *mut boxlite_execution,
    rows: u16,
    columns: u16,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work = |found: &mut Execution| {
        let resized = found.resize(TerminalSize { rows, columns });
        async { resized.await.map(|()| Outcome::Nothing) }
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("execution.resize", execution, operation, error, work) }
}

/// Frees an execution. A command that has not ended is killed when its streams are freed too; the main command of a box and
/// a detached one are not, they are only let go of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_execution_free(execution: *mut boxlite_execution) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(execution).map(drop)?)) }
}
