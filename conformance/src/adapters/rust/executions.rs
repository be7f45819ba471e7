//! Operations on an execution. Its streams are taken when they are first used, so that what nobody reads is left to
//! `execution.output` and `execution.wait`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxlite::{Execution, ExecutionOutput, ExecutionStdin, TerminalSize};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use super::{RustSurface, to_json, unknown};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

/// Most bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// An execution and the streams that were taken from it.
pub struct Command {
    execution: Mutex<Option<Execution>>,
    stdin: Mutex<Option<ExecutionStdin>>,
    stdout: Mutex<Option<ExecutionOutput>>,
    stderr: Mutex<Option<ExecutionOutput>>,
}

impl Command {
    /// Wraps an execution.
    pub fn new(execution: Execution) -> Self {
        Command {
            execution: Mutex::new(Some(execution)),
            stdin: Mutex::default(),
            stdout: Mutex::default(),
            stderr: Mutex::default(),
        }
    }

    async fn write(&self, bytes: &[u8]) -> Result<Json, Fault> {
        let mut stdin = self.stdin.lock().await;
        if stdin.is_none() {
            *stdin = self.execution.lock().await.as_mut().and_then(Execution::take_stdin);
        }
        let stdin =
            stdin.as_mut().ok_or_else(|| Fault::Adapter("the command has no stdin to write to".into()))?;
        stdin.write_all(bytes).await.map_err(stream_error)?;
        stdin.flush().await.map_err(stream_error)?;
        Ok(Json::Null)
    }

    async fn close_stdin(&self) {
        let taken = self.stdin.lock().await.take();
        let untaken = self.execution.lock().await.as_mut().and_then(Execution::take_stdin);
        drop((taken, untaken));
    }

    async fn read(&self, stream: &str) -> Result<Json, Fault> {
        let (slot, take): (_, fn(&mut Execution) -> Option<ExecutionOutput>) = match stream {
            "stdout" => (&self.stdout, Execution::take_stdout),
            "stderr" => (&self.stderr, Execution::take_stderr),
            other => return Err(Fault::Adapter(format!("there is no stream `{other}`"))),
        };
        let mut slot = slot.lock().await;
        if slot.is_none() {
            *slot = self.execution.lock().await.as_mut().and_then(take);
        }
        let output = slot.as_mut().ok_or_else(|| Fault::Adapter(format!("{stream} was given away")))?;
        let mut buffer = vec![0; READ_BYTES];
        let count = output.read(&mut buffer).await.map_err(stream_error)?;
        Ok(STANDARD.encode(&buffer[..count]).into())
    }

    /// Lets go of it and of all its streams.
    async fn close(&self) {
        let execution = self.execution.lock().await.take();
        drop((execution, self.stdin.lock().await.take()));
        drop((self.stdout.lock().await.take(), self.stderr.lock().await.take()));
    }
}

impl RustSurface {
    pub(super) async fn execution(
        &self,
        request: &Request,
        arguments: &mut Arguments,
    ) -> Result<Json, Fault> {
        let command = self.handles.execution(request)?;
        let gone = || Fault::Adapter("the execution was given away".into());
        match request.op.as_str() {
            "execution.write" => {
                let text: String = arguments.take("bytes")?;
                let bytes = STANDARD.decode(text).map_err(|error| Fault::Adapter(error.to_string()))?;
                command.write(&bytes).await
            }
            "execution.close_stdin" => {
                command.close_stdin().await;
                Ok(Json::Null)
            }
            "execution.read" => command.read(&arguments.take::<String>("stream")?).await,
            "execution.output" => {
                drop(command.stdin.lock().await.take());
                let execution = command.execution.lock().await.take().ok_or_else(gone)?;
                let output = execution.output().await?;
                Ok(json!({
                    "stdout": STANDARD.encode(output.stdout),
                    "stderr": STANDARD.encode(output.stderr),
                    "status": to_json(output.status)?,
                }))
            }
            "execution.wait" => {
                let mut execution = command.execution.lock().await;
                let execution = execution.as_mut().ok_or_else(gone)?;
                // Output nobody took is not waited for.
                drop((execution.take_stdout(), execution.take_stderr()));
                let ended = execution.ended();
                to_json(ended.await?)
            }
            "execution.signal" => {
                let signal = arguments.take("signal")?;
                let signalled = command.execution.lock().await.as_ref().ok_or_else(gone)?.signal(signal);
                to_json(signalled.await?)
            }
            "execution.kill" => {
                let killed = command.execution.lock().await.as_ref().ok_or_else(gone)?.kill();
                to_json(killed.await?)
            }
            "execution.resize" => {
                let size =
                    TerminalSize { rows: arguments.take("rows")?, columns: arguments.take("columns")? };
                let resized = command.execution.lock().await.as_ref().ok_or_else(gone)?.resize(size);
                to_json(resized.await?)
            }
            "execution.close" => {
                command.close().await;
                Ok(Json::Null)
            }
            _ => Err(unknown(request)),
        }
    }
}

/// Takes the library's own error out of one that went through a stream.
pub(super) fn stream_error(error: std::io::Error) -> Fault {
    match error.downcast::<boxlite::Error>() {
        Ok(error) => error.into(),
        Err(error) => Fault::Error(json!({ "code": "Execution", "message": error.to_string() })),
    }
}
