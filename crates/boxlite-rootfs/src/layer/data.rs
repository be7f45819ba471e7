//! The `data` file: appended to in large writes, no system call per file.
//!
//! Invariant: every file begins on a block, and what lies between files is zero.

use std::fs::{File, OpenOptions};
use std::path::Path;

use boxlite_types::{Error, Result};

use crate::appender::Appender;

/// Size of a block of the data file and of EROFS, in bytes.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// Returns how many blocks hold that many bytes.
pub(crate) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES)
}

/// Appends to the data file.
pub(super) struct DataWriter(Appender);

impl DataWriter {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Ok(DataWriter(Appender::new(create_new(path)?, path, 0)))
    }

    pub(super) fn position(&self) -> u64 {
        self.0.position()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.append(bytes)
    }

    /// Appends zeros; many of them become a hole of the host's file.
    pub(super) fn append_zeros(&mut self, count: u64) -> Result<()> {
        if count <= BLOCK_BYTES {
            return self.0.append(&[0; BLOCK_BYTES as usize][..count as usize]);
        }
        self.0.skip(count)
    }

    /// Appends zeros up to the next block.
    pub(super) fn align(&mut self) -> Result<()> {
        self.append_zeros(self.position().wrapping_neg() % BLOCK_BYTES)
    }

    /// Writes what is left and makes the file durable; returns its length.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.align()?;
        self.0.finish()
    }
}

/// Makes a file that must not exist yet.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| Error::io("create", path, error))
}
