//! Bringing one layer into the store: who does it, from where, and what becomes of the pieces.
//!
//! Whoever leads has both locks, of the layer and of its blob, and is the only one in any process to work on them; the
//! others wait and share. A blob that is held already is converted from the disk; otherwise it is fetched, from where an
//! earlier attempt stopped. What fails leaves at most the partial download, and that only if it can still be right.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use boxlite_rootfs::LayerSummary;
use boxlite_types::{Context, DiffId, Error, ErrorCode, PullEvent, Result, ResultExt};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::files::{self, Unfinished};
use super::leases::Leases;
use super::rows;
use crate::locks::{Claim, Content, LockGuard};
use crate::manifest::Layer;
use crate::pipeline::{Job, Outcome, Pipeline};
use crate::progress::{LayerProgress, Progress};
use crate::registry::{BlobSink, Repository};

/// How often a layer is made before giving up.
const ATTEMPTS: u32 = 4;

/// One layer to be brought in by one pull.
#[derive(Clone)]
pub(crate) struct LayerTask {
    pub(crate) store: Arc<Inner>,
    pub(crate) repository: Repository,
    pub(crate) progress: Progress,
    pub(crate) cancel: CancellationToken,
    pub(crate) leases: Arc<Leases>,
    pub(crate) layer: Layer,
    pub(crate) diff_id: DiffId,
}

/// A layer that is in the store.
pub(crate) struct LayerReady {
    pub(crate) diff_id: DiffId,
    pub(crate) summary: LayerSummary,
    /// Whether this pull had to convert it.
    pub(crate) converted: bool,
}

/// Where the bytes of the blob come from.
struct Source {
    file: File,
    path: PathBuf,
    held_bytes: u64,
    /// The lock of the blob; exclusive if it is to be fetched.
    lock: Arc<LockGuard>,
    /// Whether the blob is in the store already.
    stored: bool,
}

/// Passes a download into the pipeline, and reports on it.
struct Feed<'a> {
    pipeline: &'a Pipeline,
    report: LayerProgress,
    received_bytes: u64,
}

impl BlobSink for Feed<'_> {
    async fn take(&mut self, bytes: Bytes) -> bool {
        self.received_bytes += bytes.len() as u64;
        self.report.at(self.received_bytes);
        self.pipeline.push(bytes).await
    }
}

/// The error of whatever was cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the pull was cancelled")
}

impl LayerTask {
    /// Makes sure of the layer, and holds it for the pull.
    pub(crate) async fn run(self) -> Result<LayerReady> {
        let content = Content::Layer(self.diff_id);
        let digest = self.layer.descriptor.digest;
        let mut made = None;
        // More than once only if a removal takes what was just made, in the instant before it is held.
        for _ in 0..ATTEMPTS {
            match self.claim(content, || files::is_present(&self.store.home, content)).await? {
                Claim::Present(guard) => {
                    let guard = Arc::new(guard);
                    self.leases.hold(guard.clone());
                    let proven = made.is_some() || self.is_proven().await?;
                    if !proven {
                        self.make_in_turn(guard, false).await?;
                    }
                    self.hold_blob()?;
                    let converted = !proven || made.is_some();
                    let summary = match made {
                        Some(summary) => summary,
                        None => self.summary_of_present().await?,
                    };
                    self.progress.emit(if converted {
                        PullEvent::LayerDone { digest }
                    } else {
                        PullEvent::LayerCached { digest }
                    });
                    return Ok(LayerReady { diff_id: self.diff_id, summary, converted });
                }
                Claim::Lead(guard) => made = Some(self.make_in_turn(Arc::new(guard), true).await?),
            }
        }
        let message = format!("layer `{digest}` was taken away again and again");
        Err(Error::new(ErrorCode::Storage, message).retryable(true))
    }

    /// Holds the blob for the pull. It may have been lost since it was converted; the layer does without.
    fn hold_blob(&self) -> Result<()> {
        let content = Content::Blob(self.layer.descriptor.digest);
        if let Some(guard) = self.store.locks.try_shared(content)?
            && files::is_present(&self.store.home, content)
        {
            self.leases.hold(guard);
        }
        Ok(())
    }

