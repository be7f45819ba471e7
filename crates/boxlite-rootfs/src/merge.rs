//! From layer indexes to the metadata of an image: no file content is read or moved.

use std::io::Write;
use std::path::{Path, PathBuf};

use boxlite_types::{Error, Result};

use crate::erofs;
use crate::layer::{IndexHeader, LayerIndex, create_new};
use crate::tree::Tree;

/// What a merged root filesystem holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergedRootfs {
    /// Inodes of the tree.
    pub inodes: u64,
    /// Length of the metadata in bytes, a multiple of 4 KiB.
    pub metadata_bytes: u64,
    /// Length of metadata and layer data together in bytes.
    pub disk_bytes: u64,
}

/// Merges converted layers, lowest first, into the new file `out`: an EROFS that has everything but the file contents.
///
/// The same layers always give the same bytes. The file is durable on return; its name is not, since the caller renames
/// it. After an error it may exist without being whole.
///
/// # Errors
/// `Storage` if a layer is damaged or missing, `Image` if the layers make no tree (a hard link to nothing, a file
/// below a file), `ResourceExhausted` if it is too large to address.
pub fn merge(layers: &[PathBuf], out: &Path) -> Result<MergedRootfs> {
    let indexes = layers.iter().map(|layer| LayerIndex::read(layer)).collect::<Result<Vec<_>>>()?;
    let mut tree = Tree::new();
    for (layer, index) in indexes.iter().enumerate() {
        tree.apply(index, layer as u32)?;
    }
    let headers: Vec<IndexHeader> = indexes.iter().map(|index| index.header).collect();
    let image = erofs::encode(&tree, &headers)?;
    let mut file = create_new(out)?;
    file.write_all(&image.bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io("write", out, error))?;
    let metadata_bytes = image.bytes.len() as u64;
    let data_bytes: u64 = headers.iter().map(|header| header.summary.data_bytes).sum();
    Ok(MergedRootfs { inodes: image.inodes, metadata_bytes, disk_bytes: metadata_bytes + data_bytes })
}

/// Verifies a merged root filesystem against the checksum it carries.
///
/// # Errors
/// `Storage` naming the file.
pub fn verify_merged(erofs: &Path) -> Result<()> {
    erofs::verify(erofs)
}
