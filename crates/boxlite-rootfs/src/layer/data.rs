//! The `data` file: appended to in large writes, one buffer, no system call per file.
//!
//! The kernel is told to start writing to disk while the layer still streams, so that making it durable at the end has
//! little left to wait for. Invariant: every file begins on a block, and what lies between files is zero.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use boxlite_types::{Error, Result};

/// Size of a block of the data file and of EROFS, in bytes.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// Large enough that a write costs its copy and little else, small enough to stay in the processor's cache.
const BUFFER_BYTES: usize = 256 << 10;

/// After how many bytes the kernel is told to start writing them out.
const WRITE_OUT_BYTES: u64 = 16 << 20;

/// Returns how many blocks hold that many bytes.
pub(crate) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES)
}

/// Appends to the data file.
pub(super) struct DataWriter {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Where the next byte goes, buffered ones included.
    position: u64,
    /// Up to where the kernel has been told to write out.
    written_out: u64,
}

impl DataWriter {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = create_new(&path)?;
        Ok(DataWriter { file, path, buffer: Vec::with_capacity(BUFFER_BYTES), position: 0, written_out: 0 })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.position += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            let (fill, rest) = bytes.split_at((BUFFER_BYTES - self.buffer.len()).min(bytes.len()));
            self.buffer.extend_from_slice(fill);
            self.flush()?;
            // What is larger than the buffer goes out from where it is.
            let direct = rest.len() - rest.len() % BUFFER_BYTES;
            self.file.write_all(&rest[..direct]).map_err(|error| Error::io("write", &self.path, error))?;
            self.buffer.extend_from_slice(&rest[direct..]);
            self.start_writing_out();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Appends zeros; many of them become a hole of the host's file.
    pub(super) fn append_zeros(&mut self, count: u64) -> Result<()> {
        if count <= BLOCK_BYTES {
            return self.append(&[0; BLOCK_BYTES as usize][..count as usize]);
        }
        self.flush()?;
        self.position += count;
        self.file
            .seek(SeekFrom::Start(self.position))
            .map(drop)
            .map_err(|error| Error::io("seek in", &self.path, error))
    }

    /// Appends zeros up to the next block.
    pub(super) fn align(&mut self) -> Result<()> {
        self.append_zeros(self.position.wrapping_neg() % BLOCK_BYTES)
    }

    /// Writes what is left and makes the file durable; returns its length.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.align()?;
        self.flush()?;
        self.file
            .set_len(self.position)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| Error::io("sync", &self.path, error))?;
        Ok(self.position)
    }

    fn start_writing_out(&mut self) {
        let end = self.position - self.buffer.len() as u64;
        if end - self.written_out >= WRITE_OUT_BYTES {
            write_out(&self.file, self.written_out, end - self.written_out);
            self.written_out = end;
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|error| Error::io("write", &self.path, error))?;
        self.buffer.clear();
        Ok(())
    }
}

/// Starts writing part of a file to disk, without waiting for it. It is a hint: what goes wrong shows in the final sync.
#[cfg(target_os = "linux")]
fn write_out(file: &File, offset: u64, length: u64) {
    use std::os::fd::AsRawFd;
    // SAFETY: the call reads no memory of ours; the descriptor is open for as long as `file` is borrowed.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            offset as libc::off64_t,
            length as libc::off64_t,
            libc::SYNC_FILE_RANGE_WRITE,
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn write_out(_: &File, _: u64, _: u64) {}

/// Makes a file that must not exist yet.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| Error::io("create", path, error))
}
