//! Our stdin as an asynchronous stream.
//!
//! A thread of its own reads it, because a blocking read cannot be called off: it would hold up the end of the process, which
//! this thread does not. Reading starts with the first poll, so a command without `-i` never takes what belongs to others.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks read ahead of the box.
const CHUNKS: usize = 4;

/// Bytes from stdin until its end.
#[derive(Default)]
pub struct StandardInput {
    chunks: Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
    /// The chunk that is being handed out, and how much of it was.
    current: (Vec<u8>, usize),
}

impl AsyncRead for StandardInput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.current.1 == self.current.0.len() {
            let chunks = self.chunks.get_or_insert_with(start);
            match ready!(chunks.poll_recv(context)) {
                Some(chunk) => self.current = (chunk?, 0),
                None => return Poll::Ready(Ok(())),
            }
        }
        let (chunk, used) = &mut self.current;
        let count = buffer.remaining().min(chunk.len() - *used);
        buffer.put_slice(&chunk[*used..*used + count]);
        *used += count;
        Poll::Ready(Ok(()))
    }
}

fn start() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