    /// Whether this very blob has been verified to be this layer. A manifest that names one layer's blob and another's
    /// DiffID gains nothing by the second being held.
    async fn is_proven(&self) -> Result<bool> {
        let (digest, size, diff_id) =
            (self.layer.descriptor.digest, self.layer.descriptor.size, self.diff_id);
        self.store
            .blocking(move |store| {
                let proven = |connection: &_| rows::is_proven(connection, &digest, size, &diff_id);
                Ok(files::is_marked(&store.home, &digest, size, &diff_id) || store.database.read(proven)?)
            })
            .await
    }

    /// Fetches and verifies the blob, and converts it if `convert`; not more layers at a time than the store allows.
    async fn make_in_turn(&self, lock: Arc<LockGuard>, convert: bool) -> Result<LayerSummary> {
        let slot = self.cancel.run_until_cancelled(self.store.slots.acquire()).await;
        let _slot = slot.ok_or_else(cancelled)?;
        self.make(lock, convert).await.with(Context::Digest, self.layer.descriptor.digest)
    }

    async fn claim(&self, content: Content, present: impl Fn() -> bool) -> Result<Claim> {
        let digest = self.layer.descriptor.digest;
        let waiting = || self.progress.emit(PullEvent::LayerWaiting { digest });
        let claim = self.store.locks.claim(content, present, waiting);
        self.cancel.run_until_cancelled(claim).await.ok_or_else(cancelled)?
    }

    /// Finds the numbers of a layer somebody else converted.
    async fn summary_of_present(&self) -> Result<LayerSummary> {
        let diff_id = self.diff_id;
        self.store
            .blocking(move |store| match store.numbers_of(&diff_id)? {
                Some(summary) => Ok(summary),
                None => LayerSummary::read(&store.home.layer(&diff_id)),
            })
            .await
    }

