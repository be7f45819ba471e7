//! The writing end of a log: one per box, in its shim.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use boxlite_protocol::Channel;
use rustix::fs::{Mode, OFlags, openat, renameat};

use super::{HEADER_BYTES, LOG_FILE, LogRecord, MAGIC, OLDER_LOG_FILE, ROTATE_BYTES, decode_header};

/// Appends records. Opened by the first of them, so that a box without a main command has no log and pays nothing.
pub(crate) struct LogWriter {
    directory: OwnedFd,
    rotate_bytes: u64,
    open: Option<(File, u64)>,
}

impl LogWriter {
    /// Will write into `directory`.
    pub fn new(directory: OwnedFd) -> Self {
        LogWriter { directory, rotate_bytes: ROTATE_BYTES, open: None }
    }

    #[cfg(test)]
    pub fn rotating_at(directory: OwnedFd, rotate_bytes: u64) -> Self {
        LogWriter { directory, rotate_bytes, open: None }
    }

    /// Appends a record.
    pub fn append(&mut self, time_ns: u64, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.directory)?,
        };
        if size >= self.rotate_bytes {
            renameat(&self.directory, LOG_FILE, &self.directory, OLDER_LOG_FILE)?;
            (file, size) = open(&self.directory)?;
        }
        let record = LogRecord::encode(time_ns, channel, bytes);
        if let Err(error) = file.write_all(&record) {
            // Disk full, most likely: what follows must not be taken for the rest of this record.
            let _ = file.set_len(size);
            let _ = file.seek(SeekFrom::Start(size));
            self.open = Some((file, size));
            return Err(error);
        }
        self.open = Some((file, size + record.len() as u64));
        Ok(())
    }

    /// Makes what was appended durable.
    pub fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())
    }
}

/// Opens the log behind its last whole record.
fn open(directory: &impl AsFd) -> io::Result<(File, u64)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(openat(directory, LOG_FILE, flags, Mode::from_raw_mode(0o600))?);
    let size = whole_bytes(&mut file)?;
    file.set_len(size)?;
    file.seek(SeekFrom::Start(size))?;
    if size > 0 {
        return Ok((file, size));
    }
    file.write_all(MAGIC)?;
    Ok((file, MAGIC.len() as u64))
}

/// Returns where the last whole record ends; 0 for a file that is no log.
fn whole_bytes(file: &mut File) -> io::Result<u64> {
    let total = file.metadata()?.len();
    let mut reader = io::BufReader::with_capacity(256 * 1024, &mut *file);
    let (mut magic, mut header) = ([0; MAGIC.len()], [0; HEADER_BYTES]);
    if total < MAGIC.len() as u64 {
        return Ok(0);
    }
    reader.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Ok(0);
    }
    let mut end = MAGIC.len() as u64;
    while total - end >= HEADER_BYTES as u64 {
        reader.read_exact(&mut header)?;
        let Some((_, _, length)) = decode_header(&header) else { break };
        let next = end + (HEADER_BYTES + length) as u64;
        if next > total {
            break;
        }
        reader.seek_relative(length as i64)?;
        end = next;
    }
    Ok(end)
}
