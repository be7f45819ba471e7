//! Descriptors that are readable when something has happened, for `poll` and `epoll`.

use std::os::fd::{BorrowedFd, OwnedFd};

use boxlite::{Error, ErrorCode, Result};
use rustix::event::{EventfdFlags, eventfd};

/// Makes a descriptor that is not readable yet.
///
/// # Errors
/// `ResourceExhausted` if the process has too many.
pub(crate) fn new() -> Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot make a descriptor: {error}"))
    })
}

/// Makes it readable.
pub(crate) fn raise(descriptor: BorrowedFd<'_>) {
    // Fails only when it is as readable as can be.
    let _ = rustix::io::write(descriptor, &1u64.to_ne_bytes());
}

/// Makes it unreadable.
pub(crate) fn lower(descriptor: BorrowedFd<'_>) {
    // Fails only when it is not readable.
    let _ = rustix::io::read(descriptor, &mut [0; 8]);
}
