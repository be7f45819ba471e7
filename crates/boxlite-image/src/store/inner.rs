//! What all operations of the store share: its parts, and the few steps that touch files and rows together.
//!
//! Methods that do not say `async` block, and are called through [`Inner::blocking`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boxlite_rootfs::LayerSummary;
use boxlite_state::Database;
use boxlite_types::{Context, DiffId, Digest, Error, ErrorCode, Home, Result};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::files::{self, Unfinished};
use super::leases::Leases;
use super::rows::{self, ImageRecord, ReferenceRecord};
use crate::locks::{Content, LockGuard, Locks};
use crate::registry::RegistryClient;
use crate::{ImageName, ImageOptions, Reference};

/// How stale `last_used_at` may become before a use is written down; it saves a durable write for each start of a box.
const USE_GRANULARITY_SECONDS: i64 = 60;
/// How often, and at what distance, whoever wants a piece of content looks whether another is done with it.
const ATTEMPTS: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The parts of a store.
pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) database: Database,
    pub(crate) options: ImageOptions,
    pub(crate) registries: RegistryClient,
    pub(crate) locks: Locks,
    /// Layers in work; what bounds memory and threads of all pulls together.
    pub(crate) slots: Semaphore,
    /// Everything that may touch the home, also after whoever asked for it has lost interest.
    pub(crate) tasks: TaskTracker,
}

/// Returns the time in seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

