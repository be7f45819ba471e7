//! Metadata and data put together: as the description of a disk, or as one file.
//!
//! The addresses in the metadata are right for exactly one arrangement: the metadata, then the `data` of every layer in
//! the order of the merge, without gaps. Both forms here are that arrangement.

use std::fs::File;
use std::path::{Path, PathBuf};

use boxlite_types::{DiskExtent, DiskLayout, Error, ErrorCode, Result};

use crate::erofs::{self, Header};
use crate::layer::{self, BLOCK_BYTES, IndexHeader, create_new};

/// Size of the disk that shows a box its image, in bytes: constant, so that one warm template fits every image.
pub const ROOT_DISK_BYTES: u64 = 64 << 30;

/// How much of an export is copied before it is asked again whether it is still wanted.
const EXPORT_PIECE_BYTES: u64 = 16 << 20;

/// Lays an image out on the disk of a box: metadata, then the layers' data, then nothing.
///
/// # Errors
/// `Storage` if the layers are not those the image was merged from, `ResourceExhausted` if it does not fit.
pub fn layout(erofs: &Path, layers: &[PathBuf]) -> Result<DiskLayout> {
    let extents = extents(erofs, layers)?;
    let end = extents.last().map_or(0, |extent| extent.disk_offset + extent.length);
    if end > ROOT_DISK_BYTES {
        return Err(Error::new(
            ErrorCode::ResourceExhausted,
            format!("image too large: it takes {end} bytes, and the disk of a box has {ROOT_DISK_BYTES}"),
        )
        .retryable(false));
    }
    Ok(DiskLayout { size_bytes: ROOT_DISK_BYTES, extents })
}

/// Writes the image as one self-contained EROFS file, `out`, which must not exist. Durable on return; if it fails, or
/// `given_up` says so between two pieces, nothing is left of it.
///
/// # Errors
/// As [`layout`], without the limit of size; `Cancelled` if it was given up.
pub fn export(
    erofs: &Path,
    layers: &[PathBuf],
    out: &Path,
    mut given_up: impl FnMut() -> bool,
) -> Result<()> {
    let extents = extents(erofs, layers)?;
    let target = create_new(out)?;
    let written = concatenate(&extents, target, out, &mut given_up);
    if written.is_err() {
        // Whatever comes of it, why it was given up is what there is to say.
        let _ = std::fs::remove_file(out);
    }
    written
}

fn concatenate(
    extents: &[DiskExtent],
    mut target: File,
    out: &Path,
    given_up: &mut dyn FnMut() -> bool,
) -> Result<()> {
    for extent in extents {
        let source = File::open(&extent.path).map_err(|error| Error::io("open", &extent.path, error))?;
        let mut left = extent.length;
        while left > 0 {
            if given_up() {
                return Err(Error::new(ErrorCode::Cancelled, "the export was cancelled"));
            }
            // Copied inside the kernel, and shared by file systems that can.
            let mut piece = std::io::Read::take(&source, left.min(EXPORT_PIECE_BYTES));
            let copied =
                std::io::copy(&mut piece, &mut target).map_err(|error| Error::io("copy to", out, error))?;
            if copied == 0 {
                return Err(erofs::damaged(&extent.path, "it is shorter than it should be"));
            }
            left -= copied;
        }
    }
    target.sync_all().map_err(|error| Error::io("sync", out, error))
}

fn extents(erofs: &Path, layers: &[PathBuf]) -> Result<Vec<DiskExtent>> {
    let header = Header::read(erofs)?;
    let headers = layers.iter().map(|layer| IndexHeader::read(layer)).collect::<Result<Vec<_>>>()?;
    if header != Header::of(header.metadata_blocks, &headers) {
        return Err(erofs::damaged(erofs, "it was merged from other layers"));
    }
    let metadata = (erofs.to_path_buf(), u64::from(header.metadata_blocks) * BLOCK_BYTES);
    let data = layers
        .iter()
        .zip(&headers)
        .map(|(layer, header)| (layer::data_path(layer), header.summary.data_bytes))
        .filter(|(_, length)| *length > 0);
    let mut disk_offset = 0;
    Ok(std::iter::once(metadata)
        .chain(data)
        .map(|(path, length)| {
            let extent = DiskExtent { path, file_offset: 0, disk_offset, length };
            disk_offset += length;
            extent
        })
        .collect())
}
