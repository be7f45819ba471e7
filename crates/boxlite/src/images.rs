//! The image handle: the operations of the store, each through the gate.

use std::sync::Arc;

use boxlite_types::{
    ImageDetails, ImageInfo, Platform, PullEvent, PullPolicy, PulledImage, RemovedImage, Result,
};
use tokio_util::sync::CancellationToken;

/// Hears what a pull does, on a thread of the runtime; it should return quickly.
pub type PullProgress = Arc<dyn Fn(PullEvent) + Send + Sync>;

/// How an image is pulled.
#[derive(Clone, Default)]
pub struct PullOptions {
    /// Platform; the host's if `None`.
    pub platform: Option<Platform>,
    /// When the registry is asked.
    pub policy: PullPolicy,
    /// Hears how the pull goes.
    pub progress: Option<PullProgress>,
    /// Cancels the pull, as dropping its future does.
    pub cancel: Option<CancellationToken>,
}

/// The images of a home.
///
/// One object per runtime, [`crate::Runtime::images`] returns the same one each time; clones are the same handle.
#[derive(Clone)]
pub struct Images {}

impl Images {
    /// Fetches an image and makes it ready to run.
    pub async fn pull(&self, _reference: &str, _options: PullOptions) -> Result<PulledImage> {
        unimplemented!()
    }

    /// Lists every reference held, newest first.
    pub async fn list(&self) -> Result<Vec<ImageInfo>> {
        unimplemented!()
    }

    /// Returns what is held under a reference, a digest or a unique prefix of one.
    pub async fn get(&self, _reference: &str, _platform: Option<Platform>) -> Result<ImageInfo> {
        unimplemented!()
    }

    /// Returns everything known of an image.
    pub async fn inspect(&self, _reference: &str, _platform: Option<Platform>) -> Result<ImageDetails> {
        unimplemented!()
    }

    /// Gives an image another name.
    pub async fn tag(&self, _reference: &str, _name: &str) -> Result<ImageInfo> {
        unimplemented!()
    }

    /// Removes a reference and, if it was the last one, the image; frees the bytes nobody else needs.
    pub async fn remove(&self, _reference: &str, _force: bool) -> Result<RemovedImage> {
        unimplemented!()
    }

    /// Writes the root filesystem of an image as one self-contained EROFS file.
    pub async fn export_erofs(
        &self,
        _reference: &str,
        _platform: Option<Platform>,
        _file: &std::path::Path,
    ) -> Result<()> {
        unimplemented!()
    }
}
