//! The state machine: blocks and contents in, entries out.
//!
//! Extension headers (PAX, GNU long names) are collected until the entry they belong to; a size in them applies to that
//! entry alone, never to another extension header between. Global PAX headers are validated and otherwise ignored, as
//! docker, containerd and umoci do. A tar ends with a block of zeros; everything after it is ignored, and a stream that
//! stops before it is incomplete.

use boxlite_types::{Error, ErrorCode, Result};

use super::combine::{Body, Combined, Pending, combine};
use super::header::{BLOCK_BYTES, Block, RawHeader, malformed, text};
use super::pax::Extensions;
use super::sparse::{self, LeadingMap};
use super::{Entry, Sink};
use crate::path::refused;

/// See the module.
pub(crate) struct Parser {
    state: State,
    /// A block that arrives in pieces.
    block: Box<Block>,
    filled: usize,
    /// Content of the extension header being read.
    extension: Vec<u8>,
    pending: Pending,
    max_extension_bytes: u64,
}

enum State {
    Header,
    Extension {
        kind: u8,
        remaining: u64,
        padding: u64,
    },
    /// Extension blocks of an old GNU sparse header.
    SparseBlocks {
        entry: Box<Entry>,
        map: Vec<u64>,
        stored: u64,
    },
    /// The map in front of the content, PAX sparse format 1.0.
    SparseMap {
        entry: Box<Entry>,
        map: LeadingMap,
        stored: u64,
    },
    Content {
        remaining: u64,
        padding: u64,
    },
    Padding {
        remaining: u64,
    },
    End,
}

