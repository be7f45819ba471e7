//! The socket `shim.sock` at which clients come in.
//!
//! Socket addresses hold 108 bytes, homes may lie deeper: both ends name the socket through the descriptor of the box's
//! directory. Only processes of the same user, or root, are let in.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, chmodat};
use rustix::process::PidfdFlags;

use super::files;

/// Name of the socket in the directory of a box.
pub(super) const SOCKET_FILE: &str = "shim.sock";

/// Returns a name of the socket that is short enough, valid while `directory` is open.
pub(super) fn address(directory: &impl AsFd) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.as_fd().as_raw_fd().to_string()).join(SOCKET_FILE)
}

/// Makes the socket, in place of one that a dead shim has left.
pub(super) fn bind(directory: &OwnedFd) -> io::Result<UnixListener> {
    files::remove(directory, SOCKET_FILE)?;
    let listener = UnixListener::bind(address(directory))?;
    chmodat(directory, SOCKET_FILE, Mode::from_raw_mode(0o700), AtFlags::empty())?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the next client; `None` if none waits. One of another user is turned away.
pub(super) fn accept(listener: &UnixListener) -> io::Result<Option<UnixStream>> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        let peer = rustix::net::sockopt::socket_peercred(&stream)?.uid;
        if peer == rustix::process::geteuid() || peer.is_root() {
            stream.set_nonblocking(true)?;
            return Ok(Some(stream));
        }
    }
}

/// Returns the process that made a connection, as a pidfd.
pub(super) fn peer(stream: &UnixStream) -> io::Result<OwnedFd> {
    let process = rustix::net::sockopt::socket_peercred(stream)?.pid;
    Ok(rustix::process::pidfd_open(process, PidfdFlags::NONBLOCK)?)
}
