//! Bytes on their way out to one peer: frames are appended at one end, a non-blocking socket takes from the other.
//!
//! It does no I/O and has no bound of its own: flow control bounds it (see [`super`]).

use boxlite_protocol::Frame;

/// Memory kept when a buffer has been emptied, so that one burst does not stay in memory for good.
const KEPT_BYTES: usize = 256 * 1024;

/// A queue of encoded frames.
#[derive(Default)]
pub(crate) struct OutBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl OutBuffer {
    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame) {
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        frame.encode_into(&mut self.bytes);
    }

    /// Returns what is to be written next.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Forgets the first `count` bytes of [`OutBuffer::pending`].
    pub fn wrote(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.start = 0;
        }
    }
}
