//! Bytes: what goes into a command and comes out of it, and archives.
//!
//! One piece at a time: a reader that does not ask for the next one holds the command back, as a pipe would. Calls on one
//! stream take their turns in the order in which they were made, also those that nobody waits for: the lock is tokio's,
//! which is fair, because one that lets a later call barge in would reorder what is written.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use boxlite::{CancellationToken, Error, ErrorCode, Result};
use napi::Env;
use napi::bindgen_prelude::{Buffer, Unknown};
use napi_derive::napi;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::Mutex;

use crate::promise::waiting;

/// Bytes that a reader makes room for at first, and at most: twice what came the last time in between.
const PIECE_BYTES: (usize, usize) = (4 << 10, 512 << 10);

/// Bytes of an archive on their way into a box that may wait for it.
const PIPE_BYTES: usize = 256 << 10;

/// The stdout or stderr of a command, or an archive on its way out of a box.
#[napi]
pub struct NativeOutput {
    /// Nothing once it is closed: the command is not held by an object that waits for the garbage collector.
    reader: RefCell<Option<Rc<Mutex<Reader>>>>,
    closed: CancellationToken,
}

struct Reader {
    output: Pin<Box<dyn AsyncRead>>,
    room: usize,
    /// What the stream failed with after bytes that came before it.
    failed: Option<Error>,
}

impl NativeOutput {
    pub(crate) fn new(output: impl AsyncRead + 'static) -> Self {
        let output = Box::pin(output);
        let reader = Reader { output, room: PIECE_BYTES.0, failed: None };
        let reader = RefCell::new(Some(Rc::new(Mutex::new(reader))));
        NativeOutput { reader, closed: CancellationToken::new() }
    }
}

#[napi]
impl NativeOutput {
    /// Waits for the next bytes; `null` at the end.
    #[napi(catch_unwind)]
    pub fn read<'env>(&self, env: &'env Env, operation: u32) -> napi::Result<Unknown<'env>> {
        let (reader, closed) = (self.reader.borrow().clone(), self.closed.clone());
        waiting(env, operation, async move {
            let reader = reader.ok_or_else(stream_closed)?;
            let next = async {
                let mut reader = reader.lock().await;
                poll_fn(|context| reader.poll_next(context)).await
            };
            tokio::select! {
                biased;
                () = closed.cancelled() => Err(stream_closed()),
                piece = next => piece.map(|piece| piece.map(Buffer::from)),
            }
        })
    }

    /// Ends whoever waits for bytes, and lets go of them.
    #[napi]
    pub fn close(&self) {
        self.closed.cancel();
        let reader = self.reader.borrow_mut().take();
        drop(reader);
    }
}

impl Reader {
    /// Collects what is there, up to the room there is.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let mut bytes = Vec::with_capacity(self.room);
        loop {
            let before = bytes.len();
            match self.poll_more(context, &mut bytes) {
                Poll::Pending if before == 0 => return Poll::Pending,
                Poll::Ready(Err(error)) if before == 0 => return Poll::Ready(Err(read_error(error))),
                Poll::Ready(Err(error)) => self.failed = Some(read_error(error)),
                Poll::Ready(Ok(())) if bytes.len() > before && bytes.len() < self.room => continue,
                Poll::Pending | Poll::Ready(Ok(())) => {}
            }
            break;
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(None));
        }
        self.room = (bytes.len() * 2).clamp(PIECE_BYTES.0, PIECE_BYTES.1);
        Poll::Ready(Ok(Some(bytes)))
    }

    fn poll_more(&mut self, context: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let room = bytes.spare_capacity_mut();
        let mut buffer = ReadBuf::uninit(room);
        ready!(self.output.as_mut().poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        // SAFETY: `filled` are the first bytes of the spare capacity, all of them written.
        unsafe { bytes.set_len(bytes.len() + read) };
        Poll::Ready(Ok(()))
    }
}

