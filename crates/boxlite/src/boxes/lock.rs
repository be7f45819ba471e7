//! The right to start or remove one box, held by one task of one process at a time.
//!
//! A lock of the file `transition.lock` in the box's directory (`flock(2)`), which the kernel lets go of however the
//! holder ends: a row that says `starting` while nobody holds the lock was left by somebody who died. The file beside it
//! called `lock` is another thing: that is the shim's, for as long as the box runs.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxlite_types::{BoxId, Context, Error, ErrorCode, Home, Result};
use rustix::fs::FlockOperation;

const LOCK_FILE: &str = "transition.lock";

/// Between two attempts at a lock that somebody holds; there is no way to wait for one that can be cancelled.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// Attempts at removing a directory in which something is made all the while.
const REMOVALS: u32 = 16;

/// Holds the lock until it is dropped.
pub(crate) struct BoxLock {
    directory: PathBuf,
    file: File,
}

impl Drop for BoxLock {
    fn drop(&mut self) {
        // Said, and not left to the last close: a child that another thread is just forking has the file open as well.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl BoxLock {
    /// Takes the lock, and makes the directory of the box if there is none yet. Cancelled by dropping.
    ///
    /// # Errors
    /// `InUse` if somebody else has it for longer than `patience`.
    pub async fn acquire(home: &Home, id: &BoxId, patience: Duration) -> Result<BoxLock> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(lock) = Self::try_acquire(home, id)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorCode::InUse,
                    format!("box `{id}` is being started or removed by somebody else"),
                )
                .with(Context::Box, id.as_str())
                .hint("try again when that is over"));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Takes the lock if nobody has it.
    pub fn try_acquire(home: &Home, id: &BoxId) -> Result<Option<BoxLock>> {
        let directory = home.box_directory(id);
        make_directory(&directory)?;
        let path = directory.join(LOCK_FILE);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match opened {
            Ok(file) => file,
            // Removed between the two calls, together with the box.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(BoxLock { directory, file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(Error::io("lock", &path, error.into())),
        }
    }

    /// Removes the directory, with everything in it, and lets go.
    pub fn remove_directory(self) -> Result<()> {
        remove_directory(&self.directory)
    }
}

/// Removes the directory of a box. Whoever looks at a box for the last time may make a file there meanwhile: then what has
/// come is removed as well.
pub(super) fn remove_directory(directory: &Path) -> Result<()> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && attempts < REMOVALS => {}
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", directory, error));
            }
            _ => return Ok(()),
        }
    }
}

/// Makes the directory of a box, readable for its owner alone: it holds sockets and the box's disk.
fn make_directory(directory: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Ok(()) => Ok(()),
        Err(error) => Err(Error::io("create", directory, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_next_when_it_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let (home, id) = (Home::new(root.path()), BoxId::from_random([1; 12]));
        let held = BoxLock::try_acquire(&home, &id).unwrap().unwrap();
        assert!(BoxLock::try_acquire(&home, &id).unwrap().is_none());
        drop(held);
        let held = BoxLock::try_acquire(&home, &id).unwrap().unwrap();
        held.remove_directory().unwrap();
        assert!(!home.box_directory(&id).exists());
    }

    #[test]
    fn a_child_that_has_the_file_open_does_not_hold_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let (home, id) = (Home::new(root.path()), BoxId::from_random([1; 12]));
        let held = BoxLock::try_acquire(&home, &id).unwrap().unwrap();
        // What a fork leaves in a child: another descriptor of the same open file.
        let _child = held.file.try_clone().unwrap();
        drop(held);
        assert!(BoxLock::try_acquire(&home, &id).unwrap().is_some());
    }
}
