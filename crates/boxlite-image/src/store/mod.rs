//! The store as its users see it: one method for each operation.

mod check;
mod files;
mod inner;
mod layer;
mod leases;
mod lookup;
mod pull;
mod remove;
mod repair;
mod rows;
mod sweep;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxlite_state::Database;
use boxlite_types::{
    CheckReport, Context, Digest, DiskLayout, Error, ErrorCode, Home, ImageConfig, ImageDetails, ImageInfo,
    Platform, PulledImage, RemovedImage, Result, ResultExt, UsageReport,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::locks::Locks;
use crate::registry::RegistryClient;
use crate::{ImageOptions, PullOptions, Reference, Selector};
pub(crate) use inner::Inner;
use leases::Leases;
use lookup::Lookup;
use pull::Pull;
use rows::ReferenceRecord;

/// All images of one home. Clones are the same store; any number of stores, in any number of processes, may share a home.
///
/// Every method can be called from several tasks at once, within a tokio runtime.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

impl ImageStore {
    /// Opens the store in `home`: makes its directories and sweeps what dead processes left. Never uses the network.
    ///
    /// # Errors
    /// `Storage` if the directories cannot be made or read.
    pub fn open(home: Home, database: Database, options: ImageOptions) -> Result<ImageStore> {
        for directory in [home.blobs(), home.ingest(), home.layers(), home.rootfs()] {
            files::make_directory(&directory)?;
        }
        let inner = Inner {
            registries: RegistryClient::new(options.clone()),
            locks: Locks::new(home.ingest()),
            slots: Semaphore::new(options.parallel_layers.clamp(1, 64)),
            tasks: TaskTracker::new(),
            home,
            database,
            options,
        };
        inner.sweep()?;
        Ok(ImageStore { inner: Arc::new(inner) })
    }

    /// Pulls an image until it is ready to run, and points the reference at it.
    ///
    /// Cancelling, by the token or by dropping the future, leaves the store as it was, with partial downloads that a
    /// later pull resumes. A name without a registry is looked for at those marked for searching, in order.
    ///
    /// # Errors
    /// `InvalidArgument` for the reference; `NotFound`, `Unauthorized`, `RateLimited`, `Network` for the registry;
    /// `PlatformMismatch`, `Image`, `DigestMismatch`, `ResourceExhausted` for the image; `NoSpace`, `Storage`,
    /// `Database`; `Cancelled`.
    pub async fn pull(&self, reference: &str, options: PullOptions) -> Result<PulledImage> {
        let parsed: Reference = reference.parse().during("images.pull")?;
        // The work is a task of its own: it winds down in order even if this future is dropped in the middle.
        let cancel = options.cancel.child_token();
        let _dropped = cancel.clone().drop_guard();
        let pull = Pull::new(self.inner.clone(), &options, cancel);
        let task = self.inner.tasks.spawn(async move { pull.run(&parsed, options.policy).await });
        let pulled = task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorCode::Internal, format!("the pull came to no end: {error}")))
        });
        pulled.with(Context::Reference, reference).during("images.pull")
    }

    /// Lists every reference held, by name.
    ///
    /// # Errors
    /// `Database`.
    pub async fn list(&self) -> Result<Vec<ImageInfo>> {
        self.inner.blocking(|store| store.database.read(rows::list)).await.during("images.list")
    }

    /// Returns the image a reference, a digest, or an unambiguous beginning of an id names. If it is held for several
    /// platforms and none is given, the host's is meant.
    ///
    /// # Errors
    /// `NotFound`; `PlatformMismatch`; `InvalidArgument` if the text is malformed or ambiguous.
    pub async fn get(&self, reference: &str, platform: Option<&Platform>) -> Result<ImageInfo> {
        let (text, platform) = (reference.to_owned(), platform.cloned());
        let found = self.inner.blocking(move |store| {
            let lookup = Lookup::parse(store, &text)?;
            store.database.read(|connection| lookup.one(connection, platform.as_ref()))?
        });
        Ok(found.await.with(Context::Reference, reference).during("images.get")?.info)
    }

    /// Returns everything known of an image; names it as [`ImageStore::get`] does.
    ///
    /// # Errors
    /// As [`ImageStore::get`].
    pub async fn inspect(&self, reference: &str, platform: Option<&Platform>) -> Result<ImageDetails> {
        let (text, platform) = (reference.to_owned(), platform.cloned());
        let found = self.inner.blocking(move |store| {
            let lookup = Lookup::parse(store, &text)?;
            store.database.read(|connection| {
                let held = match lookup.one(connection, platform.as_ref())? {
                    Ok(held) => held,
                    Err(error) => return Ok(Err(error)),
                };
                let Some(record) = rows::image(connection, &held.info.id)? else {
                    return Ok(Err(gone(&held.info.id)));
                };
                let references = lookup::names_of(connection, &held.info.id)?;
                let layers = record.layers.into_iter().map(|layer| layer.info).collect();
                let (config, history) = (record.config, record.history);
                Ok(Ok(ImageDetails { info: held.info, references, config, layers, history }))
            })?
        });
        found.await.with(Context::Reference, reference).during("images.inspect")
    }

    /// Makes `target` name the image `source` names. Costs a row: nothing is copied, nothing read.
    ///
    /// # Errors
    /// `NotFound` for the source; `InvalidArgument` if either is malformed, or the target is a digest.
    pub async fn tag(&self, source: &str, target: &str) -> Result<ImageInfo> {
        let (text, new) = (source.to_owned(), target.to_owned());
        let tagged = self.inner.blocking(move |store| {
            let parsed: Reference = new.parse()?;
            let name = store.names(&parsed)?.swap_remove(0);
            if matches!(name.selector, Selector::Digest(_)) || parsed.digest().is_some() {
                let message = format!("`{new}` is a digest, which only its own image can have");
                return Err(Error::new(ErrorCode::InvalidArgument, message).with(Context::Reference, &new));
            }
            let lookup = Lookup::parse(store, &text)?;
            let held = store.database.read(|connection| lookup.one(connection, None))??;
            let resolved_for = match held.resolved_for.as_str() {
                "" => crate::selection::normalize(&held.info.platform),
                text => text.parse()?,
            };
            let reference = ReferenceRecord {
                name: &name,
                platform: &resolved_for,
                image_id: held.info.id,
                index_digest: held.index_digest,
            };
            if !store.commit(None, &reference, &Leases::default())? {
                return Err(gone(&held.info.id));
            }
            let found = store.database.read(|connection| rows::references(connection, &name))?;
            let found = found.into_iter().find(|held| held.resolved_for == resolved_for.to_string());
            found.map(|held| held.info).ok_or_else(|| gone(&held.info.id))
        });
        tagged.await.with(Context::Reference, source).during("images.tag")
    }

    /// Removes a reference, for every platform; by digest or id, every reference to the image. Deletes the files that
    /// nothing else needs.
    ///
    /// # Errors
    /// `InUse`, naming the box, if one needs it. With `force` the reference goes all the same, and the files stay until
    /// the box is gone. `NotFound`, `InvalidArgument`.
    pub async fn remove(&self, reference: &str, force: bool) -> Result<RemovedImage> {
        let text = reference.to_owned();
        let removed = self.inner.blocking(move |store| store.remove(&text, force));
        removed.await.with(Context::Reference, reference).during("images.remove")
    }

    /// Deletes the images that neither a reference nor a box needs any more; for whoever has removed a box.
    ///
    /// # Errors
    /// `Storage`, `Database`.
    pub async fn collect(&self) -> Result<RemovedImage> {
        self.inner.blocking(Inner::collect).await.during("images.collect")
    }

    /// Measures the disk space of images; the other parts of the report stay zero.
    ///
    /// # Errors
    /// `Storage`, `Database`.
    pub async fn usage(&self) -> Result<UsageReport> {
        self.inner.blocking(Inner::usage).await.during("images.usage")
    }

    /// Examines everything the store holds, reading all of it. With `repair`, what is corrupt is deleted, so that the
    /// next pull fetches it again, and what can be made again from what is sound is made.
    ///
    /// # Errors
    /// `Storage`, `Database`. What is wrong with the content is no error but a finding.
    pub async fn check(&self, repair: bool) -> Result<CheckReport> {
        // Gone with this future: reading everything there is can take minutes.
        let waiting = Arc::new(());
        let waited_for = Arc::downgrade(&waiting);
        let checked =
            self.inner.blocking(move |store| store.check(repair, &|| waited_for.strong_count() == 0)).await;
        drop(waiting);
        checked.during("images.check")
    }

    /// Returns the read-only disk of an image, and how the image wants to be run. The files stay while a row, of a
    /// reference or of a box, needs the image.
    ///
    /// # Errors
    /// `NotFound` if there is no such image; `Storage` if files of it are missing.
    pub async fn root(&self, image_id: &Digest) -> Result<(DiskLayout, ImageConfig)> {
        let id = *image_id;
        let root = self.inner.blocking(move |store| {
            let found = store.database.read(|connection| {
                let image = rows::image(connection, &id)?;
                let used = rows::references_to(connection, &id)?;
                Ok(image.zip(used.into_iter().next()))
            })?;
            let (record, held) = found.ok_or_else(|| gone(&id))?;
            let merged = store.home.merged(&record.chain_id);
            let layout = match boxlite_rootfs::layout(&merged, &layer_paths(store, &record)) {
                Ok(layout) => layout,
                // Removed in the meantime, or damaged.
                Err(_) if store.database.read(|connection| rows::image(connection, &id))?.is_none() => {
                    return Err(gone(&id));
                }
                Err(error) => {
                    return Err(error.hint("`boxlite system check --repair` finds and mends what is missing"));
                }
            };
            store.touch(&id, held.info.last_used_at)?;
            Ok((layout, record.config))
        });
        root.await.with(Context::Digest, image_id).during("images.root")
    }

    /// Writes an image as one self-contained EROFS file, which must not exist. Dropping the future gives up, and leaves
    /// nothing of it.
    ///
    /// # Errors
    /// As [`ImageStore::get`]; `Storage` or `NoSpace` for the file.
    pub async fn export_erofs(&self, reference: &str, path: &Path) -> Result<()> {
        let (text, path) = (reference.to_owned(), path.to_owned());
        let given_up = CancellationToken::new();
        let _giving_up = given_up.clone().drop_guard();
        let exported = self.inner.blocking(move |store| {
            let lookup = Lookup::parse(store, &text)?;
            let held = store.database.read(|connection| lookup.one(connection, None))??;
            let record = store.database.read(|connection| rows::image(connection, &held.info.id))?;
            let record = record.ok_or_else(|| gone(&held.info.id))?;
            // Held so that no removal takes the files away while they are read.
            let leases = Leases::default();
            if !store.hold_image(&record.id, &leases)? {
                return Err(Error::new(ErrorCode::Storage, format!("files of image `{text}` are missing"))
                    .hint("`boxlite system check --repair` finds and mends what is missing"));
            }
            let merged = store.home.merged(&record.chain_id);
            let layers = layer_paths(store, &record);
            let exported = boxlite_rootfs::export(&merged, &layers, &path, || given_up.is_cancelled());
            store.let_go(&leases)?;
            exported
        });
        exported.await.with(Context::Reference, reference).during("images.export_erofs")
    }

    /// Returns how many tasks that were started through this store still touch the home.
    pub fn unsettled(&self) -> usize {
        self.inner.tasks.len()
    }

    /// Waits until nothing that was started through this store, and since cancelled or dropped, still touches the home.
    pub async fn settled(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }
}

fn layer_paths(store: &Inner, record: &rows::ImageRecord) -> Vec<PathBuf> {
    record.layers.iter().map(|layer| store.home.layer(&layer.info.diff_id)).collect()
}

fn gone(id: &Digest) -> Error {
    Error::new(ErrorCode::NotFound, format!("image `{id}` is not held")).with(Context::Digest, id.to_string())
}
