//! The image handle: the operations of the store, each through the gate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxlite_image::PullOptions;
use boxlite_types::{Event, ImageDetails, ImageInfo, Platform, PulledImage, RemovedImage, Result};

use crate::core::Core;
use crate::gate::Gate;
use crate::operation::run;

/// The images of a home.
///
/// One object per runtime: [`crate::Runtime::images`] returns the same one each time. Clones are the same handle, and may
/// outlive the runtime: from then on every operation answers `Stopped`.
#[derive(Clone)]
pub struct Images {
    gate: Arc<Gate<Core>>,
}

impl Images {
    pub(crate) fn new(gate: Arc<Gate<Core>>) -> Self {
        Images { gate }
    }

    /// Says whether the runtime is open, without any work: for a binding whose own handle was closed.
    ///
    /// # Errors
    /// `Stopped`; `ForkedProcess`.
    pub fn check_open(&self) -> Result<()> {
        self.gate.check()
    }

    /// Fetches an image, verifies every byte of it, and makes it ready to run.
    ///
    /// Cancelled by dropping the future or by the token of the options; it stops at once and leaves partial downloads that
    /// the next pull resumes.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed reference; `NotFound`, `PlatformMismatch`, `Unauthorized`, `RateLimited`,
    /// `Network` from the registry; `DigestMismatch` and `Image` for bytes that are not what they should be; `NoSpace`;
    /// `Cancelled`.
    pub async fn pull(&self, reference: &str, mut options: PullOptions) -> Result<PulledImage> {
        let reference = reference.to_owned();
        run(&self.gate, "images.pull", |work| async move {
            let given_up = std::mem::replace(&mut options.cancel, work.token.clone());
            let told = options.progress.take();
            let (core, name) = (Arc::clone(&work), reference.clone());
            options.progress = Some(Arc::new(move |event| {
                if let Some(told) = &told {
                    told(event.clone());
                }
                core.emit(Event::Pull { reference: name.clone(), event });
            }));
            let pull = work.images.pull(&reference, options);
            tokio::pin!(pull);
            tokio::select! {
                result = &mut pull => return result,
                () = given_up.cancelled() => work.token.cancel(),
            }
            // Cancelling is a request: the pull says how it ended.
            pull.await
        })
        .await
    }

    /// Lists every reference held, by name.
    ///
    /// # Errors
    /// `Database`.
    pub async fn list(&self) -> Result<Vec<ImageInfo>> {
        run(&self.gate, "images.list", |work| async move { work.cancellable(work.images.list()).await }).await
    }

    /// Returns what is held under a reference, a digest, or the unambiguous beginning of one.
    ///
    /// # Errors
    /// `NotFound`; `PlatformMismatch` if it is held for other platforms only.
    pub async fn get(&self, reference: &str, platform: Option<Platform>) -> Result<ImageInfo> {
        let reference = reference.to_owned();
        run(&self.gate, "images.get", |work| async move {
            work.cancellable(work.images.get(&reference, platform.as_ref())).await
        })
        .await
    }

    /// Returns everything known of an image: configuration, layers, history, and all its names.
    ///
    /// # Errors
    /// As [`Images::get`].
    pub async fn inspect(&self, reference: &str, platform: Option<Platform>) -> Result<ImageDetails> {
        let reference = reference.to_owned();
        run(&self.gate, "images.inspect", |work| async move {
            work.cancellable(work.images.inspect(&reference, platform.as_ref())).await
        })
        .await
    }

    /// Makes `name` name the image that `reference` names; a name that exists is moved.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for a malformed name.
    pub async fn tag(&self, reference: &str, name: &str) -> Result<ImageInfo> {
        let (reference, name) = (reference.to_owned(), name.to_owned());
        run(&self.gate, "images.tag", |work| async move {
            // To its end, once begun: it takes a moment, and whoever is told of a cancellation may rely on it.
            work.images.tag(&reference, &name).await
        })
        .await
    }

    /// Removes a name and, with its last one, the image; frees the bytes nobody else needs.
    ///
    /// # Errors
    /// `NotFound`; `InUse` if a box needs the image, saying which, unless `force` is set: then the name goes and the bytes
    /// stay until the box is removed.
    pub async fn remove(&self, reference: &str, force: bool) -> Result<RemovedImage> {
        let reference = reference.to_owned();
        run(&self.gate, "images.remove", |work| async move {
            // To its end, as a tag.
            let removed = work.images.remove(&reference, force).await?;
            work.forget_images().await?;
            Ok(removed)
        })
        .await
    }

    /// Writes the root filesystem of an image as one self-contained EROFS file.
    ///
    /// # Errors
    /// As [`Images::get`]; `Storage` or `NoSpace` if the file cannot be written.
    pub async fn export_erofs(
        &self,
        reference: &str,
        platform: Option<Platform>,
        file: impl AsRef<Path>,
    ) -> Result<()> {
        let (reference, file): (_, PathBuf) = (reference.to_owned(), file.as_ref().to_owned());
        run(&self.gate, "images.export_erofs", |work| async move {
            let image = work.cancellable(work.images.get(&reference, platform.as_ref())).await?;
            work.cancellable(work.images.export_erofs(&image.id.to_string(), &file)).await
        })
        .await
    }
}
