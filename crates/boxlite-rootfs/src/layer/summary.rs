//! What is said about a layer when it is complete.

use std::path::Path;

use boxlite_types::Result;

use super::IndexHeader;

/// What a converted layer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSummary {
    /// Entries, whiteouts included.
    pub entries: u64,
    /// Sum of the sizes of its files, holes included, in bytes.
    pub file_bytes: u64,
    /// Length of `data` in bytes, a multiple of 4 KiB.
    pub data_bytes: u64,
}

impl LayerSummary {
    /// Reads what the layer in `directory` says of itself; one short read, whatever its size.
    ///
    /// # Errors
    /// `Storage` if there is no index, or none whose header is whole.
    pub fn read(directory: &Path) -> Result<Self> {
        IndexHeader::read(directory).map(|header| header.summary)
    }
}
