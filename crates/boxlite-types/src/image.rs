//! What is known of an image, and what a pull reports while it goes on.

use std::collections::BTreeMap;

use crate::{Digest, Platform};

/// When a pull asks the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Ask the registry for the reference every time; blobs that are held are not fetched again.
    #[default]
    Always,
    /// Ask only if the reference is not held for the platform.
    Missing,
    /// Never ask: use what is held, or fail with `NotFound`.
    Never,
}

/// One reference held in the store.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageInfo {
    /// Full reference: `host/repository:tag`, or `host/repository@digest`.
    pub reference: String,
    /// `host/repository`.
    pub repository: String,
    /// Tag; empty for a reference by digest.
    pub tag: String,
    /// Manifest digest: the identity of the image for its platform.
    pub id: Digest,
    /// Digest of the image configuration.
    pub config_digest: Digest,
    /// Platform of this image.
    pub platform: Platform,
    /// When this reference was last set, in seconds since the Unix epoch.
    pub cached_at: i64,
    /// When a pull or a box last used it, in seconds since the Unix epoch.
    pub last_used_at: i64,
    /// When the image was built, as its configuration says (RFC 3339), if it says so.
    pub created: Option<String>,
    /// Bytes of the compressed layers and the configuration together: what a pull of it transfers.
    pub size_bytes: u64,
    /// Bytes of the files of all its layers.
    pub unpacked_bytes: u64,
    /// Number of layers.
    pub layer_count: u32,
}

/// What the image tells a box about how it wants to be run (image-spec, config.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub command: Vec<String>,
    /// `Env`, as `NAME=value`.
    pub env: Vec<String>,
    /// `WorkingDir`; empty for `/`.
    pub working_dir: String,
    /// `User`, as `user[:group]` by name or number; empty for root.
    pub user: String,
    /// `StopSignal`; empty for `SIGTERM`.
    pub stop_signal: String,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
    /// `ExposedPorts`.
    pub exposed_ports: Vec<String>,
    /// `Volumes`.
    pub volumes: Vec<String>,
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerInfo {
    /// Digest of the blob as it was served.
    pub digest: Digest,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Media type of the blob.
    pub media_type: String,
    /// Size of the blob in bytes.
    pub size_bytes: u64,
    /// Number of entries of the tar.
    pub entries: u64,
}

/// Everything known of one image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageDetails {
    /// What `list` says of it.
    #[serde(flatten)]
    pub info: ImageInfo,
    /// Every reference that names this image.
    pub references: Vec<String>,
    /// How it wants to be run.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<LayerInfo>,
    /// `history` of the configuration: the command of each step, with whether it made no layer.
    pub history: Vec<(String, bool)>,
}

/// What a finished pull gives back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PulledImage {
    /// Full reference that now names the image.
    pub reference: String,
    /// Manifest digest for the platform.
    pub id: Digest,
    /// Digest of the configuration.
    pub config_digest: Digest,
    /// Platform chosen.
    pub platform: Platform,
    /// Number of layers.
    pub layer_count: u32,
    /// Whether every blob was held already.
    pub cached: bool,
    /// Bytes of blobs and manifests this pull itself received from the registry.
    pub bytes_fetched: u64,
}

/// What a removal did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemovedImage {
    /// References that no longer name anything.
    pub untagged: Vec<String>,
    /// Images of which nothing is left.
    pub deleted: Vec<Digest>,
    /// Bytes given back to the disk.
    pub bytes_freed: u64,
}

/// Disk space of a home, by what it is used for; in bytes as the disk counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UsageReport {
    /// Number of distinct images.
    pub images: u64,
    /// Compressed blobs, manifests and configurations.
    pub blob_bytes: u64,
    /// Converted layers and merged filesystems.
    pub layer_bytes: u64,
    /// Unfinished downloads.
    pub partial_bytes: u64,
    /// Number of boxes.
    pub boxes: u64,
    /// Disks and logs of boxes.
    pub box_bytes: u64,
    /// Kernels, warm templates and unpacked helpers.
    pub machine_bytes: u64,
    /// Part of the above that removing all unused images would give back.
    pub reclaimable_bytes: u64,
}

/// What happens during a pull, in order per layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullEvent {
    /// The reference is being resolved at its registry.
    Resolving {
        /// Full reference.
        reference: String,
    },
    /// The manifest is known.
    Resolved {
        /// Manifest digest for the platform.
        id: Digest,
        /// Layers the image has.
        layer_count: u32,
        /// Compressed bytes of them all.
        total_bytes: u64,
    },
    /// A layer is held already.
    LayerCached {
        /// Digest of its blob.
        digest: Digest,
    },
    /// Bytes of a layer have arrived; sent at most a few times a second for each layer, and once at its end.
    LayerDownloading {
        /// Digest of its blob.
        digest: Digest,
        /// Bytes received, including those of an earlier attempt that could be resumed.
        received_bytes: u64,
        /// Size of the blob.
        total_bytes: u64,
    },
    /// Another task or process is fetching the layer; this pull waits for it.
    LayerWaiting {
        /// Digest of its blob.
        digest: Digest,
    },
    /// A layer is verified, converted and durable.
    LayerDone {
        /// Digest of its blob.
        digest: Digest,
    },
    /// Something failed that is worth another try.
    Retrying {
        /// What it was: a digest or the reference.
        what: String,
        /// Number of the coming attempt, from 2.
        attempt: u32,
        /// Delay before it in milliseconds.
        delay_ms: u64,
        /// Why the last attempt failed.
        reason: String,
    },
    /// The layers are being merged into a root filesystem.
    Merging,
    /// The image is ready to run.
    Done {
        /// Manifest digest.
        id: Digest,
        /// Whether nothing had to be fetched.
        cached: bool,
        /// Milliseconds from the start of the pull.
        elapsed_ms: u64,
    },
}