impl Inner {
    /// Runs `body` where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        let ended = self.tasks.spawn_blocking(move || body(&store)).await;
        ended.unwrap_or_else(|error| {
            let message = format!("work on the image store came to no end: {error}");
            Err(Error::new(ErrorCode::Internal, message))
        })
    }

    /// Returns the complete names a reference can stand for, best first.
    ///
    /// # Errors
    /// `InvalidArgument` if it lacks the registry and none is searched.
    pub(crate) fn names(&self, reference: &Reference) -> Result<Vec<ImageName>> {
        if let Some(host) = reference.host() {
            return Ok(vec![reference.at(host)]);
        }
        let searched = self.options.registries.iter().filter(|registry| registry.search);
        let names: Vec<ImageName> = searched.map(|registry| reference.at(&registry.host)).collect();
        if names.is_empty() {
            let message = format!("image reference `{reference}` names no registry, and none is searched");
            return Err(Error::new(ErrorCode::InvalidArgument, message)
                .with(Context::Reference, reference.to_string())
                .hint(format!(
                    "write it as `host/{reference}`, or name a registry to search with `--registry`"
                )));
        }
        Ok(names)
    }

    /// Returns what is known of a layer from the images that have it.
    pub(crate) fn numbers_of(&self, diff_id: &DiffId) -> Result<Option<LayerSummary>> {
        let numbers = self.database.read(|connection| rows::layer_numbers(connection, diff_id))?;
        Ok(numbers.map(|(entries, file_bytes)| LayerSummary {
            entries,
            file_bytes,
            ..LayerSummary::default()
        }))
    }

    /// Holds everything an image needs to run; false if something is missing, or is being made.
    pub(crate) fn hold_image(&self, id: &Digest, leases: &Leases) -> Result<bool> {
        let Some(record) = self.database.read(|connection| rows::image(connection, id))? else {
            return Ok(false);
        };
        // Layers may lack their blob: they were converted from another compression of it.
        let documents = [Content::Blob(record.id), Content::Blob(record.config_digest)];
        for content in record.content() {
            let needed = !matches!(content, Content::Blob(_)) || documents.contains(&content);
            match self.lock_present(content)? {
                Some(guard) => leases.hold(guard),
                None if needed => return Ok(false),
                None => {}
            }
        }
        Ok(true)
    }

    /// Locks a document, a layer or a merged tree against deletion; `None` if it is not there.
    ///
    /// What is there and locked by another all the same is either on its way out, or somebody looks whether anybody still
    /// needs it, as everyone does who lets go of a lock. Both take a moment, and only the first ends in absence.
    ///
    /// # Errors
    /// `Storage`, to be tried again, if the moment does not pass.
    pub(crate) fn lock_present(&self, content: Content) -> Result<Option<LockGuard>> {
        patiently(content, || {
            let guard = self.locks.try_shared(content)?;
            Ok(if files::is_present(&self.home, content) { guard.map(Some) } else { Some(None) })
        })
    }

    /// Holds an index that an image was found in, if it is stored; false if it is not.
    pub(crate) fn hold_index(&self, index: Option<&(Digest, Vec<u8>)>, leases: &Leases) -> Result<bool> {
        let Some((digest, bytes)) = index else { return Ok(true) };
        self.hold_document(digest, bytes, leases)?;
        files::sync_directory(&self.home.blobs())?;
        Ok(true)
    }

    /// Stores a document if it is not there, and holds it.
    pub(crate) fn hold_document(&self, digest: &Digest, bytes: &[u8], leases: &Leases) -> Result<()> {
        let content = Content::Blob(*digest);
        let held = || -> Result<bool> {
            let guard = self.locks.try_shared(content)?;
            let guard = guard.filter(|_| files::is_present(&self.home, content));
            Ok(guard.map(|guard| leases.hold(guard)).is_some())
        };
        patiently(content, || {
            if held()? {
                return Ok(Some(()));
            }
            if let Some(guard) = self.locks.try_exclusive(content)?
                && !files::is_present(&self.home, content)
            {
                leases.made(content);
                files::put_document(&self.home, digest, bytes)?;
                drop(guard);
            }
            Ok(held()?.then_some(()))
        })
    }

    /// Commits an image and its reference, or, without a record, a reference to an image that is there already. False if
    /// it is not. Everything they need is held by `leases` and durable.
    pub(crate) fn commit(
        &self,
        record: Option<&ImageRecord>,
        reference: &ReferenceRecord<'_>,
        leases: &Leases,
    ) -> Result<bool> {
        let now = now();
        let committed = self.database.write(|transaction| {
            match record {
                Some(record) => rows::insert_image(transaction, record, now)?,
                None if rows::image(transaction, &reference.image_id)?.is_none() => return Ok(None),
                None => {}
            }
            rows::set_reference(transaction, reference, now).map(Some)
        })?;
        let Some(displaced) = committed else { return Ok(false) };
        // Also what an earlier pull put in place without coming to its end.
        let mut content = leases.all_made();
        content.extend(record.into_iter().flat_map(ImageRecord::content));
        for content in content {
            files::delete_file(&files::unfinished(&self.home, content, Unfinished::Made))?;
        }
        if displaced.is_some() {
            self.let_go(leases)?;
            self.collect()?;
        }
        Ok(true)
    }

    /// Writes down that an image is used, if that was not written lately.
    pub(crate) fn touch(&self, id: &Digest, last_used_at: i64) -> Result<()> {
        let now = now();
        if now - last_used_at < USE_GRANULARITY_SECONDS {
            return Ok(());
        }
        self.database.write(|transaction| rows::touch(transaction, id, now))
    }

    /// Merges layers and puts the result in place; the caller holds its lock.
    pub(crate) fn merge_into_place(
        &self,
        content: Content,
        layers: &[PathBuf],
        made: impl FnOnce(),
    ) -> Result<()> {
        let temporary = files::unfinished(&self.home, content, Unfinished::Temporary);
        files::delete_file(&temporary)?;
        match boxlite_rootfs::merge(layers, &temporary) {
            Ok(_) => {}
            Err(error) => {
                files::delete_file(&temporary)?;
                return Err(error);
            }
        }
        made();
        files::mark(&self.home, content, None)?;
        files::put_in_place(&self.home, content, &temporary)
    }
}

/// Tries again until there is an answer. Another process tells nobody that it is done, so there is nothing to wait for but time.
fn patiently<T>(content: Content, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..ATTEMPTS {
        if let Some(answer) = attempt()? {
            return Ok(answer);
        }
        std::thread::sleep(PAUSE);
    }
    let (noun, digest) = (content.noun(), content.digest());
    Err(Error::new(
        ErrorCode::Storage,
        format!("{noun} `{digest}` is held by somebody who does not let go of it"),
    )
    .with(Context::Digest, digest.to_string())
    .retryable(true))
}
