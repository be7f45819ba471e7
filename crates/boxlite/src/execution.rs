//! A command that runs in a box, as its caller holds it.
//!
//! The connection to the box belongs to the runtime; this holds the ends of one stream on it. Every read and write asks
//! the gate first, so that a stream that outlives its runtime fails with `Stopped` instead of looking like end of file.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, ready};

use boxlite_engine::Session;
use boxlite_engine::session::{Output as RemoteOutput, ProcessControl, RemoteProcess, Stdin};
use boxlite_types::{BoxId, Context, Error, ErrorCode, Event, ExitStatus, Result, Signal, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::core::Core;
use crate::gate::Gate;
use crate::operation::{Work, run};

/// A command that runs in a box.
///
/// When it and every stream taken from it have been dropped before the command has ended, the command and everything it
/// started is killed; the main command of a box and a detached one are not, they are only let go of.
pub struct Execution {
    id: String,
    box_id: BoxId,
    pid: u32,
    stdin: Option<Stdin>,
    stdout: Option<ExecutionOutput>,
    stderr: Option<ExecutionOutput>,
    held: Arc<Held>,
}

/// Everything a command printed, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Bytes of stdout; of the terminal, if it had one.
    pub stdout: Vec<u8>,
    /// Bytes of stderr.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

/// What an execution and its streams share; the command goes when the last of them does.
struct Held {
    gate: Arc<Gate<Core>>,
    control: ProcessControl,
    end: watch::Receiver<Option<Result<ExitStatus, (ErrorCode, String)>>>,
    tokio: tokio::runtime::Handle,
    /// The connection of its own that an attached main command has. It goes before the stdin that nobody took: without
    /// it, dropping that is not the end of the command's input.
    session: Option<Session>,
    goes_on: bool,
    stdin: Mutex<Option<Stdin>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // In a forked child there are no threads to run this, and the connection is the parent's to use.
        if !self.goes_on && self.end.borrow().is_none() && self.gate.check().is_ok() {
            let control = self.control.clone();
            self.tokio.spawn(async move { control.kill().await });
        }
    }
}

impl Execution {
    /// Wraps a command that was just started, and watches it to its end. `session` is the connection it does not share.
    pub(crate) fn new(
        gate: &Arc<Gate<Core>>,
        work: &Work,
        box_id: BoxId,
        program: String,
        process: RemoteProcess,
        session: Option<Session>,
    ) -> Self {
        let (sender, end) = watch::channel(None);
        let held = Arc::new(Held {
            gate: gate.clone(),
            control: process.control.clone(),
            end,
            tokio: work.tokio.clone(),
            session,
            goes_on: process.goes_on,
            stdin: Mutex::new(None),
        });
        work.emit(Event::ExecStarted { id: box_id.clone(), program });
        let (core, id, control) = (Arc::clone(work), box_id.clone(), process.control);
        work.tokio.spawn(async move {
            let end = tokio::select! {
                end = control.wait() => end,
                () = core.leaving.cancelled() => return,
            };
            if let Ok(status) = end {
                core.emit(Event::ExecCompleted { id, status });
            }
            sender.send_replace(Some(end.map_err(|error| (error.code(), error.message().to_owned()))));
        });
        let output = |remote| ExecutionOutput { remote, held: held.clone() };
        Execution {
            id: format!("{box_id}-{}", process.pid),
            box_id,
            pid: process.pid,
            stdin: process.stdin,
            stdout: Some(output(process.stdout)),
            stderr: Some(output(process.stderr)),
            held,
        }
    }

    /// Returns the id of the execution, unique among those of the box that run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the box it runs in.
    pub fn box_id(&self) -> &BoxId {
        &self.box_id
    }

    /// Returns the process id inside the box.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Takes stdin; `None` if it was not asked for, or taken before. Shutting it down or dropping it is end of file. Until
    /// somebody takes it, it stays open.
    pub fn take_stdin(&mut self) -> Option<ExecutionStdin> {
        self.stdin.take().map(|remote| ExecutionStdin { remote, held: self.held.clone() })
    }

    /// Takes stdout; `None` if it was taken before.
    pub fn take_stdout(&mut self) -> Option<ExecutionOutput> {
        self.stdout.take()
    }

    /// Takes stderr; `None` if it was taken before. Empty if the command has a terminal.
    pub fn take_stderr(&mut self) -> Option<ExecutionOutput> {
        self.stderr.take()
    }

