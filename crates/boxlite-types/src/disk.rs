//! How the pieces of a root filesystem lie on the one read-only disk a box sees.
//!
//! Whoever merges an image writes this description; whoever serves the disk (the shim) reads it. Between the extents and
//! after the last one the disk is zero.

use std::path::PathBuf;

/// Size of a disk sector in bytes; extents start and end on one.
pub const DISK_SECTOR_BYTES: u64 = 512;

/// One file, or part of it, at its place on the disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DiskExtent {
    /// The file that holds the bytes.
    pub path: PathBuf,
    /// Where in the file the extent starts, in bytes.
    pub file_offset: u64,
    /// Where on the disk it starts, in bytes.
    pub disk_offset: u64,
    /// Its length in bytes; a file shorter than that reads as zero past its end.
    pub length: u64,
}

/// A read-only disk put together from files, without copying them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DiskLayout {
    /// Size of the disk in bytes.
    pub size_bytes: u64,
    /// Its extents, sorted by `disk_offset`, not overlapping.
    pub extents: Vec<DiskExtent>,
}
