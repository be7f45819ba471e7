//! A file that is written from front to back, past the page cache.
//!
//! What a pull writes it also makes durable, and reads at most a part of it soon. By way of the page cache each byte would
//! be copied into a page that has to be found for it (in a virtual machine: by the host, one fault per page) and written
//! out later, in a burst that the final sync waits for. Written directly, the disk works while the stream still flows, and
//! the sync has nothing left to do. Where the file system has no direct writes, the same code goes through the page cache.
//!
//! Invariant: a direct write begins and ends on a block, in the file and in memory (open(2), "O_DIRECT").

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use boxlite_types::{Error, Result};

use crate::layer::BLOCK_BYTES;

/// Writes end on a multiple of this: large enough to keep a disk busy one at a time, small enough for the processor's cache.
const WRITE_BYTES: usize = 512 << 10;

/// Appends to a file.
pub struct Appender {
    file: File,
    path: PathBuf,
    buffer: Box<[u8]>,
    /// The part of `buffer` that is filled: from its first block boundary on.
    start: usize,
    filled: usize,
    /// Where in the file the buffer belongs.
    offset: u64,
    direct: Direct,
}

/// Whether writes go past the page cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direct {
    /// The file system has no such thing.
    Never,
    Off,
    On,
}

impl Appender {
    /// Appends to `file` from `offset` on, which is its end. `path` is for errors.
    pub fn new(file: File, path: &Path, offset: u64) -> Self {
        let buffer = vec![0; WRITE_BYTES + BLOCK_BYTES as usize].into_boxed_slice();
        let start = buffer.as_ptr().align_offset(BLOCK_BYTES as usize);
        Appender { file, path: path.to_owned(), buffer, start, filled: 0, offset, direct: Direct::Off }
    }

    /// Returns where the next byte goes.
    pub fn position(&self) -> u64 {
        self.offset + self.filled as u64
    }

    /// Appends `bytes`; the last of them stay in memory until more come.
    ///
    /// # Errors
    /// `NoSpace` or `Storage` if they cannot be written.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // The first write after an odd offset is a short one, so that all later ones are on blocks.
            let room = WRITE_BYTES - (self.position() % WRITE_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let end = self.start + self.filled;
            self.buffer[end..end + now.len()].copy_from_slice(now);
            self.filled += now.len();
            if now.len() == room {
                self.flush()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Leaves a hole of `count` bytes.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn skip(&mut self, count: u64) -> Result<()> {
        self.flush()?;
        self.offset += count;
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn flush(&mut self) -> Result<()> {
        let filled = self.start..self.start + self.filled;
        write(&mut self.file, self.offset, &self.buffer[filled], &mut self.direct)
            .map_err(|error| Error::io("write", &self.path, error))?;
        self.offset += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Writes what is still in memory, and makes the file durable; returns its length in bytes.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        // The end may be a hole.
        self.file
            .set_len(self.offset)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| Error::io("sync", &self.path, error))?;
        Ok(self.offset)
    }
}

fn write(file: &mut File, offset: u64, bytes: &[u8], direct: &mut Direct) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let on_blocks = offset.is_multiple_of(BLOCK_BYTES) && (bytes.len() as u64).is_multiple_of(BLOCK_BYTES);
    let wanted = if on_blocks { Direct::On } else { Direct::Off };
    if *direct != Direct::Never && *direct != wanted {
        *direct = if set_direct(file, on_blocks).is_ok() { wanted } else { Direct::Never };
    }
    let written = file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(bytes));
    match written {
        // Some file systems only say at the first write that they have none.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && *direct == Direct::On => {
            set_direct(file, false)?;
            *direct = Direct::Never;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)
        }
        written => written,
    }
}

#[cfg(target_os = "linux")]
fn set_direct(file: &File, on: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &File, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Skip(u64),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..2 * WRITE_BYTES).prop_map(Step::Append),
            2 => (0..4 * BLOCK_BYTES as usize).prop_map(Step::Append),
            1 => (0..4 * BLOCK_BYTES).prop_map(Step::Skip),
            1 => Just(Step::Flush),
        ]
    }

    fn open(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// From any offset, in any pieces, with any holes, left and gone on with at any place.
        #[test]
        fn the_file_is_what_was_appended(
            before in 0..3 * BLOCK_BYTES as usize,
            steps in prop::collection::vec(step(), 0..12),
            left_at in 0..12usize,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            let mut expected = vec![7; before];
            std::fs::write(&path, &expected).unwrap();
            let mut appender = Appender::new(open(&path), &path, before as u64);
            for (number, step) in steps.into_iter().enumerate() {
                if number == left_at {
                    appender.flush().unwrap();
                    appender = Appender::new(open(&path), &path, expected.len() as u64);
                }
                match step {
                    Step::Append(count) => {
                        let bytes: Vec<u8> = (0..count).map(|at| (at % 251 + number) as u8).collect();
                        appender.append(&bytes).unwrap();
                        expected.extend(bytes);
                    }
                    Step::Skip(count) => {
                        appender.skip(count).unwrap();
                        expected.resize(expected.len() + count as usize, 0);
                    }
                    Step::Flush => appender.flush().unwrap(),
                }
                prop_assert_eq!(appender.position(), expected.len() as u64);
            }
            prop_assert_eq!(appender.finish().unwrap(), expected.len() as u64);
            prop_assert!(std::fs::read(&path).unwrap() == expected);
        }
    }

    /// A device has no direct writes, and this one has no room.
    #[test]
    fn where_direct_writes_are_refused_the_page_cache_is_asked() {
        let path = Path::new("/dev/full");
        let mut appender = Appender::new(open(path), path, 0);
        appender.append(&[5; BLOCK_BYTES as usize]).unwrap();
        assert_eq!(appender.flush().unwrap_err().code(), boxlite_types::ErrorCode::NoSpace);
    }
}
