//! Gzip framing (RFC 1952) around a raw deflate stream: headers, any number of members, checksums, nothing after the last.
//!
//! Its own because the store must know what a general reader forgives: a stream cut inside a trailer, garbage or zeros
//! behind it, a wrong checksum. The inflating itself is the library's.

use boxlite_types::{Error, ErrorCode, Result};
use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Longest header of a member; names and comments have no bound of their own.
const HEADER_BYTES: usize = 128 << 10;

/// Flags of a header (RFC 1952, section 2.3.1).
mod flag {
    pub(super) const HEADER_CRC: u8 = 2;
    pub(super) const EXTRA: u8 = 4;
    pub(super) const NAME: u8 = 8;
    pub(super) const COMMENT: u8 = 16;
    pub(super) const RESERVED: u8 = 0xe0;
}

enum State {
    /// Before or inside a header, with what there is of it.
    Header(Vec<u8>),
    /// Inside the deflate stream.
    Body,
    /// Inside the trailer, with what there is of it.
    Trailer(Vec<u8>),
}

/// A gzip stream being read.
pub(crate) struct Gzip {
    state: State,
    inflate: Decompress,
    checksum: Crc,
    members: u64,
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorCode::Image, format!("gzip stream {why}"))
}

impl Gzip {
    pub(crate) fn new() -> Self {
        Gzip {
            state: State::Header(Vec::new()),
            inflate: Decompress::new(false),
            checksum: Crc::new(),
            members: 0,
        }
    }

    /// Reads from `input` into `output`; returns how much of each was used. No progress means: give more of either.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize)> {
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            match &mut self.state {
                State::Header(held) => {
                    if rest.is_empty() {
                        return Ok((consumed, 0));
                    }
                    let before = held.len();
                    held.extend_from_slice(&rest[..rest.len().min(HEADER_BYTES + 1 - before)]);
                    match header_length(held)? {
                        Some(length) => {
                            consumed += length - before;
                            self.inflate.reset(false);
                            self.checksum.reset();
                            self.state = State::Body;
                        }
                        None if held.len() > HEADER_BYTES => return Err(malformed("has an endless header")),
                        None => return Ok((input.len(), 0)),
                    }
                }
                State::Body => {
                    let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
                    let status = self
                        .inflate
                        .decompress(rest, output, FlushDecompress::None)
                        .map_err(|_| malformed("is corrupt"))?;
                    consumed += (self.inflate.total_in() - read) as usize;
                    let produced = (self.inflate.total_out() - written) as usize;
                    self.checksum.update(&output[..produced]);
                    if status == Status::StreamEnd {
                        self.state = State::Trailer(Vec::with_capacity(8));
                    }
                    if produced > 0 || status != Status::StreamEnd {
                        return Ok((consumed, produced));
                    }
                }
                State::Trailer(held) => {
                    let taken = rest.len().min(8 - held.len());
                    held.extend_from_slice(&rest[..taken]);
                    consumed += taken;
                    if held.len() < 8 {
                        return Ok((consumed, 0));
                    }
                    let number =
                        |at: usize| u32::from_le_bytes([held[at], held[at + 1], held[at + 2], held[at + 3]]);
                    if number(0) != self.checksum.sum() || number(4) != self.checksum.amount() {
                        return Err(malformed("does not match its checksum"));
                    }
                    self.members += 1;
                    self.state = State::Header(Vec::new());
                }
            }
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Image` unless it ended with a member, and had one.
    pub(crate) fn finish(&self) -> Result<()> {
        match &self.state {
            State::Header(held) if held.is_empty() && self.members > 0 => Ok(()),
            _ => Err(malformed("is cut off")),
        }
    }
}

/// Returns the length of the header at the start of `bytes`, `None` if it is not complete yet.
fn header_length(bytes: &[u8]) -> Result<Option<usize>> {
    let magic = [0x1f, 0x8b, 8];
    if bytes.iter().zip(magic).any(|(byte, expected)| *byte != expected) {
        return Err(malformed("has something that is no gzip member in it"));
    }
    let Some(flags) = bytes.get(3) else { return Ok(None) };
    if flags & flag::RESERVED != 0 {
        return Err(malformed("has an unknown kind of member in it"));
    }
    let mut at = 10;
    if flags & flag::EXTRA != 0 {
        let Some(length) = bytes.get(at..at + 2) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for text in [flag::NAME, flag::COMMENT] {
        if flags & text != 0 {
            let end = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0));
            let Some(end) = end else { return Ok(None) };
            at += end + 1;
        }
    }
    if flags & flag::HEADER_CRC != 0 {
        let Some(stored) = bytes.get(at..at + 2) else { return Ok(None) };
        let mut checksum = Crc::new();
        checksum.update(&bytes[..at]);
        if u16::from_le_bytes([stored[0], stored[1]]) != (checksum.sum() & 0xffff) as u16 {
            return Err(malformed("has a header that does not match its checksum"));
        }
        at += 2;
    }
    Ok((bytes.len() >= at).then_some(at))
}
