//! The image's disk, shown to QEMU over NBD (the protocol: NetworkBlockDevice/nbd, doc/proto.md).
//!
//! Read-only, over a socket pair that QEMU inherits: no address, no file system access. The disk is put together from
//! many files ([`Disk`]), all opened before. QEMU is the client and may have been taken over: a request is checked
//! before anything is done for it, and one that is no request ends the connection.

mod disk;
mod handshake;
#[cfg(test)]
mod tests;
mod transmission;

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use boxlite_types::{Error, ErrorCode, Result};

pub(super) use disk::{Disk, Shown};

/// Requests served at the same time, each by a thread of its own: enough for the queue a guest keeps while it reads
/// ahead, where the host's disk has to be waited for.
const THREADS: usize = 4;

/// Serves what is shown to the client on `socket` until it goes away, on threads of its own.
pub(super) fn serve(shown: &Arc<Shown>, socket: UnixStream) -> Result<()> {
    let shown = Arc::clone(shown);
    let first = std::thread::Builder::new().name("nbd".into()).spawn(move || {
        super::confine::to_nothing();
        // A client that breaks the protocol is cut off; what becomes of it is not this thread's to say.
        if handshake::shake_hands(&socket, shown.size_bytes()).is_ok() {
            transmission::transmit(&socket, &shown, THREADS);
        }
    });
    first
        .map(drop)
        .map_err(|error| Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}")))
}
