//! What comes and goes piece by piece: output and input of commands, archives, logs, events.
//!
//! Waiting for a piece can be given up at any point: what has not been handed over stays where it is. Released, a stream is
//! let go of, also under those who wait for something of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use boxlite::{
    ArchiveReader, CancellationToken, Error, ErrorCode, EventStream, ExecutionOutput, ExecutionStdin,
    LogStream, Result,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::Mutex;

use crate::bound::ProcessBound;
use crate::convert;
use crate::failure::from_io;
use crate::operation::Operation;

/// Something that one operation at a time may use, until it is released.
struct Shared<T> {
    value: ProcessBound<std::sync::Mutex<Option<Arc<Mutex<T>>>>>,
    released: CancellationToken,
}

impl<T: Send + 'static> Shared<T> {
    fn new(value: T) -> Self {
        let value = Some(Arc::new(Mutex::new(value)));
        Shared { value: ProcessBound::new(std::sync::Mutex::new(value)), released: CancellationToken::new() }
    }

    /// Begins an operation on it, which fails when it is released.
    fn begin<A, F>(
        &self,
        begin: impl FnOnce(Arc<Mutex<T>>) -> F,
        answer: impl FnOnce(Python<'_>, A) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Operation
    where
        A: Send + 'static,
        F: Future<Output = Result<A>> + Send + 'static,
    {
        Operation::begin(self.value.get().and_then(|value| {
            let value = value.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
            let (call, released) = (begin(value.ok_or_else(closed)?), self.released.clone());
            let call = async move {
                tokio::select! {
                    biased;
                    () = released.cancelled() => Err(closed()),
                    answer = call => answer,
                }
            };
            Ok(Operation::droppable(call, answer))
        }))
    }

    /// Lets go of it, whoever still waits for something of it.
    fn release(&self) {
        if let Ok(value) = self.value.get() {
            let value = value.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            self.released.cancel();
            drop(value);
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::InvalidState, "the stream is closed")
}

/// Waits until there is something to read, and reads what is there, up to `most` bytes. Nothing means the end.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    poll_fn(|context| {
        let mut buffer = ReadBuf::uninit(bytes.spare_capacity_mut());
        let mut polled = Poll::Ready(Ok(()));
        while buffer.remaining() > 0 {
            let before = buffer.filled().len();
            polled = Pin::new(&mut *reader).poll_read(context, &mut buffer);
            if !matches!(polled, Poll::Ready(Ok(()))) || buffer.filled().len() == before {
                break;
            }
        }
        let filled = buffer.filled().len();
        // SAFETY: the buffer covers the vector's spare capacity, and its filled part is initialised.
        unsafe { bytes.set_len(filled) };
        // An error that comes behind something to read shows again at the next read.
        if filled > 0 { Poll::Ready(Ok(())) } else { polled }
    })
    .await
    .map_err(from_io)?;
    Ok(bytes)
}

fn reading<R: AsyncRead + Unpin + Send + 'static>(shared: &Shared<R>, most: usize) -> Operation {
    shared.begin(
        |reader| async move { read_some(&mut *reader.lock().await, most.max(1)).await },
        |py, bytes| Ok(PyBytes::new(py, &bytes).into_any().unbind()),
    )
}

/// The stdout or stderr of a command.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Output(Shared<ExecutionOutput>);

impl Output {
    pub fn new(output: ExecutionOutput) -> Self {
        Output(Shared::new(output))
    }
}

#[pymethods]
impl Output {
    fn read(&self, most: usize) -> Operation {
        reading(&self.0, most)
    }

    fn release(&self) {
        self.0.release();
    }
}

/// A tar archive on its way out of a box.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Archive(Shared<ArchiveReader>);

impl Archive {
    pub fn new(reader: ArchiveReader) -> Self {
        Archive(Shared::new(reader))
    }
}

#[pymethods]
impl Archive {
    fn read(&self, most: usize) -> Operation {
        reading(&self.0, most)
    }

    fn release(&self) {
        self.0.release();
    }
}

/// The stdin of a command.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Stdin(Shared<Option<ExecutionStdin>>);

impl Stdin {
    pub fn new(stdin: ExecutionStdin) -> Self {
        Stdin(Shared::new(Some(stdin)))
    }
}

#[pymethods]
impl Stdin {
    /// Writes all of it. Given up, part of it may have been written.
    fn write(&self, bytes: &[u8]) -> Operation {
        let bytes = bytes.to_vec();
        let write = |stdin: Arc<Mutex<Option<ExecutionStdin>>>| async move {
            let mut stdin = stdin.lock().await;
            let stdin = stdin.as_mut().ok_or_else(closed)?;
            stdin.write_all(&bytes).await.map_err(from_io)?;
            stdin.flush().await.map_err(from_io)
        };
        self.0.begin(write, |py, ()| Ok(py.None()))
    }

    /// Ends the input. May be called again.
    fn close(&self) -> Operation {
        let close = |stdin: Arc<Mutex<Option<ExecutionStdin>>>| async move {
            let mut stdin = stdin.lock().await;
            if let Some(open) = stdin.as_mut() {
                open.shutdown().await.map_err(from_io)?;
                stdin.take();
            }
            Ok(())
        };
        self.0.begin(close, |py, ()| Ok(py.None()))
    }

    fn release(&self) {
        self.0.release();
    }
}

/// Events of a runtime.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Events(Shared<EventStream>);

impl Events {
    pub fn new(events: EventStream) -> Self {
        Events(Shared::new(events))
    }
}

#[pymethods]
impl Events {
    /// Waits for the next event; `None` after the last one.
    fn next(&self) -> Operation {
        self.0.begin(
            |events| async move { Ok(events.lock().await.next().await) },
            |py, event| convert::to_python(py, &event),
        )
    }

    fn release(&self) {
        self.0.release();
    }
}

/// Pieces of the log of a box.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Logs(Shared<LogStream>);

impl Logs {
    pub fn new(logs: LogStream) -> Self {
        Logs(Shared::new(logs))
    }
}

#[pymethods]
impl Logs {
    /// Waits for the next piece; `None` after the last one.
    fn next(&self) -> Operation {
        self.0.begin(
            |logs| async move { logs.lock().await.next().await.transpose() },
            |py, entry| {
                let Some(entry) = entry else { return Ok(py.None()) };
                let fields = PyDict::new(py);
                fields.set_item("at_ns", entry.at_ns)?;
                fields.set_item("source", convert::to_python(py, &entry.source)?)?;
                fields.set_item("bytes", PyBytes::new(py, &entry.bytes))?;
                Ok(fields.into_any().unbind())
            },
        )
    }

    fn release(&self) {
        self.0.release();
    }
}
