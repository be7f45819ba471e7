//! Encoding of one inode, without what follows it.

use crate::layer::Metadata;
use crate::tree::Body;

/// Size of a compact inode, in bytes: small owners, small size, the time of the superblock.
pub(super) const COMPACT_BYTES: u64 = 32;

/// Size of an extended inode, in bytes.
pub(super) const EXTENDED_BYTES: u64 = 64;

/// How the content of an inode is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// All of it from one block on.
    Plain,
    /// Whole blocks from one block on, the rest behind the inode.
    Inline,
    /// Through a map of chunks behind the inode.
    Chunked { chunk_bits: u8 },
}

/// An inode with every decision about it taken.
pub(super) struct EncodedInode<'t> {
    pub metadata: &'t Metadata<'t>,
    /// Type bits and permissions.
    pub mode: u16,
    pub compact: bool,
    pub layout: DataLayout,
    pub xattr_count: u16,
    pub size: u64,
    pub links: u32,
    /// First block, or device number; 0 if neither.
    pub place: u32,
    /// Shown as inode number where those have 32 bits.
    pub ordinal: u32,
}

impl EncodedInode<'_> {
    /// Writes the inode to the beginning of `out`.
    pub(super) fn put(&self, out: &mut [u8]) {
        let (layout, place) = match self.layout {
            DataLayout::Plain => (0, self.place),
            DataLayout::Inline => (2, self.place),
            DataLayout::Chunked { chunk_bits } => (4, u32::from(chunk_bits)),
        };
        let format = layout << 1 | u16::from(!self.compact);
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &format.to_le_bytes());
        put(2, &self.xattr_count.to_le_bytes());
        put(4, &self.mode.to_le_bytes());
        put(16, &place.to_le_bytes());
        put(20, &self.ordinal.to_le_bytes());
        if self.compact {
            put(6, &(self.links as u16).to_le_bytes());
            put(8, &(self.size as u32).to_le_bytes());
            put(24, &(self.metadata.uid as u16).to_le_bytes());
            put(26, &(self.metadata.gid as u16).to_le_bytes());
        } else {
            put(8, &self.size.to_le_bytes());
            put(24, &self.metadata.uid.to_le_bytes());
            put(28, &self.metadata.gid.to_le_bytes());
            put(32, &self.metadata.mtime.to_le_bytes());
            put(40, &self.metadata.mtime_nanoseconds.to_le_bytes());
            put(44, &self.links.to_le_bytes());
        }
    }
}

/// Returns whether the compact form can hold an inode, given the time of the superblock.
pub(super) fn fits_compact(metadata: &Metadata<'_>, size: u64, links: u32, time: (i64, u32)) -> bool {
    let small = |id: u32| id <= u32::from(u16::MAX);
    small(metadata.uid)
        && small(metadata.gid)
        && small(links)
        && size <= u64::from(u32::MAX)
        && (metadata.mtime, metadata.mtime_nanoseconds) == time
}

/// Returns the type bits of `st_mode`.
pub(super) fn type_bits(body: &Body<'_>) -> u16 {
    match body {
        Body::File { .. } | Body::SparseFile { .. } => 0o100_000,
        Body::Directory(_) => 0o040_000,
        Body::SymbolicLink(_) => 0o120_000,
        Body::CharacterDevice { .. } => 0o020_000,
        Body::BlockDevice { .. } => 0o060_000,
        Body::Fifo => 0o010_000,
    }
}

/// Returns the type as directory entries tell it.
pub(super) fn file_type(body: &Body<'_>) -> u8 {
    match body {
        Body::File { .. } | Body::SparseFile { .. } => 1,
        Body::Directory(_) => 2,
        Body::CharacterDevice { .. } => 3,
        Body::BlockDevice { .. } => 4,
        Body::Fifo => 5,
        Body::SymbolicLink(_) => 7,
    }
}

/// Encodes a device number the way Linux stores it in 32 bits (`new_encode_dev`).
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}
