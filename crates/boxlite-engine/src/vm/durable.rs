//! Making directories that several processes want, once, so that a crash leaves either all of one or nothing.
//!
//! [`Workshop`] is a private directory beside the final one: files are written there, and a rename makes them visible
//! together. [`FileLock`] sees to it that two processes do not do the same work; it holds no state worth keeping, so the
//! files it leaves are empty.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use boxlite_types::{Error, ErrorCode, Result, new_id};
use rustix::fs::{FlockOperation, flock};

/// Prefix of everything that is unfinished; what has it and is not locked is garbage.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// How often a wait looks whether it was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

/// Tells work on another thread that nobody waits for it any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails with `Cancelled` if it was asked to end.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorCode::Cancelled, "the preparation was cancelled"));
        }
        Ok(())
    }

    /// Lets a little time pass, or fails if the work was asked to end.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn pause(&self) -> Result<()> {
        self.check()?;
        std::thread::sleep(CANCEL_INTERVAL);
        Ok(())
    }
}

/// An exclusive lock between processes, held until dropped.
pub struct FileLock(File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // Said, and not left to the last close: a child that this process has forked meanwhile has the file open as well.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl FileLock {
    /// Waits for the lock named `path`, which is created if need be along with its directory.
    ///
    /// # Errors
    /// `Cancelled`, or `Storage` if it cannot be made.
    pub fn acquire(path: &Path, cancel: &Cancel) -> Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|source| Error::io("open", path, source))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(FileLock(file)),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => cancel.pause()?,
                Err(source) => return Err(Error::io("lock", path, source.into())),
            }
        }
    }
}

/// A directory in the making; removed when dropped unpublished.
#[derive(Debug)]
pub struct Workshop {
    path: PathBuf,
}

impl Workshop {
    /// Makes one in `parent`, after removing what earlier ones left there. To be called under a lock that all who do so
    /// share.
    ///
    /// # Errors
    /// `Storage`.
    pub fn new(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
        for entry in fs::read_dir(parent).map_err(|source| Error::io("read", parent, source))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = parent.join(format!("{UNFINISHED}{}", unique_name()));
        fs::create_dir(&path).map_err(|source| Error::io("create", &path, source))?;
        Ok(Workshop { path })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes its content durable and gives it its name, replacing what is there.
    ///
    /// # Errors
    /// `Storage`, `NoSpace`.
    pub fn publish(self, destination: &Path) -> Result<()> {
        sync_tree(&self.path)?;
        if destination.exists() {
            // Not visible to anybody in between: who looks holds the lock, or copes with its absence.
            let old = self.path.with_extension("old");
            fs::rename(destination, &old).map_err(|source| Error::io("replace", destination, source))?;
            let _ = fs::remove_dir_all(old);
        }
        fs::rename(&self.path, destination).map_err(|source| Error::io("create", destination, source))?;
        destination.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Writes a file whole: readers see the old content or the new, also after a crash.
///
/// # Errors
/// `Storage`, `NoSpace`.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_file_name(format!("{UNFINISHED}{}", unique_name()));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, source)
    })?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// A name nobody else has.
pub(super) fn unique_name() -> String {
    let mut random = [0; 12];
    // Fails only before the host's generator is seeded, early in its boot; a process id then has to do.
    if !matches!(rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()), Ok(12)) {
        random[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    new_id(random)
}

fn sync_tree(directory: &Path) -> Result<()> {
    let failed = |source| Error::io("write", directory, source);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|source| Error::io("write", &path, source))?;
        }
    }
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|source| Error::io("write", directory, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_has_the_file_open_does_not_hold_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let held = FileLock::acquire(&path, &Cancel::default()).unwrap();
        // What a fork leaves in a child: another descriptor of the same open file.
        let _child = held.0.try_clone().unwrap();
        drop(held);
        let again = File::open(&path).unwrap();
        assert!(flock(&again, FlockOperation::NonBlockingLockExclusive).is_ok());
    }

    #[test]
    fn a_workshop_is_seen_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<String> = fs::read_dir(home.path())
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let abandoned = Workshop::new(home.path()).unwrap();
        let left = abandoned.path().to_owned();
        drop(abandoned);
        assert!(!left.exists());

        for content in ["first", "second"] {
            let workshop = Workshop::new(home.path()).unwrap();
            fs::write(workshop.path().join("file"), content).unwrap();
            workshop.publish(&home.path().join("final")).unwrap();
            assert_eq!(fs::read_to_string(home.path().join("final/file")).unwrap(), content);
            assert_eq!(names(), ["final"]);
        }
        fs::create_dir(home.path().join(".unfinished-by-a-process-that-died")).unwrap();
        drop(Workshop::new(home.path()).unwrap());
        assert_eq!(names(), ["final"]);
    }

    #[test]
    fn a_cancelled_wait_for_a_lock_ends() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/lock");
        let held = FileLock::acquire(&path, &Cancel::default()).unwrap();
        let cancel = Cancel::default();
        let waiter = std::thread::spawn({
            let (path, cancel) = (path.clone(), cancel.clone());
            move || FileLock::acquire(&path, &cancel).map(drop)
        });
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().code(), ErrorCode::Cancelled);
        drop(held);
        FileLock::acquire(&path, &Cancel::default()).unwrap();
    }
}
