//! The `index` file: a header of fixed size, then the records.
//!
//! ```text
//!  0  magic "BOXLAYER"        8      32  sum of file sizes       8
//!  8  version                 4      40  length of `data`        8
//! 12  checksum of the records 4      48  reserved, zero         12
//! 16  length of the records   8      60  checksum of bytes 0-59  4
//! 24  number of records       8      64  records, postcard, one after the other
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. The header is written last, so that an index cut off by a crash has
//! none; nothing reads a record before both checksums have been verified.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use boxlite_types::{Context, Error, ErrorCode, Result};

use super::LayerSummary;
use super::data::create_new;
use super::record::Record;

const MAGIC: &[u8; 8] = b"BOXLAYER";

/// Version of the format; a layer of another one has to be converted again.
const VERSION: u32 = 1;

const HEADER_BYTES: usize = 64;

const BUFFER_BYTES: usize = 64 << 10;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub summary: LayerSummary,
    /// Checksum of the records: which layer this is, for all purposes but security.
    pub records_checksum: u32,
    records_bytes: u64,
}

/// Writes an index.
pub(super) struct IndexWriter {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    records_bytes: u64,
    checksum: u32,
    records: u64,
}

impl IndexWriter {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let mut file = create_new(&path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64))
            .map_err(|error| Error::io("seek in", &path, error))?;
        Ok(IndexWriter { file, path, buffer: Vec::new(), records_bytes: 0, checksum: 0, records: 0 })
    }

    pub(super) fn append(&mut self, record: &Record<'_>) -> Result<()> {
        let before = self.buffer.len();
        self.buffer = postcard::to_extend(record, std::mem::take(&mut self.buffer)).map_err(|error| {
            Error::new(ErrorCode::Internal, "cannot encode a layer record").caused_by(error)
        })?;
        self.records_bytes += (self.buffer.len() - before) as u64;
        self.records += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn records_bytes(&self) -> u64 {
        self.records_bytes
    }

    /// Writes the header and makes the file durable.
    pub(super) fn finish(mut self, file_bytes: u64, data_bytes: u64) -> Result<LayerSummary> {
        self.flush()?;
        let summary = LayerSummary { entries: self.records, file_bytes, data_bytes };
        let header =
            IndexHeader { summary, records_checksum: self.checksum, records_bytes: self.records_bytes };
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&header.encode()))
            .and_then(|()| self.file.sync_all())
            .map_err(|error| Error::io("write", &self.path, error))?;
        Ok(summary)
    }

    fn flush(&mut self) -> Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.file.write_all(&self.buffer).map_err(|error| Error::io("write", &self.path, error))?;
        self.buffer.clear();
        Ok(())
    }
}

impl IndexHeader {
    /// Reads and verifies the header alone.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        use std::io::Read;
        let path = super::index_path(directory);
        let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let mut bytes = Vec::new();
        file.take(HEADER_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", &path, error))?;
        IndexHeader::decode(&bytes).map_err(|why| damaged(&path, why))
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records_checksum.to_le_bytes());
        let numbers =
            [self.records_bytes, self.summary.entries, self.summary.file_bytes, self.summary.data_bytes];
        for (place, number) in bytes[16..48].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes: &[u8; HEADER_BYTES] =
            bytes.get(..HEADER_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or("it is cut off")?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if &bytes[..8] != MAGIC {
            return Err("it is no layer index");
        }
        if word(8) != VERSION {
            return Err("it is of another version of the format");
        }
        if word(60) != crc32c::crc32c(&bytes[..60]) {
            return Err("the checksum of its header is wrong");
        }
        Ok(IndexHeader {
            records_checksum: word(12),
            records_bytes: long(16),
            summary: LayerSummary { entries: long(24), file_bytes: long(32), data_bytes: long(40) },
        })
    }
}

/// A whole index in memory, its checksums verified.
pub(crate) struct LayerIndex {
    pub header: IndexHeader,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl LayerIndex {
    /// Reads and verifies the index of the layer in `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = super::index_path(directory);
        let bytes = std::fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
        let header = IndexHeader::decode(&bytes).map_err(|why| damaged(&path, why))?;
        let records = &bytes[HEADER_BYTES..];
        if header.records_bytes != records.len() as u64 {
            return Err(damaged(&path, "it has another length than it says"));
        }
        if header.records_checksum != crc32c::crc32c(records) {
            return Err(damaged(&path, "the checksum of its records is wrong"));
        }
        Ok(LayerIndex { header, path, bytes })
    }

    /// Iterates over its records.
    pub(crate) fn records(&self) -> RecordIter<'_> {
        RecordIter { index: self, rest: &self.bytes[HEADER_BYTES..], path: Vec::new() }
    }

    /// Makes the error for an index that cannot be what it says.
    pub(crate) fn damaged(&self, why: &str) -> Error {
        damaged(&self.path, why)
    }
}

/// A record with the components of its path.
type RecordAt<'p, 'i> = (&'p [&'i [u8]], Record<'i>);

/// Decodes records and puts their paths together.
pub(crate) struct RecordIter<'i> {
    index: &'i LayerIndex,
    rest: &'i [u8],
    path: Vec<&'i [u8]>,
}

impl<'i> RecordIter<'i> {
    /// Returns the next record with the components of its path; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<RecordAt<'_, 'i>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (record, rest) = postcard::take_from_bytes::<Record<'i>>(self.rest)
            .map_err(|_| self.index.damaged("a record cannot be decoded"))?;
        self.rest = rest;
        if record.shared as usize > self.path.len() {
            return Err(self.index.damaged("a record shares more of its path than there is"));
        }
        self.path.truncate(record.shared as usize);
        self.path.extend(record.rest.split(|&byte| byte == b'/').filter(|name| !name.is_empty()));
        Ok(Some((&self.path, record)))
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::Storage, format!("damaged layer index `{}`: {why}", path.display()))
        .with(Context::Path, path.display().to_string())
}
