//! The store as its users see it.

use std::path::Path;
use std::sync::Arc;

use boxlite_state::Database;
use boxlite_types::{
    CheckReport, Digest, DiskLayout, Error, ErrorCode, Home, ImageConfig, ImageDetails, ImageInfo, Platform,
    PulledImage, RemovedImage, Result, UsageReport,
};

use crate::{ImageOptions, PullOptions};

/// All images of one home. Clones are the same store.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

struct Inner {
    _home: Home,
    _database: Database,
    _options: ImageOptions,
}

fn unfinished<T>() -> Result<T> {
    Err(Error::new(ErrorCode::Internal, "being written"))
}

impl ImageStore {
    /// Opens the store in `home`: makes its directories and sweeps what dead processes left. Never uses the network.
    pub fn open(home: Home, database: Database, options: ImageOptions) -> Result<ImageStore> {
        Ok(ImageStore { inner: Arc::new(Inner { _home: home, _database: database, _options: options }) })
    }
    /// Pulls an image until it is ready to run.
    pub async fn pull(&self, _reference: &str, _options: PullOptions) -> Result<PulledImage> {
        let _ = &self.inner;
        unfinished()
    }
    /// Lists every reference held.
    pub async fn list(&self) -> Result<Vec<ImageInfo>> {
        unfinished()
    }
    /// Returns the image a reference, a digest, or an unambiguous beginning of an id names.
    pub async fn get(&self, _reference: &str, _platform: Option<&Platform>) -> Result<ImageInfo> {
        unfinished()
    }
    /// Returns everything known of an image.
    pub async fn inspect(&self, _reference: &str, _platform: Option<&Platform>) -> Result<ImageDetails> {
        unfinished()
    }
    /// Makes `target` name the image `source` names.
    pub async fn tag(&self, _source: &str, _target: &str) -> Result<ImageInfo> {
        unfinished()
    }
    /// Removes a reference, and what nobody else needs.
    pub async fn remove(&self, _reference: &str, _force: bool) -> Result<RemovedImage> {
        unfinished()
    }
    /// Deletes the images that neither a reference nor a box needs any more.
    pub async fn collect(&self) -> Result<RemovedImage> {
        unfinished()
    }
    /// Measures the disk space of images.
    pub async fn usage(&self) -> Result<UsageReport> {
        unfinished()
    }
    /// Examines everything the store holds.
    pub async fn check(&self, _repair: bool) -> Result<CheckReport> {
        unfinished()
    }
    /// Returns the disk of an image and how it wants to be run.
    pub async fn root(&self, _image_id: &Digest) -> Result<(DiskLayout, ImageConfig)> {
        unfinished()
    }
    /// Writes an image as one self-contained EROFS file.
    pub async fn export_erofs(&self, _reference: &str, _path: &Path) -> Result<()> {
        unfinished()
    }
    /// Waits until nothing that was cancelled or dropped still touches the home.
    pub async fn settled(&self) {}
}
