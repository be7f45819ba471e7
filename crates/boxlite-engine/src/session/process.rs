//! A command that runs in a box, as seen from outside.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use boxlite_protocol::{Answer, Channel, Control};
use boxlite_types::{Error, ErrorCode, ExitStatus, Result, Signal, TerminalSize};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::{StreamHandle, unexpected};

/// A running command. Its parts may be moved out and used from different tasks.
///
/// When the last of its parts is dropped before it has ended, the command and everything it started is killed, unless it
/// is the main command of the box or was detached: then it goes on. Dropping only `stdout` or `stderr` throws that output away from then
/// on; the command does not notice. Dropping only `stdin` closes it.
pub struct RemoteProcess {
    /// Process id inside the box.
    pub pid: u32,
    /// Whether it goes on when this is dropped.
    pub goes_on: bool,
    /// Where its input is written, if it was asked for.
    pub stdin: Option<Stdin>,
    /// Its output; all of it, for a command with a terminal.
    pub stdout: Output,
    /// Its error output; empty for a command with a terminal.
    pub stderr: Output,
    /// Signals, size and end.
    pub control: ProcessControl,
}

impl RemoteProcess {
    pub(super) fn new(stream: StreamHandle, pid: u32, stdin: bool) -> Self {
        let goes_on = stream.goes_on();
        let stream = Arc::new(stream);
        RemoteProcess {
            pid,
            goes_on,
            stdin: stdin.then(|| Stdin { stream: stream.clone(), closed: false }),
            stdout: Output { stream: stream.clone(), channel: Channel::Stdout },
            stderr: Output { stream: stream.clone(), channel: Channel::Stderr },
            control: ProcessControl { stream },
        }
    }

    /// As [`ProcessControl::wait`].
    ///
    /// # Errors
    /// As [`ProcessControl::wait`].
    pub async fn wait(&self) -> Result<ExitStatus> {
        self.control.wait().await
    }

    /// As [`ProcessControl::kill`].
    ///
    /// # Errors
    /// As [`ProcessControl::kill`].
    pub async fn kill(&self) -> Result<()> {
        self.control.kill().await
    }
}

/// Acts on a running command. Clones act on the same one.
#[derive(Clone)]
pub struct ProcessControl {
    stream: Arc<StreamHandle>,
}

impl ProcessControl {
    /// Waits for the end of the command; any number of tasks may. Output that nobody reads holds the end back, as the
    /// status comes after the last byte: read `stdout` and `stderr`, or drop them.
    ///
    /// # Errors
    /// `Stopped` if the connection is lost first.
    pub async fn wait(&self) -> Result<ExitStatus> {
        match self.stream.outcome().await? {
            Answer::Exited(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a signal to the process group of the command. A command that has ended is left alone.
    ///
    /// # Errors
    /// `InvalidArgument` for a number that is no signal.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        if !(1..=64).contains(&signal) {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("`{signal}` is no signal, 1 to 64 are"),
            ));
        }
        self.send(Control::Signal(signal)).await
    }

    /// Kills the command and everything it started, whatever sessions they made for themselves.
    ///
    /// # Errors
    /// None today: a command that is over, or whose box is, needs no killing.
    pub async fn kill(&self) -> Result<()> {
        self.send(Control::Kill).await
    }

    /// Changes the size of the terminal. A command without one is left alone.
    ///
    /// # Errors
    /// None today.
    pub async fn resize(&self, size: TerminalSize) -> Result<()> {
        self.send(Control::Resize(size)).await
    }

    async fn send(&self, control: Control) -> Result<()> {
        self.stream.room().await;
        self.stream.control(&control);
        Ok(())
    }
}

/// The input of a command. Shutting it down, or dropping it, is its end of file.
pub struct Stdin {
    stream: Arc<StreamHandle>,
    closed: bool,
}

impl Stdin {
    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.stream.send_eof();
        }
    }
}

impl AsyncWrite for Stdin {
    /// Fails with `BrokenPipe` when the command is over.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(self.stream.poll_write(bytes, context));
        Poll::Ready(written.ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.close();
    }
}

/// Output of a command: read it as a stream of bytes, or chunk by chunk without copying.
pub struct Output {
    stream: Arc<StreamHandle>,
    channel: Channel,
}

impl Output {
    /// Returns the next bytes; `None` at the end, also when that is because the box stopped, which
    /// [`ProcessControl::wait`] tells apart.
    pub async fn next_chunk(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|context| self.stream.poll_read(self.channel, usize::MAX, context)).await
    }
}

impl AsyncRead for Output {
    /// Ends without an error only if the output is complete.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.stream.poll_read(self.channel, buffer.remaining(), context)) {
            Some(chunk) => buffer.put_slice(&chunk),
            None => {
                if let Some(error) = self.stream.failure() {
                    return Poll::Ready(Err(io::Error::other(Error::from(error))));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stream.discard(self.channel);
    }
}