/// The stdin of a command, or where an archive for a box is written to.
#[napi]
pub struct NativeInput {
    writer: Rc<Mutex<Option<Writer>>>,
    /// Nobody waits for what is still being written.
    given_up: CancellationToken,
}

type Writer = Pin<Box<dyn AsyncWrite>>;

impl NativeInput {
    pub(crate) fn new(writer: impl AsyncWrite + 'static) -> Self {
        let writer = Rc::new(Mutex::new(Some(Box::pin(writer) as Writer)));
        NativeInput { writer, given_up: CancellationToken::new() }
    }
}

#[napi]
impl NativeInput {
    /// Writes all of the bytes.
    #[napi(catch_unwind)]
    pub fn write<'env>(&self, env: &'env Env, bytes: &[u8], operation: u32) -> napi::Result<Unknown<'env>> {
        // Copied: JavaScript may change its own before they have gone.
        let (writer, bytes, given_up) = (self.writer.clone(), bytes.to_vec(), self.given_up.clone());
        waiting(env, operation, async move {
            let written = async {
                let mut writer = writer.lock().await;
                let stdin = writer.as_mut().ok_or_else(stdin_closed)?;
                let all = async {
                    stdin.write_all(&bytes).await?;
                    stdin.flush().await
                };
                all.await.map_err(write_error)
            };
            tokio::select! {
                biased;
                () = given_up.cancelled() => Err(stdin_closed()),
                written = written => written,
            }
        })
    }

    /// Throws away what has not gone yet, for a command that is not to go on: it would wait for a command that does not read.
    #[napi]
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Ends the input.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env, operation: u32) -> napi::Result<Unknown<'env>> {
        let (writer, given_up) = (self.writer.clone(), self.given_up.clone());
        waiting(env, operation, async move {
            let mut writer = writer.lock().await;
            let Some(stdin) = writer.as_mut() else { return Ok(()) };
            let ended = tokio::select! {
                biased;
                () = given_up.cancelled() => Ok(()),
                ended = stdin.shutdown() => ended,
            };
            // Letting go of it is the end of the input too, whatever became of saying so.
            *writer = None;
            match ended {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                ended => ended.map_err(write_error),
            }
        })
    }
}

/// What JavaScript writes at one end and an operation of the library reads at the other.
#[napi]
pub struct NativePipe {
    reader: RefCell<Option<DuplexStream>>,
    writer: RefCell<Option<NativeInput>>,
}

impl NativePipe {
    /// Takes the end of the library.
    pub(crate) fn take_reader(&self) -> Option<DuplexStream> {
        self.reader.borrow_mut().take()
    }
}

#[napi]
impl NativePipe {
    /// Makes one.
    #[napi(factory)]
    pub fn create() -> Self {
        // Not `simplex`, whose writer is not told that the reader has gone.
        let (reader, writer) = duplex(PIPE_BYTES);
        let (reader, writer) = (Some(reader), Some(NativeInput::new(writer)));
        NativePipe { reader: RefCell::new(reader), writer: RefCell::new(writer) }
    }

    /// Takes the end of JavaScript, once.
    #[napi]
    pub fn take_input(&self) -> Option<NativeInput> {
        self.writer.borrow_mut().take()
    }
}

fn read_error(error: io::Error) -> Error {
    own(error, "execution.read", "the stream from the box broke")
}

fn write_error(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::new(ErrorCode::InvalidState, "the command no longer reads its stdin")
            .during("execution.write");
    }
    own(error, "execution.write", "the stream to the box broke")
}

/// Takes the library's own error out of one that went through an I/O interface.
fn own(error: io::Error, operation: &'static str, what: &str) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error.during(operation),
        Err(error) => Error::new(ErrorCode::Network, format!("{what}: {error}")).during(operation),
    }
}

fn stream_closed() -> Error {
    Error::new(ErrorCode::InvalidState, "the output is closed").during("execution.read")
}

fn stdin_closed() -> Error {
    Error::new(ErrorCode::InvalidState, "stdin is closed").during("execution.write")
}
