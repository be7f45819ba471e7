//! One converted layer: the two files it becomes, how they are written, read back and verified.
//!
//! A layer is converted alone, knowing nothing of the layers below it: whiteouts, links and symbolic links in paths are
//! recorded as they stand and get their meaning when layers are merged ([`crate::tree`]).

mod checksum;
mod content;
mod data;
mod index;
mod metadata;
mod record;
mod summary;
mod verify;
mod writer;
mod xattrs;

pub use summary::LayerSummary;
pub use verify::verify_layer;
pub use writer::LayerWriter;

pub(crate) use data::{BLOCK_BYTES, blocks, create_new};
pub(crate) use index::{IndexHeader, LayerIndex};
pub(crate) use record::{ChunkRun, Content, Metadata, Record};

use std::path::{Path, PathBuf};

/// Returns where a layer keeps its file contents.
pub(crate) fn data_path(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// Returns where a layer keeps its entries.
pub(crate) fn index_path(directory: &Path) -> PathBuf {
    directory.join("index")
}