    async fn make(&self, layer_lock: Arc<LockGuard>, convert: bool) -> Result<LayerSummary> {
        let descriptor = &self.layer.descriptor;
        let temporary =
            files::unfinished(&self.store.home, Content::Layer(self.diff_id), Unfinished::Temporary);
        let directory = convert.then_some(temporary);
        loop {
            let source = self.source().await?;
            let (stored, held_bytes, path) = (source.stored, source.held_bytes, source.path.clone());
            self.prepare(&directory).await?;
            let blob_lock = source.lock;
            let pipeline = Pipeline::start(Job {
                digest: descriptor.digest,
                size: descriptor.size,
                compression: self.layer.compression,
                diff_id: self.diff_id,
                file: source.file,
                path: source.path,
                held_bytes,
                directory: directory.clone(),
                limits: self.store.options.layer_limits.clone(),
                locks: vec![layer_lock.clone(), blob_lock.clone()],
            })?;
            let fetched = self.cancel.run_until_cancelled(self.feed(&pipeline, held_bytes)).await;
            let outcome = pipeline.finish().await;
            let error = match (outcome, fetched) {
                // Longer than it may be: the bytes that came first are right, and the whole is wrong.
                (_, Some(Err(error))) if error.code() == ErrorCode::DigestMismatch => {
                    self.clear(&directory, Some(path)).await?;
                    return Err(error);
                }
                (Outcome::Converted(summary), _) => {
                    self.commit(directory, (!stored).then_some(path)).await?;
                    return Ok(summary);
                }
                // Bytes on the disk were wrong, not those of the registry: fetch it anew.
                (Outcome::BadBlob(_), _) if held_bytes > 0 => {
                    self.clear(&directory, Some(path)).await?;
                    drop(blob_lock);
                    continue;
                }
                (Outcome::BadBlob(error) | Outcome::BadLayer(error), _) => {
                    self.clear(&directory, (!stored).then_some(path)).await?;
                    return Err(error);
                }
                (Outcome::Failed(error), _) | (Outcome::Incomplete, Some(Err(error))) => error,
                (Outcome::Incomplete, _) => cancelled(),
            };
            // Nothing has come: there is nothing to be resumed.
            let empty = !stored && std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0);
            self.clear(&directory, empty.then_some(path)).await?;
            return Err(error);
        }
    }

    async fn source(&self) -> Result<Source> {
        let descriptor = &self.layer.descriptor;
        let content = Content::Blob(descriptor.digest);
        let home = &self.store.home;
        let claim = self.claim(content, || files::is_present(home, content)).await?;
        match claim {
            Claim::Present(lock) => {
                let path = files::place(home, content);
                let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
                let length = file.metadata().map_err(|error| Error::io("examine", &path, error))?.len();
                if length != descriptor.size {
                    self.judge_size(path, length).await?;
                    drop(lock);
                    return Box::pin(self.source()).await;
                }
                Ok(Source { file, path, held_bytes: length, lock: Arc::new(lock), stored: true })
            }
            Claim::Lead(lock) => {
                let path = files::unfinished(home, content, Unfinished::Partial);
                let (mut file, mut held_bytes) = files::open_partial(&path)?;
                if held_bytes > descriptor.size {
                    files::delete_file(&path)?;
                    (file, held_bytes) = files::open_partial(&path)?;
                }
                Ok(Source { file, path, held_bytes, lock: Arc::new(lock), stored: false })
            }
        }
    }

    /// Decides who is wrong about the size of a stored blob: the manifest, which is refused, or the file, which is deleted.
    async fn judge_size(&self, path: PathBuf, length: u64) -> Result<()> {
        let (digest, size) = (self.layer.descriptor.digest, self.layer.descriptor.size);
        self.store
            .blocking(move |_| {
                if files::hash(&path)?.0 != digest {
                    return files::delete_file(&path);
                }
                let message =
                    format!("blob `{digest}` is of {length} bytes, not {size} as its manifest says");
                Err(Error::new(ErrorCode::DigestMismatch, message))
            })
            .await
    }

    /// Downloads what is missing of the blob into the pipeline.
    async fn feed(&self, pipeline: &Pipeline, held_bytes: u64) -> Result<()> {
        let descriptor = &self.layer.descriptor;
        if held_bytes == descriptor.size {
            return Ok(());
        }
        let mut report = self.progress.layer(descriptor.digest, descriptor.size);
        report.at(held_bytes);
        let mut reader = self.repository.blob(descriptor.digest, descriptor.size, held_bytes);
        reader.read(&mut Feed { pipeline, report, received_bytes: held_bytes }).await
    }

    async fn prepare(&self, directory: &Option<PathBuf>) -> Result<()> {
        let Some(directory) = directory.clone() else { return Ok(()) };
        self.store
            .blocking(move |store| {
                files::delete(&store.home, &directory)?;
                files::make_directory(&directory)
            })
            .await
    }

    async fn commit(&self, directory: Option<PathBuf>, blob: Option<PathBuf>) -> Result<()> {
        let (diff_id, digest) = (self.diff_id, self.layer.descriptor.digest);
        let leases = self.leases.clone();
        self.store
            .blocking(move |store| {
                leases.made(Content::Blob(digest));
                files::mark(&store.home, Content::Blob(digest), Some(&diff_id))?;
                if let Some(blob) = blob {
                    files::put_in_place(&store.home, Content::Blob(digest), &blob)?;
                }
                let Some(directory) = directory else { return Ok(()) };
                leases.made(Content::Layer(diff_id));
                files::mark(&store.home, Content::Layer(diff_id), None)?;
                files::put_in_place(&store.home, Content::Layer(diff_id), &directory)
            })
            .await
    }

    /// Deletes the half-made layer, and the blob or partial that proved wrong.
    async fn clear(&self, directory: &Option<PathBuf>, wrong: Option<PathBuf>) -> Result<()> {
        let directory = directory.clone();
        self.store
            .blocking(move |store| {
                if let Some(directory) = directory {
                    files::delete(&store.home, &directory)?;
                }
                wrong.map_or(Ok(()), |path| files::delete_file(&path))
            })
            .await
    }
}
