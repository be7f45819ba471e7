//! How the last run of a box ended: `exit.json` in its directory.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use boxlite_types::{Error, Result};

use super::files::{self, Durable};
use crate::ExitRecord;

/// Name of the record in the directory of a box.
pub(super) const EXIT_FILE: &str = "exit.json";

/// Exit code of a box that did not end by itself, as of a command killed by `SIGKILL`.
pub(super) const KILLED: i32 = 137;

impl ExitRecord {
    pub(super) fn now(code: i32, reason: impl Into<String>) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        ExitRecord { code, reason: reason.into(), at }
    }
}

/// Writes the record; durable when it returns.
pub(super) fn write(directory: &OwnedFd, record: &ExitRecord) -> io::Result<()> {
    files::replace(directory, EXIT_FILE, &serde_json::to_vec(record)?, Durable::Yes)
}

/// Reads the record of the box in `directory`, if its last run has left one.
pub(super) fn read(directory: &Path) -> Result<Option<ExitRecord>> {
    let path = directory.join(EXIT_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::io("read", &path, error.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path, error)),
    }
}
