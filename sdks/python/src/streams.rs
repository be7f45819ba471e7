//! What comes and goes piece by piece: output and input of commands, archives, logs, events.
//!
//! Waiting for a piece can be given up at any point: what has not been handed over stays where it is.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use boxlite::{ArchiveReader, EventStream, ExecutionOutput, ExecutionStdin, LogStream};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::sync::Mutex;

use crate::bound::ProcessBound;
use crate::convert;
use crate::failure::from_io;
use crate::operation::Operation;

/// Something that one operation at a time may use.
struct Shared<T>(ProcessBound<Arc<Mutex<T>>>);

impl<T: Send + 'static> Shared<T> {
    fn new(value: T) -> Self {
        Shared(ProcessBound::new(Arc::new(Mutex::new(value))))
    }

    fn begin(&self, begin: impl FnOnce(Arc<Mutex<T>>) -> Operation) -> Operation {
        Operation::begin(self.0.get().cloned().map(begin))
    }
}

/// Waits until there is something to read, and reads what is there, up to `most` bytes. Nothing means the end.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), most: usize) -> boxlite::Result<Vec<u8>> {
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
    shared.begin(|reader| {
        let read = async move { read_some(&mut *reader.lock().await, most.max(1)).await };
        Operation::droppable(read, |py, bytes| Ok(PyBytes::new(py, &bytes).into_any().unbind()))
    })
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
}

/// The stdin of a command.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Stdin(Shared<Option<ExecutionStdin>>);

impl Stdin {
    pub fn new(stdin: ExecutionStdin) -> Self {
        Stdin(Shared::new(Some(stdin)))
    }
}

fn closed() -> boxlite::Error {
    boxlite::Error::new(boxlite::ErrorCode::InvalidState, "stdin is closed")
}

#[pymethods]
impl Stdin {
    /// Writes all of it. Given up, part of it may have been written.
    fn write(&self, bytes: Vec<u8>) -> Operation {
        self.0.begin(|stdin| {
            let write = async move {
                let mut stdin = stdin.lock().await;
                let stdin = stdin.as_mut().ok_or_else(closed)?;
                stdin.write_all(&bytes).await.map_err(from_io)?;
                stdin.flush().await.map_err(from_io)
            };
            Operation::droppable(write, |py, ()| Ok(py.None()))
        })
    }

    /// Ends the input. May be called again.
    fn close(&self) -> Operation {
        self.0.begin(|stdin| {
            let close = async move {
                let mut stdin = stdin.lock().await;
                match stdin.as_mut() {
                    Some(open) => open.shutdown().await.map_err(from_io)?,
                    None => return Ok(()),
                }
                stdin.take();
                Ok(())
            };
            Operation::droppable(close, |py, ()| Ok(py.None()))
        })
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
        self.0.begin(|events| {
            let next = async move { Ok(events.lock().await.next().await) };
            Operation::droppable(next, |py, event| convert::to_python(py, &event))
        })
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
        self.0.begin(|logs| {
            let next = async move { logs.lock().await.next().await.transpose() };
            Operation::droppable(next, |py, entry| {
                let Some(entry) = entry else { return Ok(py.None()) };
                let fields = PyDict::new(py);
                fields.set_item("at_ns", entry.at_ns)?;
                fields.set_item("source", convert::to_python(py, &entry.source)?)?;
                fields.set_item("bytes", PyBytes::new(py, &entry.bytes))?;
                Ok(fields.into_any().unbind())
            })
        })
    }
}
