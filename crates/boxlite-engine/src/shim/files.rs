//! Small files of a box, replaced whole. Everything goes through the descriptor of the box's directory, so that it works
//! however long the path of the home is, and after the shim has given up the rest of the file system.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};

/// Whether a file has to survive a crash of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    Yes,
    No,
}

/// Puts `bytes` in place of the file `name`: a reader sees the old content or the new, never a part.
pub(super) fn replace(directory: &OwnedFd, name: &str, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let temporary = format!(".{name}.new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(openat(directory, &*temporary, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(bytes)?;
    if durable == Durable::Yes {
        file.sync_all()?;
    }
    renameat(directory, &*temporary, directory, name)?;
    if durable == Durable::Yes {
        rustix::fs::fsync(directory)?;
    }
    Ok(())
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(directory: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
