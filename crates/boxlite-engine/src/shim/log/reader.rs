//! Reading a log from its beginning, whoever is writing it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use boxlite_types::{Error, Result};

use super::{HEADER_BYTES, LOG_FILE, LogRecord, MAGIC, OLDER_LOG_FILE, decode_header};

/// Reads the log of the box in `directory`, only the last `tail` records if a number is given. A box that has written
/// nothing has an empty log.
///
/// # Errors
/// `Storage` if it cannot be read.
pub fn read_log(directory: &Path, tail: Option<usize>) -> Result<Vec<LogRecord>> {
    let mut records = VecDeque::new();
    for name in [OLDER_LOG_FILE, LOG_FILE] {
        let Some(mut file) = LogFile::open(directory, name)? else { continue };
        while let Some(record) = file.next_record()? {
            records.push_back(record);
            if tail.is_some_and(|tail| records.len() > tail) {
                records.pop_front();
            }
        }
    }
    Ok(records.into())
}

/// One file of a log, open at a record.
pub(super) struct LogFile {
    reader: BufReader<File>,
    path: std::path::PathBuf,
    /// Where the next record starts; 0 before the magic was read.
    position: u64,
}

impl LogFile {
    /// Opens a file of a log; `None` if there is none.
    pub fn open(directory: &Path, name: &str) -> Result<Option<Self>> {
        let path = directory.join(name);
        match File::open(&path) {
            Ok(file) => Ok(Some(LogFile { reader: BufReader::new(file), path, position: 0 })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", &path, error)),
        }
    }

    /// Returns the file itself.
    pub fn file(&self) -> &File {
        self.reader.get_ref()
    }

    /// Reads the next record; `None` at the end, which may be followed by more later.
    pub fn next_record(&mut self) -> Result<Option<LogRecord>> {
        match self.try_next() {
            Ok(Some((record, position))) => {
                self.position = position;
                Ok(Some(record))
            }
            Ok(None) => self.rewind(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.rewind(),
            Err(error) => Err(Error::io("read", &self.path, error)),
        }
    }

    /// Goes back to the start of a record that is not whole yet.
    fn rewind(&mut self) -> Result<Option<LogRecord>> {
        let sought = self.reader.seek(SeekFrom::Start(self.position));
        sought.map(|_| None).map_err(|error| Error::io("read", &self.path, error))
    }

    fn try_next(&mut self) -> io::Result<Option<(LogRecord, u64)>> {
        let mut position = self.position;
        if position == 0 {
            let mut magic = [0; MAGIC.len()];
            self.reader.read_exact(&mut magic)?;
            if magic != *MAGIC {
                return Ok(None);
            }
            position = MAGIC.len() as u64;
        }
        let mut header = [0; HEADER_BYTES];
        self.reader.read_exact(&mut header)?;
        let Some((time_ns, channel, length)) = decode_header(&header) else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(Some((LogRecord { time_ns, channel, bytes }, position + (HEADER_BYTES + length) as u64)))
    }
}
