//! Frames: 12 bytes of header, little-endian, then the payload.
//!
//! ```text
//!  0        4        8     9     10       12
//!  | length | stream | kind| chan| zero   | payload ...
//!  |  u32   |  u32   | u8  | u8  | u16    | length bytes
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{MAX_DATA_BYTES, MAX_MESSAGE_BYTES};

/// Size of a header in bytes.
pub const HEADER_BYTES: usize = 12;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Either way, on stream 0, once and first: [`crate::Hello`].
    Hello = 1,
    /// To the agent: opens a stream with an [`crate::AgentRequest`].
    AgentRequest = 2,
    /// To the shim, which answers it itself: opens a stream with a [`crate::ShimRequest`].
    ShimRequest = 3,
    /// From the agent: what was asked for has begun ([`crate::Opened`]). Executions and archives have it.
    Opened = 4,
    /// Bytes of a data channel.
    Data = 5,
    /// No more bytes will come on this channel.
    Eof = 6,
    /// The receiver of a channel grants its sender more bytes: payload is one `u32`.
    Credit = 7,
    /// To the agent: a [`crate::Control`] of a running stream.
    Control = 8,
    /// From the answering side, last frame of a stream: [`crate::Outcome`].
    End = 9,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        use FrameKind::*;
        [Hello, AgentRequest, ShimRequest, Opened, Data, Eof, Credit, Control, End]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }
}

/// Which bytes of a stream. Archives travel on `Stdin` into the box and on `Stdout` out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// To the command. Also the value of frames that belong to no channel.
    Stdin = 0,
    /// From the command; also everything a terminal prints.
    Stdout = 1,
    /// From the command.
    Stderr = 2,
}

impl Channel {
    fn from_byte(byte: u8) -> Option<Self> {
        [Channel::Stdin, Channel::Stdout, Channel::Stderr].into_iter().find(|c| *c as u8 == byte)
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload in bytes.
    pub length: u32,
    /// Stream the frame belongs to.
    pub stream: u32,
    /// What it is.
    pub kind: FrameKind,
    /// Channel, for `Data`, `Eof` and `Credit`.
    pub channel: Channel,
}

/// Why bytes are no frame of this protocol. The connection cannot go on after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A kind, channel or padding that does not exist.
    Malformed,
    /// A payload longer than its kind may have.
    TooLong(u32),
    /// A payload that does not decode as the message its kind says.
    Undecodable(FrameKind),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FrameError::Malformed => f.write_str("malformed frame header"),
            FrameError::TooLong(length) => {
                write!(f, "frame of {length} bytes is longer than its kind may be")
            }
            FrameError::Undecodable(kind) => write!(f, "payload of a {kind:?} frame does not decode"),
        }
    }
}

impl std::error::Error for FrameError {}

