//! Writers: the stdin of a command, and archives into a box.
//!
//! A write is an operation on a copy of the bytes. Writes and the closing happen in the order in which they were begun.

use std::sync::Arc;

use boxlite::{Error, ErrorCode, ResultExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use super::from_io;
use crate::boundary::boundary;
use crate::data::Outcome;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::scope::Scope;
use crate::status::boxlite_status;

/// Bytes that go into a box. Freed with `boxlite_writer_free`, which is their end if it was not closed before.
pub struct boxlite_writer {
    _private: [u8; 0],
}

impl Handle for boxlite_writer {
    type Object = WriterObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Writer;
    const NOUN: &'static str = "writer";
}

type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// What is behind the handle of a writer.
pub(crate) struct WriterObject {
    scope: Arc<Scope>,
    /// Fair: whoever asks first is first. `None` once it is closed.
    sink: Mutex<Option<Sink>>,
}

impl WriterObject {
    pub fn new(sink: impl AsyncWrite + Send + Unpin + 'static, scope: Arc<Scope>) -> Self {
        WriterObject { scope, sink: Mutex::new(Some(Box::new(sink))) }
    }

    async fn write(&self, bytes: &[u8]) -> boxlite::Result<()> {
        let mut sink = self.sink.lock().await;
        let sink =
            sink.as_mut().ok_or_else(|| Error::new(ErrorCode::InvalidState, "the writer is closed"))?;
        sink.write_all(bytes).await.map_err(from_io)?;
        sink.flush().await.map_err(from_io)
    }

    async fn close(&self) -> boxlite::Result<()> {
        match self.sink.lock().await.take() {
            Some(mut sink) => sink.shutdown().await.map_err(from_io),
            None => Ok(()),
        }
    }
}

/// Writes all of the bytes, which are copied. The operation ends when the other side has room for them. Cancelled, part of
/// them may have been written. Answers `BOXLITE_INVALID_STATE` if the command has ended, or has closed its stdin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_writer_write(
    writer: *mut boxlite_writer,
    bytes: *const u8,
    length: usize,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let writer = handle::get(writer)?;
        // SAFETY: the contract of bytes.
        let bytes = unsafe { input::slice(bytes, length, "bytes") }?.to_owned();
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = writer.scope.clone();
        Ok(submit(Within::Scope(&scope), out, |begun| {
            let begun = begun.clone();
            async move {
                begun.unless_cancelled(writer.write(&bytes)).await??;
                Ok(Outcome::Nothing)
            }
        })
        .during("writer.write")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Ends what is written, after everything that was begun before. A writer that is closed already is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_writer_close(
    writer: *mut boxlite_writer,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let writer = handle::get(writer)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = writer.scope.clone();
        Ok(submit(Within::Scope(&scope), out, |begun| {
            let begun = begun.clone();
            async move {
                begun.unless_cancelled(writer.close()).await??;
                Ok(Outcome::Nothing)
            }
        })
        .during("writer.close")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a writer. What is written ends when the last write that was begun has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_writer_free(writer: *mut boxlite_writer) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(writer).map(drop)?)) }
}
