//! Who may touch which piece of content: one lock file for each blob, layer and merged tree, in `ingest/`.
//!
//! Shared: "I rely on this being there", held by a pull from the moment it looks until its row is committed. Exclusive:
//! "I make or delete this". The locks are `flock`s, so they hold between tasks and between processes alike, and the
//! kernel drops those of a process that dies. A lock file exists only while somebody holds or wants it; since it may be
//! deleted between open and lock, whoever has locked checks that the name still leads to the same inode.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boxlite_types::{Digest, Error, Result};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Notify;

/// How often a waiter looks whether another *process* has let go, at first and at most. Within this process it is woken.
const POLL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// What a lock is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Content {
    /// `blobs/sha256/<hex>` and its partial download.
    Blob(Digest),
    /// `layers/<diff-id>`.
    Layer(Digest),
    /// `rootfs/<chain-id>.erofs`.
    Merged(Digest),
}

impl Content {
    /// Returns what people call this kind of content.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Content::Blob(_) => "blob",
            Content::Layer(_) => "layer",
            Content::Merged(_) => "rootfs",
        }
    }

    /// Returns what it is named by.
    pub(crate) fn digest(&self) -> Digest {
        let (Content::Blob(digest) | Content::Layer(digest) | Content::Merged(digest)) = self;
        *digest
    }

    /// Returns the beginning of the names this content has in `ingest/`.
    pub(crate) fn stem(&self) -> String {
        match self {
            Content::Blob(digest) => format!("blob-{}", digest.hex()),
            Content::Layer(digest) => format!("layer-{}", digest.hex()),
            Content::Merged(digest) => format!("merged-{}", digest.hex()),
        }
    }

    /// Reads back what [`Content::stem`] wrote.
    pub(crate) fn from_stem(stem: &str) -> Option<Content> {
        let (kind, hex) = stem.split_once('-')?;
        let digest = format!("sha256:{hex}").parse().ok()?;
        match kind {
            "blob" => Some(Content::Blob(digest)),
            "layer" => Some(Content::Layer(digest)),
            "merged" => Some(Content::Merged(digest)),
            _ => None,
        }
    }
}

/// All locks of one home, as seen from this store.
#[derive(Clone)]
pub(crate) struct Locks {
    directory: Arc<PathBuf>,
    released: Arc<Notify>,
}

/// A lock that is held until this is dropped.
pub(crate) struct LockGuard {
    content: Content,
    file: File,
    path: PathBuf,
    released: Arc<Notify>,
}

/// What [`Locks::claim`] ends with.
pub(crate) enum Claim {
    /// The content is there, and stays while the guard, a shared one, lives.
    Present(LockGuard),
    /// The content is missing, and the caller, holding it exclusively, is the one to make it.
    Lead(LockGuard),
}

impl Locks {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Locks { directory: Arc::new(directory), released: Arc::new(Notify::new()) }
    }

    /// Locks `content` against deletion, unless somebody is making or deleting it right now.
    pub(crate) fn try_shared(&self, content: Content) -> Result<Option<LockGuard>> {
        self.try_lock(content, FlockOperation::NonBlockingLockShared)
    }

    /// Locks `content` for making or deleting it, unless somebody relies on it.
    pub(crate) fn try_exclusive(&self, content: Content) -> Result<Option<LockGuard>> {
        self.try_lock(content, FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits until `content` is either there and held, or missing and the caller's to make. Calls `waiting` once if it
    /// has to wait for another. Dropping the future gives up without a trace.
    pub(crate) async fn claim(
        &self,
        content: Content,
        present: impl Fn() -> bool,
        waiting: impl FnOnce(),
    ) -> Result<Claim> {
        let mut waiting = Some(waiting);
        let mut pause = POLL.0;
        loop {
            // Registered before looking, so that a release in between is not missed.
            let released = self.released.notified();
            if let Some(guard) = self.try_shared(content)? {
                if present() {
                    return Ok(Claim::Present(guard));
                }
                guard.close_quietly();
            }
            if let Some(guard) = self.try_exclusive(content)? {
                if !present() {
                    return Ok(Claim::Lead(guard));
                }
                drop(guard);
                continue;
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            let _ = tokio::time::timeout(pause, released).await;
            pause = (pause * 2).min(POLL.1);
        }
    }

    fn try_lock(&self, content: Content, operation: FlockOperation) -> Result<Option<LockGuard>> {
        let path = self.directory.join(format!("{}.lock", content.stem()));
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|error| Error::io("open the lock", &path, error))?;
            match flock(file.as_fd(), operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::io("lock", &path, error.into())),
            }
            let held = file.metadata().map_err(|error| Error::io("examine the lock", &path, error))?;
            if std::fs::metadata(&path)
                .is_ok_and(|named| named.ino() == held.ino() && named.dev() == held.dev())
            {
                return Ok(Some(LockGuard { content, file, path, released: self.released.clone() }));
            }
        }
    }
}

impl LockGuard {
    /// Returns what is locked.
    pub(crate) fn content(&self) -> Content {
        self.content
    }

    /// Lets go without deleting the file or waking anybody: for a look that found nothing.
    fn close_quietly(self) {
        let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Whoever can still get it exclusively is the last one, and takes the file away.
        if flock(self.file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            let same = std::fs::metadata(&self.path).ok().zip(self.file.metadata().ok());
            if same.is_some_and(|(named, held)| named.ino() == held.ino() && named.dev() == held.dev()) {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
        self.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    fn content() -> Content {
        Content::Blob(Digest::from_bytes([7; 32]))
    }

    #[test]
    fn shared_and_exclusive_exclude_each_other_and_leave_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let locks = Locks::new(directory.path().into());
        let first = locks.try_shared(content()).unwrap().unwrap();
        let second = locks.try_shared(content()).unwrap().unwrap();
        assert!(locks.try_exclusive(content()).unwrap().is_none());
        drop(first);
        assert!(locks.try_exclusive(content()).unwrap().is_none());
        drop(second);
        let alone = locks.try_exclusive(content()).unwrap().unwrap();
        assert!(locks.try_shared(content()).unwrap().is_none());
        drop(alone);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn names_survive_the_round_trip() {
        let digest = Digest::from_bytes([9; 32]);
        for content in [Content::Blob(digest), Content::Layer(digest), Content::Merged(digest)] {
            assert_eq!(Content::from_stem(&content.stem()), Some(content));
        }
        for bad in ["", "blob", "blob-12", "x-0000"] {
            assert_eq!(Content::from_stem(bad), None);
        }
    }

    /// Hundreds of claims on one thing: exactly one makes it, and never do two believe they lead at once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_claims_one_leads_and_the_rest_share() {
        let directory = tempfile::tempdir().unwrap();
        let there = Arc::new(AtomicBool::new(false));
        let (leaders, inside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                // A store of its own each: nobody is woken, as between processes.
                let locks = Locks::new(directory.path().into());
                let (there, leaders, inside) = (there.clone(), leaders.clone(), inside.clone());
                tokio::spawn(async move {
                    match locks.claim(content(), || there.load(Ordering::SeqCst), || {}).await.unwrap() {
                        Claim::Present(_guard) => assert!(there.load(Ordering::SeqCst)),
                        Claim::Lead(_guard) => {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            tokio::task::yield_now().await;
                            leaders.fetch_add(1, Ordering::SeqCst);
                            there.store(true, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(leaders.load(Ordering::SeqCst), 1);
    }
}
