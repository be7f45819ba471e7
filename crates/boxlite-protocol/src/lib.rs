//! The byte protocol between a host program and the agent inside a box, with the shim between them.
//!
//! One byte channel carries many independent streams. A stream begins with a request, may carry data both ways, and ends
//! with exactly one [`FrameKind::End`]. Frames are described in [`frame`], what they mean in [`message`].
//!
//! ```text
//! library ──unix socket──> shim ──virtio-serial──> agent
//!            streams 1..          streams renumbered, so that several libraries can share one agent
//! ```
//!
//! Stream 0 is the connection itself: on it, each side first says [`Hello`](message::Hello).
//!
//! Flow control: each side of a data channel may send [`INITIAL_WINDOW_BYTES`] bytes unasked, then as many as it is
//! granted by [`FrameKind::Credit`] frames. Nobody has to buffer more than the window, whatever the other side does, and
//! a stalled stream never holds up another.
//!
//! The crate does no I/O. It is frozen per [`GENERATION`]: a test holds the bytes of every message.

pub mod frame;
pub mod message;

pub use frame::{Channel, Frame, FrameDecoder, FrameError, FrameKind, HEADER_BYTES, Header};
pub use message::*;

/// Version of everything in this crate. Both sides refuse another one. Raised whenever a byte on the wire changes meaning.
pub const GENERATION: u32 = 2;

/// Bytes that may be sent on a data channel before the first credit.
pub const INITIAL_WINDOW_BYTES: u32 = 256 * 1024;

/// Largest payload of a data frame in bytes: what a virtio-serial port carries fastest (32 to 64 KiB).
pub const MAX_DATA_BYTES: usize = 64 * 1024;

/// Largest payload of any other frame in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
