//! What the index says about one entry of a layer.
//!
//! Records borrow from the index they are read from: merging copies no name. Their postcard encoding is the disk format;
//! any change of a field here is a new [`super::index::VERSION`].

use serde::{Deserialize, Serialize};

/// One entry, in the order of the tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record<'a> {
    /// Leading path components it shares with the record before it.
    pub shared: u32,
    /// The components after those, joined by slashes.
    pub rest: &'a [u8],
    /// What it is.
    #[serde(borrow)]
    pub content: Content<'a>,
    /// Owner, times and attributes; absent for links and whiteouts, which have none of their own.
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
}

/// What every inode has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata<'a> {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub mtime_nanoseconds: u32,
    /// Full name and value, sorted by name.
    #[serde(borrow)]
    pub xattrs: Vec<(&'a [u8], &'a [u8])>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content<'a> {
    Directory,
    /// Whole blocks in `data` from `block` on, then the tail; either may be absent.
    File {
        size: u64,
        block: u32,
        tail: &'a [u8],
        /// CRC-32C of the content.
        checksum: u32,
    },
    /// A file with holes, in chunks of `1 << chunk_bits` blocks.
    SparseFile {
        size: u64,
        chunk_bits: u8,
        runs: Vec<ChunkRun>,
        /// CRC-32C of the chunks stored.
        checksum: u32,
    },
    SymbolicLink {
        target: &'a [u8],
    },
    /// Another name of an inode; the target is a cleaned path.
    HardLink {
        target: &'a [u8],
    },
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// The path is gone from the layers below.
    Whiteout,
    /// The children of the path are gone from the layers below.
    OpaqueWhiteout,
}

/// Chunks of a sparse file that are stored one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkRun {
    /// Index of the first chunk in the file.
    pub chunk: u32,
    /// How many chunks.
    pub count: u32,
    /// Where the first one is in `data`, in blocks.
    pub block: u32,
}

impl Record<'_> {
    /// Returns how many blocks of `data` the record says it fills; `None` if no such file can be.
    pub(crate) fn data_blocks(&self) -> Option<(u32, u64)> {
        match &self.content {
            Content::File { size, block, tail, .. } => {
                let stored = size.checked_sub(tail.len() as u64)?;
                Some((*block, super::blocks(stored)))
            }
            Content::SparseFile { chunk_bits, runs, .. } => {
                let first = runs.first().map_or(0, |run| run.block);
                let chunks: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
                Some((first, chunks.checked_shl(u32::from(*chunk_bits))?))
            }
            _ => Some((0, 0)),
        }
    }
}
