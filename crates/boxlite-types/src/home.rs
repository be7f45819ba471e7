//! Where everything lies in a home (`BOXLITE_HOME`). Names only; nothing is opened here.

use std::path::{Path, PathBuf};

use crate::{BoxId, Digest};

/// The directory tree of one home. See ARCHITECTURE.md, "State on disk", for what each part holds and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Names the home at `root`, which should be absolute.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Home { root: root.into() }
    }

    /// Returns the directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state database.
    pub fn database(&self) -> PathBuf {
        self.root.join("boxlite.db")
    }

    /// All blobs, each named by the hex digits of its digest.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// One blob: exactly the bytes that were served.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Unfinished downloads and conversions.
    pub fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    /// All converted layers, each a directory named by the hex digits of its DiffID.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// One converted layer.
    pub fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    /// All merged root filesystems.
    pub fn rootfs(&self) -> PathBuf {
        self.root.join("rootfs")
    }

    /// The merged metadata of one chain of layers.
    pub fn merged(&self, chain_id: &Digest) -> PathBuf {
        self.rootfs().join(format!("{}.erofs", chain_id.hex()))
    }

    /// All boxes.
    pub fn boxes(&self) -> PathBuf {
        self.root.join("boxes")
    }

    /// The directory of one box.
    pub fn box_directory(&self, id: &BoxId) -> PathBuf {
        self.boxes().join(id.as_str())
    }

    /// Warm machine states, one directory per key.
    pub fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }

    /// Guest kernels, one directory per release.
    pub fn kernels(&self) -> PathBuf {
        self.root.join("kernels")
    }

    /// Unpacked helper programs, one directory per content digest.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }
}