impl Header {
    /// Encodes the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = self.channel as u8;
        bytes
    }

    /// Decodes and checks a header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let kind = FrameKind::from_byte(bytes[8]).ok_or(FrameError::Malformed)?;
        let channel = Channel::from_byte(bytes[9]).ok_or(FrameError::Malformed)?;
        if bytes[10..12] != [0, 0] {
            return Err(FrameError::Malformed);
        }
        let limit = if kind == FrameKind::Data { MAX_DATA_BYTES } else { MAX_MESSAGE_BYTES };
        let length = word(0);
        if length as usize > limit {
            return Err(FrameError::TooLong(length));
        }
        Ok(Header { length, stream: word(4), kind, channel })
    }
}

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Stream it belongs to.
    pub stream: u32,
    /// What it is.
    pub kind: FrameKind,
    /// Channel, for `Data`, `Eof` and `Credit`.
    pub channel: Channel,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Makes a frame that carries a message.
    pub fn message<T: Serialize>(stream: u32, kind: FrameKind, message: &T) -> Self {
        let payload = postcard::to_stdvec(message).expect("messages hold nothing postcard cannot encode");
        Frame { stream, kind, channel: Channel::Stdin, payload }
    }

    /// Makes a data frame; `payload` is at most [`MAX_DATA_BYTES`] long.
    pub fn data(stream: u32, channel: Channel, payload: Vec<u8>) -> Self {
        debug_assert!(payload.len() <= MAX_DATA_BYTES);
        Frame { stream, kind: FrameKind::Data, channel, payload }
    }

    /// Makes the end-of-file frame of a channel.
    pub fn eof(stream: u32, channel: Channel) -> Self {
        Frame { stream, kind: FrameKind::Eof, channel, payload: Vec::new() }
    }

    /// Makes a frame that grants `bytes` more to the sender of a channel.
    pub fn credit(stream: u32, channel: Channel, bytes: u32) -> Self {
        Frame { stream, kind: FrameKind::Credit, channel, payload: bytes.to_le_bytes().to_vec() }
    }

    /// Decodes the payload as the message its kind says.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        postcard::from_bytes(&self.payload).map_err(|_| FrameError::Undecodable(self.kind))
    }

    /// Returns the bytes a credit frame grants.
    pub fn credit_bytes(&self) -> Result<u32, FrameError> {
        let bytes = self.payload.as_slice().try_into().map_err(|_| FrameError::Undecodable(self.kind))?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Returns the header.
    pub fn header(&self) -> Header {
        Header {
            length: self.payload.len() as u32,
            stream: self.stream,
            kind: self.kind,
            channel: self.channel,
        }
    }

    /// Appends the frame as it goes over the wire.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header().encode());
        out.extend_from_slice(&self.payload);
    }
}

/// Cuts a byte stream into frames, however it arrives.
#[derive(Default)]
pub struct FrameDecoder {
    /// Room for bytes; those in `start..end` were received and not taken yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl FrameDecoder {
    /// Adds bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Returns room for at least `least` bytes, to read into; [`FrameDecoder::filled`] says how many came.
    pub fn room(&mut self, least: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.end < least {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // Given back after an unusually long message.
            let wanted = self.end + least;
            if self.buffer.len() < wanted || self.buffer.len() > wanted + 2 * MAX_DATA_BYTES {
                self.buffer.resize(wanted, 0);
                self.buffer.shrink_to(wanted);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Notes that `count` bytes were read into what [`FrameDecoder::room`] returned.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.end, "more bytes than there was room for");
        self.end += count;
    }

    /// Takes the next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.start..self.end];
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::decode(header)?;
        let end = HEADER_BYTES + header.length as usize;
        let Some(payload) = rest.get(HEADER_BYTES..end) else { return Ok(None) };
        let payload = payload.to_vec();
        self.start += end;
        Ok(Some(Frame { stream: header.stream, kind: header.kind, channel: header.channel, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_out_of_any_slicing_of_the_bytes() {
        let frames = [
            Frame::data(7, Channel::Stderr, b"hello".to_vec()),
            Frame::eof(7, Channel::Stderr),
            Frame::credit(9, Channel::Stdout, 70_000),
            Frame::data(1, Channel::Stdout, vec![3; MAX_DATA_BYTES]),
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode_into(&mut bytes));
        for step in [1, 5, 12, 13, 4096, bytes.len()] {
            let (mut decoder, mut seen) = (FrameDecoder::default(), Vec::new());
            for chunk in bytes.chunks(step) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, frames);
        }
    }

    #[test]
    fn hostile_headers_are_refused_before_anything_is_buffered() {
        let check = |change: fn(&mut [u8; HEADER_BYTES]), error: FrameError| {
            let mut bytes = Frame::data(1, Channel::Stdout, vec![]).header().encode();
            change(&mut bytes);
            let mut decoder = FrameDecoder::default();
            decoder.push(&bytes);
            assert_eq!(decoder.next_frame(), Err(error));
        };
        check(|bytes| bytes[8] = 0, FrameError::Malformed);
        check(|bytes| bytes[8] = 10, FrameError::Malformed);
        check(|bytes| bytes[9] = 3, FrameError::Malformed);
        check(|bytes| bytes[11] = 1, FrameError::Malformed);
        check(|bytes| bytes[3] = 0xff, FrameError::TooLong(0xff00_0000));
        check(|bytes| bytes[0..4].copy_from_slice(&(65_537u32).to_le_bytes()), FrameError::TooLong(65_537));
    }
}
