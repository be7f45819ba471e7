//! Received bytes of one channel that nobody has read yet.
//!
//! Large payloads stay where the socket read put them; small ones are copied together, so that a peer that sends single
//! bytes cannot make a window of 256 KiB cost a hundred times as much memory.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Payloads below this are copied rather than kept as a slice of the (much larger) read buffer they arrived in.
const COPIED_BELOW_BYTES: usize = 8 * 1024;

/// Small payloads are gathered up to this size.
const GATHERED_BYTES: usize = 32 * 1024;

#[derive(Default)]
pub(super) struct ByteQueue {
    chunks: VecDeque<Bytes>,
    gathered: BytesMut,
    length: usize,
}

impl ByteQueue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, payload: Bytes) {
        self.length += payload.len();
        if payload.len() < COPIED_BELOW_BYTES {
            self.gathered.extend_from_slice(&payload);
            if self.gathered.len() >= GATHERED_BYTES {
                self.seal();
            }
        } else {
            self.seal();
            self.chunks.push_back(payload);
        }
    }

    /// Takes at most `limit` bytes that lie in one piece; `None` if there are none.
    pub(super) fn pop(&mut self, limit: usize) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.seal();
        }
        let first = self.chunks.front_mut()?;
        let chunk = if first.len() <= limit { self.chunks.pop_front()? } else { first.split_to(limit) };
        self.length -= chunk.len();
        Some(chunk)
    }

    pub(super) fn clear(&mut self) {
        *self = ByteQueue::default();
    }

    fn seal(&mut self) {
        if !self.gathered.is_empty() {
            self.chunks.push_back(self.gathered.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_the_sizes() {
        let mut queue = ByteQueue::default();
        let mut expected = Vec::new();
        for (index, size) in [1, 9000, 0, 3, 40_000, 8191, 8192, 1, 1].into_iter().enumerate() {
            let payload = vec![index as u8; size];
            expected.extend_from_slice(&payload);
            queue.push(payload.into());
        }
        assert_eq!(queue.len(), expected.len());
        let mut seen = Vec::new();
        while let Some(chunk) = queue.pop(5000) {
            assert!(!chunk.is_empty() && chunk.len() <= 5000);
            seen.extend_from_slice(&chunk);
        }
        assert_eq!((seen, queue.len()), (expected, 0));
    }

    #[test]
    fn single_bytes_are_gathered() {
        let mut queue = ByteQueue::default();
        (0..100_000).for_each(|_| queue.push(Bytes::from_static(b"x")));
        assert!(queue.chunks.len() < 10);
        assert_eq!(queue.pop(usize::MAX).unwrap().len(), GATHERED_BYTES);
    }
}
