//! What is said about a layer when it is complete.

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
