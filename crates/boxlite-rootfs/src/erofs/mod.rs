//! The merged image on disk: an EROFS file system without its file contents.
//!
//! Only what Linux 5.15 knows of the format is used (fs/erofs/erofs_fs.h): 4 KiB blocks, compact and extended inodes,
//! plain, inlined and chunk-based files, inlined and shared extended attributes, a checksummed superblock. No
//! compression, no device table.
//!
//! ```text
//! block 0          bytes 0-1023: BoxLite's own header (see `header`); EROFS leaves them to boot sectors
//!                  bytes 1024-1151: superblock; then the first inodes
//! block 1 ...      inodes, each followed by its attributes and its inlined tail, chunk map or directory entries
//!                  attributes that several inodes share
//!                  blocks of large directories and of long symbolic links
//! block M          does not exist in this file: `data` of layer 0 on the disk of a box, or in an export
//! block M + D0     `data` of layer 1, and so on
//! ```

mod directory;
mod header;
mod image;
mod inode;
mod layout;
mod xattrs;

pub(crate) use header::{Header, damaged, verify};
pub(crate) use image::encode;
pub(crate) use xattrs::namespace as xattr_namespace;

/// Size of an EROFS block, in bytes; that of layer data.
const BLOCK_BYTES: u64 = crate::layer::BLOCK_BYTES;
