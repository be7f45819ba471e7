//! A pull from reference to ready image. See ARCHITECTURE.md, "Life of a pull".
//!
//! Documents first, all checks that need no layer, then the layers in parallel, the merge, and one transaction. Until
//! that transaction nothing but unreferenced files has changed; after it everything it points at is durable.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use boxlite_rootfs::LayerSummary;
use boxlite_types::{
    Context, DiffId, Digest, Error, ErrorCode, LayerInfo, Platform, PullEvent, PullPolicy, PulledImage,
    Result, ResultExt,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::files;
use super::layer::{LayerReady, LayerTask, cancelled};
use super::leases::Leases;
use super::rows::{self, ImageRecord, LayerRecord, ReferenceRecord};
use crate::config::{self, Configuration, digest_of};
use crate::locks::{Claim, Content};
use crate::manifest::{self, Manifest, Parsed};
use crate::progress::Progress;
use crate::registry::{Document, Repository};
use crate::{ImageName, PullOptions, Reference, Selector, selection};

/// One pull going on.
pub(super) struct Pull {
    store: Arc<Inner>,
    progress: Progress,
    cancel: CancellationToken,
    wanted: Platform,
    leases: Arc<Leases>,
}

/// The documents of an image.
struct Documents {
    index: Option<(Digest, Vec<u8>)>,
    id: Digest,
    bytes: Vec<u8>,
    manifest: Manifest,
}

impl Pull {
    pub(super) fn new(store: Arc<Inner>, options: &PullOptions, cancel: CancellationToken) -> Self {
        Pull {
            store,
            progress: Progress::new(options.progress.clone()),
            cancel,
            wanted: selection::normalize(&options.platform.clone().unwrap_or_else(Platform::host)),
            leases: Arc::default(),
        }
    }

    /// Runs the pull to its end. Whatever that is, all locks are let go.
    pub(super) async fn run(self, reference: &Reference, policy: PullPolicy) -> Result<PulledImage> {
        let result = self.resolve_and_pull(reference, policy).await;
        let leases = self.leases.clone();
        // What a bad image brought in is of no use to anybody; what a broken connection left is.
        let useless = result.as_ref().is_err_and(|error| !error.is_retryable());
        let cleaned = self.store.blocking(move |store| {
            store.let_go(&leases)?;
            if useless { store.discard(&leases.all_made()).map(|_| ()) } else { Ok(()) }
        });
        let cleaned = cleaned.await;
        let image = result?;
        cleaned.map(|()| image)
    }

    async fn resolve_and_pull(&self, reference: &Reference, policy: PullPolicy) -> Result<PulledImage> {
        let names = self.store.names(reference)?;
        if policy != PullPolicy::Always {
            for name in &names {
                if let Some(image) = self.use_held(name).await? {
                    return Ok(image);
                }
            }
        }
        if policy == PullPolicy::Never {
            return Err(self.not_held(reference, &names).await?);
        }
        let mut refused: Option<Error> = None;
        for name in &names {
            match self.pull_name(name).await {
                // A registry of the search list that does not have it, or does not admit to it: ask the next.
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::Unauthorized) => {
                    refused.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(refused.unwrap_or_else(|| Error::new(ErrorCode::Internal, "a reference that means nothing")))
    }

    /// Uses what is held under `name`, without asking anybody.
    async fn use_held(&self, name: &ImageName) -> Result<Option<PulledImage>> {
        let (name, wanted, leases) = (name.clone(), self.wanted.clone(), self.leases.clone());
        let held = self
            .store
            .blocking(move |store| {
                let found = store.database.read(|connection| rows::references(connection, &name))?;
                let Some(found) = found.into_iter().find(|held| held.resolved_for == wanted.to_string())
                else {
                    return Ok(None);
                };
                if !store.hold_image(&found.info.id, &leases)? {
                    store.let_go(&leases)?;
                    return Ok(None);
                }
                store.touch(&found.info.id, found.info.last_used_at)?;
                Ok(Some(found))
            })
            .await?;
        Ok(held.map(|held| {
            let info = held.info;
            self.done(info.id, true);
            PulledImage {
                reference: info.reference,
                id: info.id,
                config_digest: info.config_digest,
                platform: info.platform,
                layer_count: info.layer_count,
                cached: true,
                bytes_fetched: 0,
            }
        }))
    }

    async fn not_held(&self, reference: &Reference, names: &[ImageName]) -> Result<Error> {
        let names = names.to_vec();
        let held = self
            .store
            .blocking(move |store| {
                store.database.read(|connection| {
                    let mut platforms = Vec::new();
                    for name in &names {
                        platforms.extend(
                            rows::references(connection, name)?.into_iter().map(|held| held.resolved_for),
                        );
                    }
                    Ok(platforms)
                })
            })
            .await?;
        if !held.is_empty() && !held.contains(&self.wanted.to_string()) {
            return Ok(selection::mismatch(&self.wanted, &held).hint("pull it for that platform first"));
        }
        Ok(Error::new(
            ErrorCode::NotFound,
            format!("image `{reference}` is not held, and nothing is to be pulled"),
        )
        .hint("pull it first, or allow it with the policy `missing`"))
    }

    fn done(&self, id: Digest, cached: bool) {
        self.progress.emit(PullEvent::Done { id, cached, elapsed_ms: self.progress.elapsed_ms() });
    }

    async fn pull_name(&self, name: &ImageName) -> Result<PulledImage> {
        self.progress.emit(PullEvent::Resolving { reference: name.to_string() });
        let repository = self.store.registries.repository(&name.host, &name.path, self.progress.clone());
        let documents = self.cancellable(self.documents(&repository, name)).await?;
        if let Some(image) = self.commit_held(name, &documents).await? {
            self.done(image.id, true);
            return Ok(image);
        }
        let id = documents.id;
        self.pull_image(name, &repository, documents).await.with(Context::Digest, id)
    }

    async fn cancellable<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.run_until_cancelled(work).await.ok_or_else(cancelled)?
    }

    /// Fetches the manifest the name means for the platform, by way of an index if there is one.
    async fn documents(&self, repository: &Repository, name: &ImageName) -> Result<Documents> {
        let document = repository.manifest(&name.selector).await?;
        let digest = verify_document(&document, &name.selector)?;
        let limit = self.store.options.layer_count;
        let content_type = document.content_type.as_deref().unwrap_or_default();
        let entries = match manifest::parse(&document.bytes, &[content_type], limit)? {
            Parsed::Image(manifest) => {
                return Ok(Documents { index: None, id: digest, bytes: document.bytes, manifest });
            }
            Parsed::Index(entries) => entries,
        };
        let chosen = &selection::choose(&entries, &self.wanted)?.descriptor;
        let selector = Selector::Digest(chosen.digest);
        let child = match self.held_document(&chosen.digest).await? {
            Some(bytes) => Document { bytes, content_type: None, claimed_digest: None },
            None => repository.manifest(&selector).await?,
        };
        verify_document(&child, &selector)?;
        if child.bytes.len() as u64 != chosen.size {
            let (found, size) = (child.bytes.len(), chosen.size);
            let message =
                format!("manifest `{}` is of {found} bytes, not {size} as its index says", chosen.digest);
            return Err(Error::new(ErrorCode::DigestMismatch, message));
        }
        let content_type = child.content_type.as_deref().unwrap_or_default();
        match manifest::parse(&child.bytes, &[content_type, &chosen.media_type], limit)? {
            Parsed::Image(manifest) => Ok(Documents {
                index: Some((digest, document.bytes)),
                id: chosen.digest,
                bytes: child.bytes,
                manifest,
            }),
            Parsed::Index(_) => {
                Err(Error::new(ErrorCode::Image, "index holds another index for this platform"))
            }
        }
        .with(Context::Digest, chosen.digest)
    }

    /// Reads a document from the store, if it is there and still what its digest says.
    async fn held_document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let (digest, limit) = (*digest, self.store.options.document_bytes);
        self.store
            .blocking(move |store| {
                let path = store.home.blob(&digest);
                let small = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= limit);
                let bytes = small.then(|| std::fs::read(&path).ok()).flatten();
                Ok(bytes.filter(|bytes| digest_of(bytes) == digest))
            })
            .await
    }

    /// If the image is here whole, sets the reference and is done.
    async fn commit_held(&self, name: &ImageName, documents: &Documents) -> Result<Option<PulledImage>> {
        let (name, wanted, leases) = (name.clone(), self.wanted.clone(), self.leases.clone());
        let (id, index) = (documents.id, documents.index.clone());
        let bytes_fetched = self.progress.received_bytes();
        self.store
            .blocking(move |store| {
                let Some(record) = store.database.read(|connection| rows::image(connection, &id))? else {
                    return Ok(None);
                };
                selection::check(&record.platform, &wanted)?;
                if !store.hold_image(&id, &leases)? || !store.hold_index(index.as_ref(), &leases)? {
                    store.let_go(&leases)?;
                    return Ok(None);
                }
                let reference = ReferenceRecord {
                    name: &name,
                    platform: &wanted,
                    image_id: id,
                    index_digest: index.map(|(digest, _)| digest),
                };
                if !store.commit(None, &reference, &leases)? {
                    store.let_go(&leases)?;
                    return Ok(None);
                }
                Ok(Some(PulledImage {
                    reference: name.to_string(),
                    id,
                    config_digest: record.config_digest,
                    platform: record.platform,
                    layer_count: record.layers.len() as u32,
                    cached: true,
                    bytes_fetched,
                }))
            })
            .await
    }

    async fn pull_image(
        &self,
        name: &ImageName,
        repository: &Repository,
        documents: Documents,
    ) -> Result<PulledImage> {
        let manifest = &documents.manifest;
        let (config_bytes, config_held) = self.cancellable(self.configuration(repository, manifest)).await?;
        let configuration = Configuration::parse(&config_bytes, manifest.layers.len())?;
        selection::check(&configuration.platform, &self.wanted)?;
        let total_bytes = manifest.layers.iter().map(|layer| layer.descriptor.size).sum();
        self.progress.emit(PullEvent::Resolved {
            id: documents.id,
            layer_count: manifest.layers.len() as u32,
            total_bytes,
        });
        self.check_space(manifest, &configuration.diff_ids)?;
        let ready = self.layers(repository, manifest, &configuration.diff_ids).await?;
        let cached = config_held && ready.values().all(|layer| !layer.converted);
        let chain_id = config::chain_id(&configuration.diff_ids);
        self.merge(chain_id, &configuration.diff_ids).await?;
        let summaries = ready.into_iter().map(|(diff_id, layer)| (diff_id, layer.summary)).collect();
        let record = record(&documents, configuration, chain_id, &summaries);
        let image = PulledImage {
            reference: name.to_string(),
            id: record.id,
            config_digest: record.config_digest,
            platform: record.platform.clone(),
            layer_count: record.layers.len() as u32,
            cached,
            bytes_fetched: self.progress.received_bytes(),
        };
        self.commit(name, documents, config_bytes, record).await?;
        self.done(image.id, cached);
        Ok(image)
    }

    /// Returns the bytes of the configuration, and whether they were held.
    async fn configuration(&self, repository: &Repository, manifest: &Manifest) -> Result<(Vec<u8>, bool)> {
        let descriptor = &manifest.config;
        let limit = self.store.options.document_bytes;
        if descriptor.size > limit {
            let message =
                format!("image configuration is of {} bytes; more than {limit} are refused", descriptor.size);
            return Err(Error::new(ErrorCode::Image, message));
        }
        if let Some(bytes) = self.held_document(&descriptor.digest).await? {
            return Ok((bytes, true));
        }
        let document = repository.document_blob(&descriptor.digest).await?;
        let found = digest_of(&document.bytes);
        if found != descriptor.digest || document.bytes.len() as u64 != descriptor.size {
            let message = format!(
                "image configuration `{}` of {} bytes came as `{found}` of {}",
                descriptor.digest,
                descriptor.size,
                document.bytes.len()
            );
            return Err(Error::new(ErrorCode::DigestMismatch, message)
                .with(Context::Digest, descriptor.digest.to_string()));
        }
        Ok((document.bytes, false))
    }

    /// Refuses before the first layer if the image cannot fit: each missing layer is kept as it is served, and takes at
    /// least as much again when it is unpacked.
    fn check_space(&self, manifest: &Manifest, diff_ids: &[DiffId]) -> Result<()> {
        let missing = manifest.layers.iter().zip(diff_ids);
        let missing =
            missing.filter(|(_, diff_id)| !files::is_present(&self.store.home, Content::Layer(**diff_id)));
        let bytes: u64 = missing.map(|(layer, _)| layer.descriptor.size).sum();
        if bytes == 0 {
            return Ok(());
        }
        files::check_free_space(&self.store.home, bytes * 2, self.store.options.free_space_reserve_bytes)
    }

    /// Brings in all layers, in parallel. The first failure stops the rest, and all have ended when this returns.
    async fn layers(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        diff_ids: &[DiffId],
    ) -> Result<HashMap<DiffId, LayerReady>> {
        let cancel = self.cancel.child_token();
        let mut tasks = JoinSet::new();
        let mut begun = HashSet::new();
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            if !begun.insert((layer.descriptor.digest, layer.descriptor.size, *diff_id)) {
                continue;
            }
            let task = LayerTask {
                store: self.store.clone(),
                repository: repository.clone(),
                progress: self.progress.clone(),
                cancel: cancel.clone(),
                leases: self.leases.clone(),
                layer: layer.clone(),
                diff_id: *diff_id,
            };
            tasks.spawn(task.run());
        }
        let mut ready = HashMap::new();
        let mut failed: Option<Error> = None;
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(Error::new(ErrorCode::Internal, error.to_string())));
            match ended {
                Ok(layer) => drop(ready.insert(layer.diff_id, layer)),
                Err(error) => {
                    cancel.cancel();
                    // The others end with `Cancelled` because of the first; only that one is news.
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) if self.cancel.is_cancelled() && error.is_retryable() => Err(cancelled()),
            Some(error) => Err(error),
            None => Ok(ready),
        }
    }

    /// Merges the layers, unless an image of the same layers has been.
    async fn merge(&self, chain_id: Digest, diff_ids: &[DiffId]) -> Result<()> {
        let content = Content::Merged(chain_id);
        loop {
            let present = || files::is_present(&self.store.home, content);
            let guard = match self.cancellable(self.store.locks.claim(content, present, || {})).await? {
                Claim::Present(guard) => {
                    self.leases.hold(guard);
                    return Ok(());
                }
                Claim::Lead(guard) => guard,
            };
            self.progress.emit(PullEvent::Merging);
            let layers: Vec<PathBuf> =
                diff_ids.iter().map(|diff_id| self.store.home.layer(diff_id)).collect();
            let leases = self.leases.clone();
            self.store
                .blocking(move |store| {
                    store.merge_into_place(content, &layers, || leases.made(content))?;
                    drop(guard);
                    Ok(())
                })
                .await?;
        }
    }

    /// Makes everything durable, then makes it an image.
    async fn commit(
        &self,
        name: &ImageName,
        documents: Documents,
        config_bytes: Vec<u8>,
        record: ImageRecord,
    ) -> Result<()> {
        let (name, wanted, leases) = (name.clone(), self.wanted.clone(), self.leases.clone());
        // Past this point a cancellation comes too late: what is left takes a few milliseconds.
        self.store
            .blocking(move |store| {
                let Documents { index, id, bytes, .. } = documents;
                store.hold_document(&id, &bytes, &leases)?;
                store.hold_document(&record.config_digest, &config_bytes, &leases)?;
                if let Some((digest, bytes)) = &index {
                    store.hold_document(digest, bytes, &leases)?;
                }
                for directory in [store.home.blobs(), store.home.layers(), store.home.rootfs()] {
                    files::sync_directory(&directory)?;
                }
                let reference = ReferenceRecord {
                    name: &name,
                    platform: &wanted,
                    image_id: id,
                    index_digest: index.map(|(digest, _)| digest),
                };
                store.commit(Some(&record), &reference, &leases).map(|_| ())
            })
            .await
    }
}

