//! Where the content of one file goes while it streams by: blocks to `data`, a short tail to the index, holes nowhere.

use boxlite_types::{Error, ErrorCode, Result};

use super::checksum;
use super::data::{BLOCK_BYTES, DataWriter};
use super::record::{ChunkRun, Content};
use crate::tar::DataRange;

/// Longest tail that is kept in the index, to be inlined behind its inode, in bytes.
///
/// Every image pays for inlined tails in its own metadata, while a block of `data` is shared by all. Up to here a tail
/// costs less than a sixteenth of the block it saves.
const MAX_TAIL_BYTES: u64 = 256;

/// A sparse file has at most this many chunks, so that a map of holes cannot be larger than this times four bytes.
const MAX_CHUNKS: u64 = 1 << 16;

/// What a file will take, known before any of it is written.
pub(super) struct Footprint {
    /// Bytes of `data`.
    pub data_bytes: u64,
    /// Bytes that a map of its chunks takes in the metadata of every image.
    pub map_bytes: u64,
}

/// Returns what a file of that size will take.
pub(super) fn footprint(size: u64, sparse: Option<&[DataRange]>) -> Footprint {
    let Some(ranges) = sparse else {
        return Footprint { data_bytes: super::blocks(size) * BLOCK_BYTES, map_bytes: 0 };
    };
    let chunk_bytes = BLOCK_BYTES << chunk_bits(size);
    let (mut chunks, mut next) = (0, 0);
    for range in ranges.iter().filter(|range| range.length > 0) {
        let first = (range.offset / chunk_bytes).max(next);
        next = (range.offset + range.length).div_ceil(chunk_bytes);
        chunks += next.saturating_sub(first);
    }
    Footprint { data_bytes: chunks.saturating_mul(chunk_bytes), map_bytes: size.div_ceil(chunk_bytes) * 4 }
}

/// Takes the content of one file.
pub(super) struct ContentWriter {
    size: u64,
    checksum: u32,
    body: Body,
}

enum Body {
    Plain { block: u32, remaining: u64, tail: Vec<u8> },
    Sparse { chunk_bits: u8, runs: Vec<ChunkRun>, ranges: std::vec::IntoIter<DataRange>, range: DataRange },
}

impl ContentWriter {
    /// Begins a file at the end of `data`.
    pub(super) fn begin(size: u64, sparse: Option<&[DataRange]>, data: &DataWriter) -> Result<Self> {
        let body = match sparse {
            Some(ranges) if !matches!(ranges, [only] if only.length == size) && size > 0 => Body::Sparse {
                chunk_bits: chunk_bits(size),
                runs: Vec::new(),
                ranges: Vec::from(ranges).into_iter(),
                range: DataRange { offset: 0, length: 0 },
            },
            _ => {
                let tail = Some(size % BLOCK_BYTES).filter(|tail| *tail <= MAX_TAIL_BYTES).unwrap_or(0);
                let block = if size > tail { block_number(data.position())? } else { 0 };
                Body::Plain { block, remaining: size - tail, tail: Vec::with_capacity(tail as usize) }
            }
        };
        Ok(ContentWriter { size, checksum: 0, body })
    }

