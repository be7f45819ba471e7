//! Terminals of commands.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use boxlite_types::{Result, TerminalSize};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::failure::failed;
use crate::users::Identity;

/// Group of terminals on Linux, as `devpts` is mounted with.
const TERMINAL_GROUP: u32 = 5;

/// A new terminal: our end, the command's end.
pub(super) struct Terminal {
    pub(super) ours: OwnedFd,
    pub(super) theirs: OwnedFd,
}

/// Makes a terminal in `directory`, a mounted `devpts`, or in the host's.
///
/// In a machine it is never looked up by a path, which could lead to anything the box has put there.
pub(super) fn open(
    directory: Option<&OwnedFd>,
    size: TerminalSize,
    owner: Option<&Identity>,
) -> Result<Terminal> {
    let make = || {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let ours = match directory {
            Some(directory) => rustix::fs::openat(directory, "ptmx", flags, Mode::empty())?,
            None => rustix::fs::open("/dev/ptmx", flags, Mode::empty())?,
        };
        rustix::pty::unlockpt(&ours)?;
        let theirs = rustix::pty::ioctl_tiocgptpeer(
            &ours,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )?;
        if let Some(owner) = owner {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(TERMINAL_GROUP));
            rustix::fs::fchown(&theirs, Some(uid), Some(gid))?;
        }
        Ok(Terminal { ours, theirs })
    };
    let terminal = make().map_err(|errno| failed("make a terminal", errno))?;
    resize(&terminal.ours, size);
    Ok(terminal)
}

/// Changes the size, which tells the foreground processes by `SIGWINCH`.
pub(super) fn resize(terminal: &OwnedFd, size: TerminalSize) {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}

/// Returns a second descriptor of the same terminal, so that each direction has one of its own to wait on.
pub(super) fn second(terminal: BorrowedFd<'_>) -> Result<OwnedFd> {
    terminal.as_fd().try_clone_to_owned().map_err(|error| crate::failure::failed_io("use a terminal", &error))
}
