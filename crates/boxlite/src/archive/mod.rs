//! Files in and out of a box, with the path rules of `docker cp`.
//!
//! A copy is a tar archive that streams between the agent and this process; [`place`] decides where it lands and under
//! which name, [`pack`] reads the host, [`unpack`] writes it. What comes out of a box is hostile: `unpack` is where that is
//! held.

mod copy;
mod pack;
mod pipe;
mod place;
mod unpack;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use boxlite_engine::session::ArchiveSource;
use tokio::io::{AsyncRead, ReadBuf};

pub(crate) use copy::{check_inside, copy_in, copy_out, put_archive, stat};

use crate::core::Core;
use crate::gate::Gate;

/// How files are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether a file that exists is replaced, the default; otherwise the first one fails the copy with `AlreadyExists`.
    pub overwrite: bool,
    /// Whether a symbolic link that is named as the source is copied as what it points to.
    pub follow_symlinks: bool,
    /// Into a box: gives everything to this `uid:gid`, root by default; `None` keeps the numbers of the source.
    pub owner: Option<(u32, u32)>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions { overwrite: true, follow_symlinks: false, owner: Some((0, 0)) }
    }
}

/// A tar archive on its way out of a box.
///
/// Reading ends without an error only if the archive is whole. Dropping it ends the packing.
pub struct ArchiveReader {
    source: ArchiveSource,
    gate: Arc<Gate<Core>>,
}

impl ArchiveReader {
    pub(crate) fn new(source: ArchiveSource, gate: &Arc<Gate<Core>>) -> Self {
        ArchiveReader { source, gate: gate.clone() }
    }
}

impl AsyncRead for ArchiveReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.gate.check().map_err(std::io::Error::other)?;
        let result = ready!(Pin::new(&mut self.source).poll_read(context, buffer));
        Poll::Ready(result.map_err(|error| self.gate.check().err().map_or(error, std::io::Error::other)))
    }
}
