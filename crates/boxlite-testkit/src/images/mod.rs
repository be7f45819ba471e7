//! Images as data: entries, layers, configs, manifests, indexes, honest by default and able to lie in every field.
//!
//! Nothing here is random or dated: the same calls give the same bytes and digests on every machine (given the same
//! `/bin/busybox`, for [`busybox`]). Nothing talks to the network; [`Registry`](crate::registry::Registry) serves what is made
//! here, [`write_layout`] writes it for other tools, and [`read_layout`] reads what they wrote.
//!
//! ```
//! use boxlite_testkit::images::{Compression, Entry, Image, Index, Layer};
//!
//! // An honest image of two layers.
//! let base = Layer::from_entries([Entry::directory("etc"), Entry::file("etc/motd", "hello\n")]);
//! let image = Image::new([base.clone()]).layer(Layer::packed([Entry::whiteout("etc/motd")], Compression::Zstd));
//! let artifact = image.build();
//!
//! // The same in Docker's media types for another platform; both behind an index.
//! let arm = image.clone().docker().platform("linux/arm64/v8").build();
//! let index = Index::new([artifact.clone(), arm]).build();
//!
//! // An image whose manifest lies about the size of its layer.
//! let liar = image.edit_manifest(|manifest| manifest["layers"][0]["size"] = 7.into()).build();
//! assert_ne!(liar.digest(), artifact.digest());
//! # drop(index);
//! ```

mod artifact;
mod busybox;
mod debian;
mod entry;
mod image;
mod layer;
mod layout;
mod synthetic;

pub use artifact::{Artifact, Index, descriptor};
pub use busybox::busybox;
pub use debian::Debian;
pub use entry::{BLOCK_BYTES, Entry, tar};
pub use image::Image;
pub use layer::{Compression, Layer};
pub use layout::{read_layout, write_layout};
pub use synthetic::{Synthetic, library_like};

use boxlite_types::Digest;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(data).into())
}
