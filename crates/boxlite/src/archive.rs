//! Files in and out of a box, with the path rules of `docker cp`.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use boxlite_types::Result;
use tokio::io::{AsyncRead, ReadBuf};

/// How files are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether a file that exists is replaced; otherwise the first one fails the copy with `AlreadyExists`.
    pub overwrite: bool,
    /// Whether a symbolic link named as the source is copied as what it points to.
    pub follow_symlinks: bool,
    /// Into a box: gives everything to this `uid:gid`; the numbers of the source if `None`.
    pub owner: Option<(u32, u32)>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions { overwrite: true, follow_symlinks: false, owner: None }
    }
}

/// A tar archive on its way out of a box.
pub struct ArchiveReader {}

impl ArchiveReader {
    /// Waits until the archive has been read to its end, and returns whether it is whole.
    pub async fn finish(self) -> Result<()> {
        unimplemented!()
    }
}

impl AsyncRead for ArchiveReader {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        unimplemented!()
    }
}