    /// Takes the next bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8], data: &mut DataWriter) -> Result<()> {
        match &mut self.body {
            Body::Plain { remaining, tail, .. } => {
                self.checksum = crc32c::crc32c_append(self.checksum, bytes);
                let to_data = (*remaining).min(bytes.len() as u64) as usize;
                *remaining -= to_data as u64;
                data.append(&bytes[..to_data])?;
                tail.extend_from_slice(&bytes[to_data..]);
                Ok(())
            }
            Body::Sparse { chunk_bits, runs, ranges, range } => {
                let mut chunks =
                    ChunkWriter { chunk_bits: *chunk_bits, runs, data, checksum: &mut self.checksum };
                while !bytes.is_empty() {
                    if range.length == 0 {
                        // The parser has verified that the ranges and the content are equally long.
                        let Some(next) = ranges.next() else { break };
                        *range = next;
                    }
                    let count = range.length.min(bytes.len() as u64);
                    let (now, later) = bytes.split_at(count as usize);
                    chunks.write_at(range.offset, now)?;
                    range.offset += count;
                    range.length -= count;
                    bytes = later;
                }
                Ok(())
            }
        }
    }

    /// Ends the file; hands what the index has to say about it to `record`.
    pub(super) fn end<T>(
        mut self,
        data: &mut DataWriter,
        record: impl FnOnce(Content<'_>) -> Result<T>,
    ) -> Result<T> {
        let ContentWriter { size, .. } = self;
        match self.body {
            Body::Plain { block, tail, .. } => {
                data.align()?;
                record(Content::File { size, block, tail: &tail, checksum: self.checksum })
            }
            Body::Sparse { chunk_bits, mut runs, .. } => {
                ChunkWriter { chunk_bits, runs: &mut runs, data, checksum: &mut self.checksum }.end()?;
                record(Content::SparseFile { size, chunk_bits, runs, checksum: self.checksum })
            }
        }
    }
}

/// Returns the smallest chunk, as a power of two of blocks, with which a file of that size has few enough chunks.
fn chunk_bits(size: u64) -> u8 {
    let blocks = super::blocks(size);
    (0..31).find(|bits| blocks.div_ceil(1 << bits) <= MAX_CHUNKS).unwrap_or(31)
}

fn block_number(position: u64) -> Result<u32> {
    u32::try_from(position / BLOCK_BYTES).map_err(|_| {
        Error::new(ErrorCode::ResourceExhausted, "layer too large: its files fill more than 16 TiB")
            .retryable(false)
    })
}

/// Writes a sparse file chunk by chunk: a chunk with any data is stored whole, its gaps as zeros.
struct ChunkWriter<'w> {
    chunk_bits: u8,
    runs: &'w mut Vec<ChunkRun>,
    data: &'w mut DataWriter,
    checksum: &'w mut u32,
}

impl ChunkWriter<'_> {
    /// Writes at a place in the file; places ascend.
    fn write_at(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        let chunk_bytes = BLOCK_BYTES << self.chunk_bits;
        while !bytes.is_empty() {
            let (chunk, within) = (offset / chunk_bytes, offset % chunk_bytes);
            if self.last_chunk() != Some(chunk) {
                self.end()?;
                self.start_chunk(chunk)?;
            }
            self.zeros(within - self.filled())?;
            let (now, later) = bytes.split_at((chunk_bytes - within).min(bytes.len() as u64) as usize);
            *self.checksum = crc32c::crc32c_append(*self.checksum, now);
            self.data.append(now)?;
            offset += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Fills the last chunk up with zeros.
    fn end(&mut self) -> Result<()> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let missing = (BLOCK_BYTES << self.chunk_bits) - self.filled();
        self.zeros(missing)
    }

    fn last_chunk(&self) -> Option<u64> {
        self.runs.last().map(|run| u64::from(run.chunk) + u64::from(run.count) - 1)
    }

    /// Bytes of the last chunk that are written already.
    fn filled(&self) -> u64 {
        self.runs.last().map_or(0, |run| {
            let start = u64::from(run.block) + (u64::from(run.count - 1) << self.chunk_bits);
            self.data.position() - start * BLOCK_BYTES
        })
    }

    fn start_chunk(&mut self, chunk: u64) -> Result<()> {
        match self.runs.last_mut() {
            Some(run) if u64::from(run.chunk) + u64::from(run.count) == chunk => run.count += 1,
            _ => {
                let block = block_number(self.data.position())?;
                // At most MAX_CHUNKS, so it fits.
                self.runs.push(ChunkRun { chunk: chunk as u32, count: 1, block });
            }
        }
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> Result<()> {
        *self.checksum = checksum::with_zeros(*self.checksum, count);
        self.data.append_zeros(count)
    }
}
