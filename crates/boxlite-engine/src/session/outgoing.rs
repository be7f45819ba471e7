//! Bytes on their way to the socket.
//!
//! Frames are appended whole, from any thread and without waiting, so that a destructor can send one. What keeps the
//! buffer small: data comes only within a stream's credit, and [`Outgoing::poll_room`] holds data back while much is
//! queued; everything else is small and answers something received or asked.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use boxlite_protocol::Header;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Data waits while this much is queued.
const HIGH_WATER_BYTES: usize = 256 * 1024;

/// A buffer larger than this is given back when it is empty.
const KEPT_BYTES: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    waiting: Vec<Waker>,
}

impl Outgoing {
    pub(super) fn push(&self, header: Header, payload: &[u8]) {
        debug_assert_eq!(header.length as usize, payload.len());
        let mut state = self.state.lock().unwrap();
        state.buffer.extend_from_slice(&header.encode());
        state.buffer.extend_from_slice(payload);
        drop(state);
        self.filled.notify_one();
    }

    /// Is ready when data may be pushed.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap();
        if state.buffer.len() < HIGH_WATER_BYTES {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Wakes whoever waits for room; there will be none any more.
    pub(super) fn close(&self) {
        self.state.lock().unwrap().waiting.drain(..).for_each(Waker::wake);
    }

    /// Writes what is pushed until the socket fails.
    pub(super) async fn drain_into(&self, mut socket: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut batch = Vec::new();
        loop {
            {
                let mut state = self.state.lock().unwrap();
                std::mem::swap(&mut state.buffer, &mut batch);
                state.waiting.drain(..).for_each(Waker::wake);
            }
            if batch.is_empty() {
                self.filled.notified().await;
                continue;
            }
            socket.write_all(&batch).await?;
            batch.clear();
            if batch.capacity() > KEPT_BYTES && self.state.lock().unwrap().buffer.is_empty() {
                batch = Vec::new();
            }
        }
    }
}
