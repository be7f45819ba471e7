//! What an open does about `ingest/`: takes away what dead processes left, and nothing that somebody still works on.
//!
//! Temporary files go at once; partial downloads, and content that was put in place without its row, stay to be resumed
//! until they are stale. Whether somebody is at work is asked of the lock, never of a clock or a process id.

use std::path::Path;

use boxlite_types::Result;

use super::Inner;
use super::files::{self, TRASH, Unfinished};
use super::rows;
use crate::locks::Content;

impl Inner {
    /// Sweeps `ingest/`.
    pub(crate) fn sweep(&self) -> Result<()> {
        for path in files::entries(&self.home.ingest())? {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TRASH)) {
                files::empty_trash(&path)?;
            } else if let Some(content) = content_of(&path) {
                self.sweep_one(&path, content)?;
            }
        }
        Ok(())
    }

    fn sweep_one(&self, path: &Path, content: Content) -> Result<()> {
        // Getting the lock shows that nobody is at it; letting go of it takes a left-over lock file away.
        let Some(guard) = self.locks.try_exclusive(content)? else { return Ok(()) };
        let kind = path.extension().and_then(Unfinished::from_extension);
        let stale = files::age(path).is_some_and(|age| age >= self.options.partial_retention);
        match kind {
            Some(Unfinished::Temporary) => {
                files::delete(&self.home, path)?;
            }
            Some(Unfinished::Partial) if stale => files::delete_file(path)?,
            Some(Unfinished::Made) => {
                let needed = self.database.read(|connection| rows::is_needed(connection, content))?;
                if needed || !files::is_present(&self.home, content) {
                    files::delete_file(path)?;
                } else if stale {
                    drop(guard);
                    self.discard(&[content])?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns what a file in `ingest/` belongs to; `None` if it is none of ours.
pub(crate) fn content_of(path: &Path) -> Option<Content> {
    Content::from_stem(path.file_stem()?.to_str()?)
}
