//! Tar streams into and out of a box.
//!
//! I/O errors of both ends carry the request's own [`boxlite_types::Error`] as their inner error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxlite_protocol::{Answer, Channel};
use boxlite_types::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::{StreamHandle, unexpected};

/// Takes the bytes of a tar stream to be unpacked in the box.
///
/// Only [`ArchiveSink::finish`] tells whether it was. Dropping the sink before ends the unpacking; what is unpacked stays.
pub struct ArchiveSink {
    stream: StreamHandle,
    closed: bool,
}

impl ArchiveSink {
    pub(super) fn new(stream: StreamHandle) -> Self {
        ArchiveSink { stream, closed: false }
    }

    /// Ends the stream and waits until everything is unpacked.
    ///
    /// # Errors
    /// What kept the box from unpacking, naming the entry; `Stopped` if the connection is lost.
    pub async fn finish(mut self) -> Result<()> {
        self.close();
        match self.stream.outcome().await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.stream.send_eof();
        }
    }
}

impl AsyncWrite for ArchiveSink {
    /// Fails as soon as unpacking has failed.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match ready!(self.stream.poll_write(bytes, context)) {
            Some(count) => Poll::Ready(Ok(count)),
            None => Poll::Ready(Err(match self.stream.failure() {
                Some(error) => io::Error::other(Error::from(error)),
                // It ended well before our end of file: an archive's end marker came, the rest means nothing.
                None => io::ErrorKind::BrokenPipe.into(),
            })),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// Gives the bytes of a tar stream packed in the box.
///
/// It ends only when the box has said that the archive is complete, and fails if it is not. Dropping it ends the packing.
pub struct ArchiveSource {
    stream: StreamHandle,
}

impl ArchiveSource {
    pub(super) fn new(stream: StreamHandle) -> Self {
        ArchiveSource { stream }
    }
}

impl AsyncRead for ArchiveSource {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(chunk) = ready!(self.stream.poll_read(Channel::Stdout, buffer.remaining(), context)) {
            buffer.put_slice(&chunk);
            return Poll::Ready(Ok(()));
        }
        ready!(self.stream.poll_over(context));
        match self.stream.failure() {
            Some(error) => Poll::Ready(Err(io::Error::other(Error::from(error)))),
            None => Poll::Ready(Ok(())),
        }
    }
}
