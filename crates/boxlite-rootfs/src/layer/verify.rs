//! Proves that the files of a layer are what was written, by reading all of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use boxlite_types::{Context, Error, ErrorCode, Result};

use super::data::{BLOCK_BYTES, blocks};
use super::index::LayerIndex;
use super::record::{Content, Record};
use super::{LayerSummary, data_path};
use crate::path::printable;

const BUFFER_BYTES: usize = 256 << 10;

/// Verifies a converted layer: structure and checksums of the index, length of the data and the checksum of every file.
///
/// # Errors
/// `Storage` naming the file, and the entry whose content is damaged.
pub fn verify_layer(directory: &Path) -> Result<LayerSummary> {
    let index = LayerIndex::read(directory)?;
    let mut data = DataReader::open(directory)?;
    if data.length != index.header.summary.data_bytes {
        return Err(data.damaged(format_args!(
            "it is {} bytes long instead of {}",
            data.length, index.header.summary.data_bytes
        )));
    }
    let (mut entries, mut file_bytes) = (0, 0);
    let mut records = index.records();
    while let Some((path, record)) = records.next()? {
        entries += 1;
        file_bytes += data.verify(&record).map_err(|why| {
            let entry = path.join(&b'/');
            let entry = printable(&entry);
            data.damaged(format_args!("entry `{entry}`: {why}")).with(Context::Entry, entry)
        })?;
    }
    let summary = LayerSummary { entries, file_bytes, data_bytes: data.length };
    if summary != index.header.summary {
        return Err(index.damaged("its records are not those its header counts"));
    }
    Ok(summary)
}

/// Reads `data` from the beginning to the end, the way the records lie in it.
struct DataReader {
    file: File,
    path: std::path::PathBuf,
    length: u64,
    /// Next block to read.
    block: u64,
    buffer: Vec<u8>,
}

impl DataReader {
    fn open(directory: &Path) -> Result<Self> {
        let path = data_path(directory);
        let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let length = file.metadata().map_err(|error| Error::io("examine", &path, error))?.len();
        Ok(DataReader { file, path, length, block: 0, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Verifies the content of one record and returns the size of its file, or says what is wrong.
    fn verify(&mut self, record: &Record<'_>) -> Result<u64, &'static str> {
        let (size, stored, tail, expected): (u64, u64, &[u8], u32) = match &record.content {
            Content::File { size, tail, checksum, .. } => {
                let stored = size.checked_sub(tail.len() as u64).ok_or("the record is impossible")?;
                (*size, stored, tail, *checksum)
            }
            Content::SparseFile { size, chunk_bits, runs, checksum } => {
                let chunks: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
                let bytes = (*chunk_bits < 32).then(|| chunks.checked_mul(BLOCK_BYTES << chunk_bits));
                (*size, bytes.flatten().ok_or("the record is impossible")?, b"", *checksum)
            }
            _ => return Ok(0),
        };
        let (block, _) = record.data_blocks().ok_or("the record is impossible")?;
        if stored > self.length || (stored > 0 && u64::from(block) != self.block) {
            return Err("the record is impossible");
        }
        let mut checksum = self.checksum(stored).map_err(|_| "cannot read the content")?;
        checksum = crc32c::crc32c_append(checksum, tail);
        if checksum != expected { Err("wrong checksum") } else { Ok(size) }
    }

    fn checksum(&mut self, bytes: u64) -> std::io::Result<u32> {
        self.block += blocks(bytes);
        let (mut checksum, mut left) = (0, bytes);
        let mut to_read = blocks(bytes) * BLOCK_BYTES;
        while to_read > 0 {
            let step = to_read.min(BUFFER_BYTES as u64);
            let part = &mut self.buffer[..step as usize];
            self.file.read_exact(part)?;
            let content = left.min(step);
            checksum = crc32c::crc32c_append(checksum, &part[..content as usize]);
            left -= content;
            to_read -= step;
        }
        Ok(checksum)
    }

    fn damaged(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::Storage, format!("damaged layer data `{}`: {why}", self.path.display()))
            .with(Context::Path, self.path.display().to_string())
    }
}
