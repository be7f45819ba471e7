//! Readers: stdout and stderr of a command, and archives out of a box.
//!
//! Reading happens on the thread of the caller and straight into its buffer, without a detour over another thread. For
//! programs that wait in one place for many things there is an operation that ends when a read would not wait; what it had
//! to read for that is kept here and given to the next read.
//!
//! One at a time: whoever reads or waits takes the source out, and puts it back in the same state, also when cancelled.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use boxlite::{Error, ErrorCode, Result, ResultExt};
use tokio::io::{AsyncRead, ReadBuf};

use super::{from_io, park};
use crate::boundary::boundary;
use crate::data::Outcome;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input::{self, invalid};
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::scope::Scope;
use crate::status::boxlite_status;

/// Most bytes read ahead by an operation.
const AHEAD_BYTES: usize = 256 * 1024;

/// Bytes that come out of a box. Freed with `boxlite_reader_free`: what is still to come is thrown away then.
pub struct boxlite_reader {
    _private: [u8; 0],
}

impl Handle for boxlite_reader {
    type Object = ReaderObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Reader;
    const NOUN: &'static str = "reader";
}

type Source = Box<dyn AsyncRead + Send + Unpin>;

/// What is behind the handle of a reader.
pub(crate) struct ReaderObject {
    scope: Arc<Scope>,
    state: Mutex<State>,
}

struct State {
    /// `None` while somebody reads.
    source: Option<Source>,
    /// Read ahead, from `start` on.
    ahead: Vec<u8>,
    start: usize,
    end: Option<Result<(), Failure>>,
}

/// A failure of the stream, which every later read meets again.
#[derive(Clone)]
struct Failure {
    code: ErrorCode,
    message: String,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let error = from_io(error);
        Failure { code: error.code(), message: error.message().to_owned() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(failure.code, failure.message)
    }
}

/// The source in the hands of one reader; dropping it puts the source back.
struct Borrowed<'a> {
    reader: &'a ReaderObject,
    source: Option<Source>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.reader.lock().source = self.source.take();
    }
}

impl ReaderObject {
    pub fn new(source: impl AsyncRead + Send + Unpin + 'static, scope: Arc<Scope>) -> Self {
        let state = State { source: Some(Box::new(source)), ahead: Vec::new(), start: 0, end: None };
        ReaderObject { scope, state: Mutex::new(state) }
    }

    /// Reads what is there, up to the length of `buffer`; waits for something. 0 is the end.
    fn read(&self, buffer: &mut [MaybeUninit<u8>], timeout: Option<std::time::Duration>) -> Result<usize> {
        self.scope.check()?;
        let mut borrowed = {
            let mut state = self.lock();
            let ahead = state.ahead.len() - state.start;
            if ahead > 0 {
                let count = ahead.min(buffer.len());
                let from = &state.ahead[state.start..][..count];
                buffer[..count].write_copy_of_slice(from);
                state.start += count;
                return Ok(count);
            }
            match &state.end {
                Some(Ok(())) => return Ok(0),
                Some(Err(failure)) => return Err(failure.clone().into()),
                None => self.borrow(&mut state)?,
            }
        };
        let source = borrowed.source.as_mut().expect("it was borrowed");
        let mut buffer = ReadBuf::uninit(buffer);
        let reading = std::future::poll_fn(|context| Pin::new(&mut *source).poll_read(context, &mut buffer));
        let result = park::wait(reading, timeout)
            .ok_or_else(|| Error::new(ErrorCode::Timeout, "nothing has come that could be read"))?;
        let count = buffer.filled().len();
        drop(borrowed);
        match result {
            Ok(()) if count > 0 => Ok(count),
            Ok(()) => {
                self.lock().end = Some(Ok(()));
                Ok(0)
            }
            Err(error) => {
                let failure = Failure::from(error);
                self.lock().end = Some(Err(failure.clone()));
                Err(failure.into())
            }
        }
    }

    /// Waits until a read would not wait, and reads ahead what is there.
    async fn ready(&self) -> Result<()> {
        let (mut borrowed, mut ahead) = {
            let mut state = self.lock();
            if state.start < state.ahead.len() || state.end.is_some() {
                return Ok(());
            }
            let borrowed = self.borrow(&mut state)?;
            // Where reading goes on is taken along with what was read: whoever reads meanwhile, or after this was
            // cancelled, finds nothing, and not less than nothing.
            state.start = 0;
            (borrowed, std::mem::take(&mut state.ahead))
        };
        let source = borrowed.source.as_mut().expect("it was borrowed");
        ahead.clear();
        ahead.reserve_exact(AHEAD_BYTES);
        let mut buffer = ReadBuf::uninit(&mut ahead.spare_capacity_mut()[..AHEAD_BYTES]);
        let end = std::future::poll_fn(|context| {
            loop {
                let before = buffer.filled().len();
                return match Pin::new(&mut *source).poll_read(context, &mut buffer) {
                    Poll::Pending if before == 0 => Poll::Pending,
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                    Poll::Ready(Ok(())) if buffer.filled().len() == before => Poll::Ready(Some(Ok(()))),
                    Poll::Ready(Ok(())) if buffer.remaining() == 0 => Poll::Ready(None),
                    Poll::Ready(Ok(())) => continue,
                };
            }
        })
        .await;
        let count = buffer.filled().len();
        // SAFETY: the buffer was made of the spare capacity, and so much of it has been filled.
        unsafe { ahead.set_len(count) }
        let mut state = self.lock();
        (state.ahead, state.start, state.end) = (ahead, 0, end);
        Ok(())
    }

    fn borrow(&self, state: &mut State) -> Result<Borrowed<'_>> {
        match state.source.take() {
            Some(source) => Ok(Borrowed { reader: self, source: Some(source) }),
            None => Err(Error::new(ErrorCode::InvalidState, "somebody else reads here at this moment")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Reads what is there, at most `length` bytes, and says how many in `count`; 0 at the end. Waits up to `timeout_ms`
/// milliseconds for something to read: 0 does not wait, a negative number waits without end. Answers `BOXLITE_TIMEOUT` if
/// nothing came, and `BOXLITE_STOPPED` if the box or the runtime stopped before the end: an end without an error is the
/// end of everything there was.
///
/// One thread at a time reads from a reader; another one is told `BOXLITE_INVALID_STATE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_reader_read(
    reader: *mut boxlite_reader,
    timeout_ms: i64,
    buffer: *mut u8,
    length: usize,
    count: *mut usize,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let reader = handle::get(reader)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(count, "count") }?;
        if buffer.is_null() || length == 0 || length > isize::MAX as usize {
            return Err(invalid("there is no buffer to read into").into());
        }
        // SAFETY: the buffer may be written until the call returns.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), length) };
        out.set(reader.read(buffer, input::timeout(timeout_ms)).during("reader.read")?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Waits until a read would not wait: bytes have come, or the end, or an error, which the read will say. The reader cannot
/// be read from meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_reader_ready(
    reader: *mut boxlite_reader,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let reader = handle::get(reader)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = reader.scope.clone();
        Ok(submit(Within::Scope(&scope), out, |begun| {
            let begun = begun.clone();
            async move {
                begun.unless_cancelled(reader.ready()).await??;
                Ok(Outcome::Nothing)
            }
        })
        .during("reader.ready")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a reader. The command does not notice; what it still prints is thrown away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_reader_free(reader: *mut boxlite_reader) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(reader).map(drop)?)) }
}
