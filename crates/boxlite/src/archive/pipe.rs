//! A pipe between asynchronous code and a blocking thread, bounded to a few chunks.
//!
//! Either end sees when the other is gone: a write then fails with `BrokenPipe`, a read ends; the side that broke off says
//! why in its own result. So cancelling the asynchronous side ends the thread at its next chunk.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes handed over at once.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks that may lie between the two ends.
const CHUNKS: usize = 4;

pub(super) fn channel() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(CHUNKS)
}

/// The writing end, on a blocking thread.
pub(super) struct BlockingWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl BlockingWriter {
    pub fn new(sender: mpsc::Sender<Bytes>) -> Self {
        BlockingWriter { sender, buffer: Vec::with_capacity(CHUNK_BYTES) }
    }
}

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.sender.blocking_send(chunk.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The reading end, on a blocking thread.
pub(super) struct BlockingReader {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl BlockingReader {
    pub fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        BlockingReader { receiver, chunk: Bytes::new() }
    }
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
