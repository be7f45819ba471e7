//! What a layer may cost before it is refused.
//!
//! A layer of a few kilobytes can unpack to petabytes, to millions of entries or to a path that no kernel would take.
//! Every number here is checked before the memory or disk it stands for is used.

/// Budgets of one layer. Exceeding one is `ResourceExhausted`, naming the budget and the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerLimits {
    /// Entries of the tar, whiteouts included.
    pub max_entries: u64,
    /// Bytes of the uncompressed tar, headers included.
    pub max_tar_bytes: u64,
    /// Bytes written to `data`: file contents, each rounded up to a block.
    pub max_data_bytes: u64,
    /// Bytes of the index, and of the metadata that sparse files will need.
    pub max_index_bytes: u64,
    /// Bytes of one path.
    pub max_path_bytes: usize,
    /// Bytes of all extended attributes of one entry, names and values.
    pub max_xattr_bytes: usize,
    /// Bytes of one PAX or GNU extension header.
    pub max_header_bytes: u64,
}

impl Default for LayerLimits {
    /// Generous for every real image, and what fits on the 64 GiB disk of a box.
    fn default() -> Self {
        LayerLimits {
            max_entries: 4_000_000,
            max_tar_bytes: 64 << 30,
            max_data_bytes: 60 << 30,
            max_index_bytes: 1 << 30,
            max_path_bytes: 4095,
            max_xattr_bytes: 128 << 10,
            max_header_bytes: 1 << 20,
        }
    }
}
