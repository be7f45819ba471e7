//! A command that runs in a box.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use boxlite_types::{BoxId, ExitStatus, Result, Signal, TerminalSize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A command that runs in a box. Dropping it, and every stream taken from it, kills the command.
pub struct Execution {}

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

impl Execution {
    /// Returns the id of the execution.
    pub fn id(&self) -> &str {
        unimplemented!()
    }

    /// Returns the box it runs in.
    pub fn box_id(&self) -> &BoxId {
        unimplemented!()
    }

    /// Returns the process id inside the box.
    pub fn pid(&self) -> u32 {
        unimplemented!()
    }

    /// Takes stdin; `None` if it was not asked for, or taken before. Shutting it down or dropping it is end of file.
    pub fn take_stdin(&mut self) -> Option<ExecutionStdin> {
        unimplemented!()
    }

    /// Takes stdout; `None` if it was taken before.
    pub fn take_stdout(&mut self) -> Option<ExecutionOutput> {
        unimplemented!()
    }

    /// Takes stderr; `None` if it was taken before.
    pub fn take_stderr(&mut self) -> Option<ExecutionOutput> {
        unimplemented!()
    }

    /// Waits for the end; output that nobody took is discarded. May be called again.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        unimplemented!()
    }

    /// Closes stdin and collects everything until the end.
    pub async fn output(self) -> Result<Output> {
        unimplemented!()
    }

    /// Sends a signal to the process group of the command.
    pub async fn signal(&self, _signal: Signal) -> Result<()> {
        unimplemented!()
    }

    /// Kills the whole process tree.
    pub async fn kill(&self) -> Result<()> {
        unimplemented!()
    }

    /// Changes the size of its terminal.
    pub async fn resize(&self, _size: TerminalSize) -> Result<()> {
        unimplemented!()
    }
}

/// The stdin of a command.
pub struct ExecutionStdin {}

impl AsyncWrite for ExecutionStdin {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        unimplemented!()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }
}

/// The stdout or stderr of a command.
pub struct ExecutionOutput {}

impl AsyncRead for ExecutionOutput {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }
}
