//! A command that runs in a box.

use std::future::Future;
use std::sync::{Mutex, MutexGuard};

use boxlite::{BoxHandle, Error, ErrorCode, ExecutionOutput, ExecutionStdin, ExitStatus, TerminalSize};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bound::ProcessBound;
use crate::convert;
use crate::failure::{Failure, from_io};
use crate::operation::Operation;
use crate::streams::{Output, Stdin};

/// A command that runs in a box, as its caller holds it.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Execution {
    held: ProcessBound<Held>,
    #[pyo3(get)]
    id: String,
    #[pyo3(get)]
    pid: u32,
}

struct Held {
    /// None once it was let go of.
    execution: Mutex<Option<boxlite::Execution>>,
    /// Its box, which knows of the runtime when the execution is let go of.
    handle: BoxHandle,
}

impl Execution {
    /// Waits for an execution of a box to begin.
    pub fn begun(
        handle: BoxHandle,
        begin: impl Future<Output = boxlite::Result<boxlite::Execution>> + Send + 'static,
    ) -> Operation {
        Operation::object(begin, |execution| {
            let (id, pid) = (execution.id().to_owned(), execution.pid());
            let held = Held { execution: Mutex::new(Some(execution)), handle };
            Execution { held: ProcessBound::new(held), id, pid }
        })
    }

    fn lock(&self) -> boxlite::Result<MutexGuard<'_, Option<boxlite::Execution>>> {
        Ok(self.held.get()?.execution.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn begin(&self, begin: impl FnOnce(&mut boxlite::Execution) -> boxlite::Result<Operation>) -> Operation {
        let begun = self.lock().and_then(|mut execution| match execution.as_mut() {
            Some(execution) => begin(execution),
            None => Err(Error::new(ErrorCode::InvalidState, "the execution handle is closed")),
        });
        Operation::begin(begun)
    }

    fn take<T>(&self, take: impl FnOnce(&mut boxlite::Execution) -> Option<T>) -> Option<T> {
        self.lock().ok()?.as_mut().and_then(take)
    }
}

#[pymethods]
impl Execution {
    fn take_stdin(&self) -> Option<Stdin> {
        self.take(boxlite::Execution::take_stdin).map(Stdin::new)
    }

    fn take_stdout(&self) -> Option<Output> {
        self.take(boxlite::Execution::take_stdout).map(Output::new)
    }

    fn take_stderr(&self) -> Option<Output> {
        self.take(boxlite::Execution::take_stderr).map(Output::new)
    }

    /// Waits for the end; output that nobody took is thrown away.
    fn wait(&self) -> Operation {
        self.begin(|execution| {
            drop((execution.take_stdout(), execution.take_stderr()));
            Ok(Operation::data(execution.ended()))
        })
    }

    /// Writes `input` to stdin and closes it, collects what nobody took in the meantime, and waits for the end.
    fn output(&self, input: &[u8]) -> Operation {
        self.begin(|execution| {
            // Without input it is closed here and now.
            let stdin = execution.take_stdin().filter(|_| !input.is_empty());
            let input = input.to_vec();
            let (stdout, stderr) = (execution.take_stdout(), execution.take_stderr());
            let ended = execution.ended();
            let collected = async move {
                let ((), stdout, stderr) =
                    futures::try_join!(feed(stdin, &input), collect(stdout), collect(stderr))?;
                Ok((stdout, stderr, ended.await?))
            };
            // Using a stream leaves nothing to roll back.
            Ok(Operation::droppable(collected, |py, (stdout, stderr, status): (_, _, ExitStatus)| {
                let (stdout, stderr): (Vec<u8>, Vec<u8>) = (stdout, stderr);
                let status = convert::to_python(py, &status)?;
                let both = (PyBytes::new(py, &stdout), PyBytes::new(py, &stderr), status);
                Ok(both.into_pyobject(py)?.into_any().unbind())
            }))
        })
    }

    fn signal(&self, signal: i32) -> Operation {
        self.begin(|execution| Ok(Operation::data(execution.signal(signal))))
    }

    fn kill(&self) -> Operation {
        self.begin(|execution| Ok(Operation::data(execution.kill())))
    }

    fn resize(&self, rows: u16, columns: u16) -> Operation {
        self.begin(|execution| Ok(Operation::data(execution.resize(TerminalSize { rows, columns }))))
    }

    fn check_open(&self) -> Option<Failure> {
        self.held.get().and_then(|held| held.handle.check_open()).err().map(Failure)
    }

    /// Lets go of it; once nobody holds a stream of it either, the command is killed if it has not ended.
    fn close(&self) {
        let execution = self.lock().ok().and_then(|mut execution| execution.take());
        drop(execution);
    }
}

async fn feed(stdin: Option<ExecutionStdin>, input: &[u8]) -> boxlite::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    let feeding = async {
        stdin.write_all(input).await?;
        stdin.shutdown().await
    };
    match feeding.await.map_err(from_io) {
        // The command ended, or closed its input, before it had read all of it: what it did is its answer.
        Err(error) if error.code() == ErrorCode::InvalidState => Ok(()),
        fed => fed,
    }
}

async fn collect(output: Option<ExecutionOutput>) -> boxlite::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        output.read_to_end(&mut bytes).await.map_err(from_io)?;
    }
    Ok(bytes)
}