/// Checks a manifest against the digest it was asked for, or against the one the registry claims. Returns its digest.
fn verify_document(document: &Document, selector: &Selector) -> Result<Digest> {
    let found = digest_of(&document.bytes);
    let expected = match selector {
        Selector::Digest(digest) => Some(digest.to_string()),
        Selector::Tag(_) => document.claimed_digest.clone(),
    };
    match expected {
        Some(expected) if expected != found.to_string() => Err(Error::new(
            ErrorCode::DigestMismatch,
            format!("manifest `{expected}` came with the digest `{found}`"),
        )
        .with(Context::Digest, expected)),
        _ => Ok(found),
    }
}

fn record(
    documents: &Documents,
    configuration: Configuration,
    chain_id: Digest,
    summaries: &HashMap<DiffId, LayerSummary>,
) -> ImageRecord {
    let manifest = &documents.manifest;
    let layers: Vec<LayerRecord> = manifest
        .layers
        .iter()
        .zip(&configuration.diff_ids)
        .map(|(layer, diff_id)| {
            let summary = summaries.get(diff_id).copied().unwrap_or_default();
            let info = LayerInfo {
                digest: layer.descriptor.digest,
                diff_id: *diff_id,
                media_type: layer.descriptor.media_type.clone(),
                size_bytes: layer.descriptor.size,
                entries: summary.entries,
            };
            LayerRecord { info, file_bytes: summary.file_bytes }
        })
        .collect();
    let compressed: u64 = layers.iter().map(|layer| layer.info.size_bytes).sum();
    ImageRecord {
        id: documents.id,
        config_digest: manifest.config.digest,
        media_type: manifest.media_type.clone(),
        platform: configuration.platform,
        chain_id,
        size_bytes: compressed + manifest.config.size,
        unpacked_bytes: layers.iter().map(|layer| layer.file_bytes).sum(),
        created: configuration.created,
        config: configuration.config,
        history: configuration.history,
        layers,
    }
}
