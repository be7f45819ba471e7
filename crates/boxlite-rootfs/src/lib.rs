//! From the tar stream of a layer to the root filesystem of a box.
//!
//! A layer is converted once, alone, while it streams ([`LayerWriter`]); an image is only an index over its layers
//! ([`merge`]): the merged tree as EROFS metadata whose block addresses point past its own end into the layers' data.
//! Everything here is synchronous and works on files it is told of. It knows nothing of registries, digests, databases or
//! boxes, and it never creates a file of the image on the host: only `data`, `index` and EROFS files, so that names,
//! links and owners in a layer cannot reach the host.
//!
//! # On disk
//!
//! ```text
//! layers/<diff-id>/data     contents of the layer's files, each from a 4 KiB block on, zeros between     layer/data.rs
//! layers/<diff-id>/index    header, then one record per entry: path, type, metadata, where its data is   layer/index.rs
//! rootfs/<chain-id>.erofs   header, superblock, inodes, directories                                      erofs/mod.rs
//!
//! the disk of a box:   | metadata | data of layer 0 | data of layer 1 | ... | hole up to 64 GiB |
//!                      0          M                 M + D0
//! an export:           the same without the hole, as one file
//! ```
//!
//! Index and metadata carry a version and checksums (CRC-32C), the index also one for the content of each file. A
//! version that is not ours is `Storage`: the layer is converted, or the image merged, again.

mod appender;
mod disk;
mod erofs;
mod layer;
mod limits;
mod merge;
mod path;
mod tar;
mod tree;

pub use appender::Appender;
pub use disk::{ROOT_DISK_BYTES, export, layout};
pub use layer::{LayerSummary, LayerWriter, verify_layer};
pub use limits::LayerLimits;
pub use merge::{MergedRootfs, merge, verify_merged};
