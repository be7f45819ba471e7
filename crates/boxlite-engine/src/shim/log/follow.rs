//! Following a log while the box runs: no polling, and an end when the run ends.
//!
//! inotify says when the directory changes; the pidfd of the shim says when nobody can write any more, even if the shim
//! was killed. Both are waited for before the file is read again, so nothing falls between.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use boxlite_types::{Error, Result};
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use super::reader::LogFile;
use super::{LOG_FILE, LogRecord, OLDER_LOG_FILE};
use crate::shim::identity;

/// Reads a log to its end, and goes on until the run of the box that was on when it began is over.
pub struct LogFollower {
    directory: PathBuf,
    /// What is read before the current file, when it had been put aside already.
    older: Option<LogFile>,
    current: Option<LogFile>,
    changes: AsyncFd<OwnedFd>,
    supervisor: Option<AsyncFd<OwnedFd>>,
    /// Records at the beginning that are not wanted.
    skip: usize,
}

impl LogFollower {
    /// Begins at the last `tail` records, or at the first.
    ///
    /// # Errors
    /// `Storage` if the log cannot be read or watched.
    pub fn new(directory: &Path, tail: Option<usize>) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("watch", directory, error);
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .map_err(|error| failed(error.into()))?;
        let wanted =
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&changes, directory, wanted).map_err(|error| failed(error.into()))?;
        let supervisor = match identity::supervisor(directory)? {
            Some(process) => identity::open(&process)
                .map_err(failed)?
                .map(identity::waitable)
                .transpose()
                .map_err(failed)?,
            None => None,
        };
        let mut follower = LogFollower {
            directory: directory.to_owned(),
            older: LogFile::open(directory, OLDER_LOG_FILE)?,
            current: LogFile::open(directory, LOG_FILE)?,
            changes: identity::waitable(changes).map_err(failed)?,
            supervisor,
            skip: 0,
        };
        if let Some(tail) = tail {
            follower.skip = super::read_log(directory, None)?.len().saturating_sub(tail);
        }
        Ok(follower)
    }

    /// Returns the next record, waiting for it while the box runs; `None` when the run is over and all of it was read.
    ///
    /// # Errors
    /// `Storage` if the log cannot be read any more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<LogRecord>> {
        loop {
            while let Some(record) = self.read_available()? {
                if self.skip == 0 {
                    return Ok(Some(record));
                }
                self.skip -= 1;
            }
            let Some(supervisor) = &self.supervisor else { return Ok(None) };
            tokio::select! {
                // An error here is as good as an end: nothing more will be heard of it.
                _ = supervisor.readable() => self.supervisor = None,
                changed = self.changes.readable() => {
                    let mut changed = changed.map_err(|error| Error::io("watch", &self.directory, error))?;
                    let mut space = [MaybeUninit::uninit(); 4096];
                    let mut events = inotify::Reader::new(changed.get_inner(), &mut space);
                    // What changed does not matter, only that something did; the queue has to be emptied.
                    while events.next().is_ok() {}
                    changed.clear_ready();
                }
            }
        }
    }

    fn read_available(&mut self) -> Result<Option<LogRecord>> {
        loop {
            if let Some(older) = &mut self.older {
                if let Some(record) = older.next_record()? {
                    return Ok(Some(record));
                }
                self.older = None;
            }
            let Some(current) = &mut self.current else {
                self.current = LogFile::open(&self.directory, LOG_FILE)?;
                if self.current.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(record) = current.next_record()? {
                return Ok(Some(record));
            }
            // At its end, it may have been put aside; then its last records may have come after the look just now.
            let inode = |file: &LogFile| file.file().metadata().map(|metadata| metadata.ino()).ok();
            match LogFile::open(&self.directory, LOG_FILE)? {
                Some(next) if inode(&next) != inode(current) => self.older = self.current.replace(next),
                _ => return Ok(None),
            }
        }
    }
}