impl Parser {
    /// Makes a parser that takes extension headers up to that size.
    pub(crate) fn new(max_extension_bytes: u64) -> Self {
        Parser {
            state: State::Header,
            block: Box::new([0; BLOCK_BYTES]),
            filled: 0,
            extension: Vec::new(),
            pending: Pending::default(),
            max_extension_bytes,
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Content { remaining, padding } => {
                    let taken = take(&mut bytes, remaining);
                    sink.content(taken)?;
                    if *remaining == 0 {
                        self.state = State::Padding { remaining: *padding };
                        sink.end()?;
                    }
                }
                State::Padding { remaining } => {
                    take(&mut bytes, remaining);
                    if *remaining == 0 {
                        self.state = State::Header;
                    }
                }
                State::Extension { remaining, padding, .. } => {
                    let taken = take(&mut bytes, remaining);
                    self.extension.extend_from_slice(taken);
                    if *remaining == 0 {
                        let padding = *padding;
                        self.end_extension()?;
                        self.state = State::Padding { remaining: padding };
                    }
                }
                State::End => return Ok(()),
                State::Header | State::SparseBlocks { .. } | State::SparseMap { .. } => {
                    let wanted = (BLOCK_BYTES - self.filled).min(bytes.len());
                    self.block[self.filled..self.filled + wanted].copy_from_slice(&bytes[..wanted]);
                    bytes = &bytes[wanted..];
                    self.filled += wanted;
                    if self.filled == BLOCK_BYTES {
                        self.filled = 0;
                        self.take_block(sink)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fails unless the stream was a whole tar.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.state {
            State::End => Ok(()),
            _ => Err(Error::new(
                ErrorCode::Image,
                "malformed layer: the tar is incomplete, it stops before its end marker",
            )),
        }
    }

    fn take_block(&mut self, sink: &mut impl Sink) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::SparseBlocks { entry, mut map, stored } => {
                if map.len() as u64 > self.max_extension_bytes / 8 {
                    return Err(refused(&entry.path, "the map of the sparse file is too long"));
                }
                if sparse::old_gnu(&self.block, false, &mut map)? {
                    self.state = State::SparseBlocks { entry, map, stored };
                    return Ok(());
                }
                self.begin_sparse(entry, &map, stored, sink)
            }
            State::SparseMap { entry, mut map, stored } => {
                // The map is part of the stored size; whatever rounding the writer did, it cannot be larger.
                let Some(left) = stored.checked_sub(BLOCK_BYTES as u64) else {
                    return Err(refused(&entry.path, "the map of the sparse file does not end"));
                };
                match map.take(&self.block, self.max_extension_bytes)? {
                    Some(numbers) => self.begin_sparse(entry, &numbers, left, sink),
                    None => {
                        self.state = State::SparseMap { entry, map, stored: left };
                        Ok(())
                    }
                }
            }
            _ => self.take_header(sink),
        }
    }

    fn take_header(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.block.iter().all(|&byte| byte == 0) {
            if !self.pending.is_empty() {
                return Err(malformed("the tar ends after an extension header that belongs to no entry"));
            }
            self.state = State::End;
            return Ok(());
        }
        let raw = RawHeader::decode(&self.block)?;
        if matches!(raw.type_flag, b'x' | b'g' | b'L' | b'K') {
            return self.begin_extension(&raw);
        }
        let Combined { mut entry, stored, body } =
            combine(&self.block, raw, std::mem::take(&mut self.pending))?;
        match body {
            Body::Plain => {
                entry.size = stored;
                self.begin(&entry, stored, sink)
            }
            Body::Sparse { map, goes_on: false } => self.begin_sparse(Box::new(entry), &map, stored, sink),
            Body::Sparse { map, goes_on: true } => {
                self.state = State::SparseBlocks { entry: Box::new(entry), map, stored };
                Ok(())
            }
            Body::SparseMapFirst => {
                self.state = State::SparseMap { entry: Box::new(entry), map: LeadingMap::default(), stored };
                Ok(())
            }
        }
    }

    fn begin_extension(&mut self, raw: &RawHeader) -> Result<()> {
        let size =
            u64::try_from(raw.size).map_err(|_| malformed("an extension header has a negative size"))?;
        if size > self.max_extension_bytes {
            return Err(Error::new(
                ErrorCode::ResourceExhausted,
                format!(
                    "layer too large: an extension header of {size} bytes is longer than {}",
                    self.max_extension_bytes
                ),
            )
            .retryable(false));
        }
        self.extension.clear();
        let (kind, padding) = (raw.type_flag, padding(size));
        self.state = State::Extension { kind, remaining: size, padding };
        if size == 0 {
            self.end_extension()?;
            self.state = State::Header;
        }
        Ok(())
    }

    fn end_extension(&mut self) -> Result<()> {
        let State::Extension { kind, .. } = self.state else { return Ok(()) };
        match kind {
            b'L' => self.pending.long_path = Some(text(&self.extension).to_vec()),
            b'K' => self.pending.long_link = Some(text(&self.extension).to_vec()),
            b'x' => self.pending.pax = Some(Extensions::decode(&self.extension)?),
            // Global: only its form is verified.
            _ => drop(Extensions::decode(&self.extension)?),
        }
        Ok(())
    }

    fn begin_sparse(
        &mut self,
        mut entry: Box<Entry>,
        map: &[u64],
        stored: u64,
        sink: &mut impl Sink,
    ) -> Result<()> {
        entry.sparse = Some(sparse::verified(sparse::ranges(map)?, entry.size, stored)?);
        self.begin(&entry, stored, sink)
    }

    fn begin(&mut self, entry: &Entry, stored: u64, sink: &mut impl Sink) -> Result<()> {
        sink.begin(entry)?;
        if stored == 0 {
            self.state = State::Header;
            return sink.end();
        }
        self.state = State::Content { remaining: stored, padding: padding(stored) };
        Ok(())
    }
}

/// Bytes from `size` to the next block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES as u64
}

/// Splits off as much of `bytes` as remains, and counts it.
fn take<'b>(bytes: &mut &'b [u8], remaining: &mut u64) -> &'b [u8] {
    let count = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    *remaining -= count as u64;
    taken
}