    /// Waits for the end of the command. May be called again. Output that nobody took by now is thrown away; output that
    /// was taken has to be read, or dropped, for the command to come to its end.
    ///
    /// # Errors
    /// `Stopped` if the box or the runtime stops first.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        drop((self.stdout.take(), self.stderr.take()));
        self.ended().await
    }

    /// Waits for the end of the command as [`Execution::wait`], and leaves output that nobody took where it is.
    ///
    /// # Errors
    /// `Stopped` if the box or the runtime stops first.
    pub fn ended(&self) -> impl Future<Output = Result<ExitStatus>> + Send + use<> {
        let (gate, mut end, box_id) = (self.held.gate.clone(), self.held.end.clone(), self.box_id.clone());
        async move {
            run(&gate, "execution.wait", |work| async move {
                let ended = async {
                    let end = end.wait_for(Option::is_some).await.map(|end| end.clone());
                    match end {
                        Ok(Some(Ok(status))) => Ok(status),
                        Ok(Some(Err((code, message)))) => {
                            Err(Error::new(code, message).with(Context::Box, box_id.as_str()))
                        }
                        Ok(None) | Err(_) => Err(crate::gate::stopped()),
                    }
                };
                work.cancellable(ended).await
            })
            .await
        }
    }

    /// Closes stdin, collects everything that is still to come, and waits for the end.
    ///
    /// # Errors
    /// As [`Execution::wait`].
    pub async fn output(mut self) -> Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) = futures::try_join!(collect(stdout), collect(stderr))?;
        Ok(Output { stdout, stderr, status: self.ended().await? })
    }

    /// Sends a signal to the process group of the command; one that has ended is left alone.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that is no signal; `Stopped`.
    pub fn signal(&self, signal: Signal) -> impl Future<Output = Result<()>> + Send + use<> {
        self.control("execution.signal", move |control| async move { control.signal(signal).await })
    }

    /// Kills the whole process tree, whatever groups and sessions it made.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn kill(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.control("execution.kill", |control| async move { control.kill().await })
    }

    /// Changes the size of its terminal.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn resize(&self, size: TerminalSize) -> impl Future<Output = Result<()>> + Send + use<> {
        self.control("execution.resize", move |control| async move { control.resize(size).await })
    }

    /// Says whether the runtime is open, without any work: for a binding whose own handle was closed.
    ///
    /// # Errors
    /// `Stopped`; `ForkedProcess`.
    pub fn check_open(&self) -> Result<()> {
        self.held.gate.check()
    }

    /// Acts on the command. The future does not borrow the execution, whose streams can be taken in the meantime.
    fn control<F, R>(&self, name: &'static str, act: F) -> impl Future<Output = Result<()>> + Send + use<F, R>
    where
        F: FnOnce(ProcessControl) -> R + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        let (gate, control) = (self.held.gate.clone(), self.held.control.clone());
        async move { run(&gate, name, |work| async move { work.cancellable(act(control)).await }).await }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        // Letting go of a main command leaves its input open for whoever attaches next.
        if self.held.session.is_some() {
            *self.held.stdin.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = self.stdin.take();
        }
    }
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution").field("box", &self.box_id).field("pid", &self.pid).finish_non_exhaustive()
    }
}

async fn collect(output: Option<ExecutionOutput>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        output.read_to_end(&mut bytes).await.map_err(from_io)?;
    }
    Ok(bytes)
}

/// Takes the product's own error out of one that went through an I/O interface.
pub(crate) fn from_io(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorCode::Network, format!("the stream to the box broke: {error}")),
    }
}

/// The stdin of a command. Shutting it down, or dropping it, is end of file.
pub struct ExecutionStdin {
    remote: Stdin,
    held: Arc<Held>,
}

impl AsyncWrite for ExecutionStdin {
    /// Fails with `BrokenPipe` when the command is over, and with the error `Stopped` inside when the runtime is.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.held.gate.check().map_err(io::Error::other)?;
        Pin::new(&mut self.remote).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.held.gate.check().map_err(io::Error::other)?;
        Pin::new(&mut self.remote).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.held.gate.check().map_err(io::Error::other)?;
        Pin::new(&mut self.remote).poll_shutdown(context)
    }
}

/// The stdout or stderr of a command. Dropping it throws the output away from then on; the command does not notice.
pub struct ExecutionOutput {
    remote: RemoteOutput,
    held: Arc<Held>,
}

impl AsyncRead for ExecutionOutput {
    /// Ends without an error only if the output is complete; fails with the error `Stopped` inside if the box or the
    /// runtime stopped first.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.held.gate.check().map_err(io::Error::other)?;
        let result = ready!(Pin::new(&mut self.remote).poll_read(context, buffer));
        // The box may have been stopped by the shutdown of the runtime while this was waiting.
        Poll::Ready(result.map_err(|error| self.held.gate.check().err().map_or(error, io::Error::other)))
    }
}
