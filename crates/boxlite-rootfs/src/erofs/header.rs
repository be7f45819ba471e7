//! Block 0: the superblock, and in front of it a header of BoxLite's own that names the layers and protects the rest.
//!
//! ```text
//!  0  magic "BOXROOT\0"            8     24  number of layers              4
//!  8  version                      4     28  checksum of the layers        4
//! 12  blocks of metadata           4     32  checksum of the file, taken   4
//! 16  blocks of data               8         with this field as zero
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C.

use std::path::Path;

use boxlite_types::{Context, Error, ErrorCode, Result};

use super::BLOCK_BYTES;
use crate::layer::IndexHeader;

const MAGIC: &[u8; 8] = b"BOXROOT\0";

/// Version of the layout; an image of another one has to be merged again.
const VERSION: u32 = 1;

const FILE_CHECKSUM: std::ops::Range<usize> = 32..36;

/// Where the superblock is.
const SUPERBLOCK: usize = 1024;

/// Where inodes begin: right behind the superblock. Inode numbers count 32-byte slots from the start of the file, so the
/// root is number 36, and none is number 0.
pub(super) const FIRST_INODE: u64 = SUPERBLOCK as u64 + 128;

/// The file has a checksum in its superblock.
const FEATURE_SB_CHECKSUM: u32 = 1;
/// Times of inodes are modification times.
const FEATURE_MTIME: u32 = 2;
/// There are chunk-based files.
const FEATURE_CHUNKED_FILE: u32 = 4;

/// What BoxLite's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub metadata_blocks: u32,
    pub data_blocks: u64,
    pub layers: u32,
    pub layers_checksum: u32,
}

/// What the superblock says and the header does not.
pub(super) struct Superblock {
    pub inodes: u64,
    pub has_chunked_files: bool,
    /// Time of all compact inodes: seconds and nanoseconds.
    pub time: (i64, u32),
    pub shared_xattrs_block: u32,
}

impl Header {
    /// Describes an image of those layers.
    pub(crate) fn of(metadata_blocks: u32, layers: &[IndexHeader]) -> Self {
        let mut layers_checksum = 0;
        for layer in layers {
            layers_checksum = crc32c::crc32c_append(layers_checksum, &layer.records_checksum.to_le_bytes());
            layers_checksum = crc32c::crc32c_append(layers_checksum, &layer.summary.data_bytes.to_le_bytes());
        }
        Header {
            metadata_blocks,
            data_blocks: layers.iter().map(|layer| layer.summary.data_bytes / BLOCK_BYTES).sum(),
            layers: layers.len() as u32,
            layers_checksum,
        }
    }

    /// Reads the header alone.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        use std::io::Read;
        let file = std::fs::File::open(path).map_err(|error| Error::io("open", path, error))?;
        let mut bytes = Vec::new();
        file.take(BLOCK_BYTES).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, error))?;
        Header::decode(&bytes).map_err(|why| damaged(path, why))
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() < BLOCK_BYTES as usize {
            return Err("it is cut off");
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if &bytes[..8] != MAGIC {
            return Err("it is no merged image");
        }
        if word(8) != VERSION {
            return Err("it is of another version of the format");
        }
        Ok(Header {
            metadata_blocks: word(12),
            data_blocks: u64::from(word(16)) | u64::from(word(20)) << 32,
            layers: word(24),
            layers_checksum: word(28),
        })
    }

    /// Writes block 0 of `image`, whose other bytes are final.
    pub(super) fn seal(&self, superblock: &Superblock, image: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &self.metadata_blocks.to_le_bytes());
        put(16, &self.data_blocks.to_le_bytes());
        put(24, &self.layers.to_le_bytes());
        put(28, &self.layers_checksum.to_le_bytes());

        let incompatible = if superblock.has_chunked_files { FEATURE_CHUNKED_FILE } else { 0 };
        // `blocks` counts the data too: on the disk of a box and in an export it is there.
        let blocks = (u64::from(self.metadata_blocks) + self.data_blocks) as u32;
        put(SUPERBLOCK, &0xe0f5_e1e2_u32.to_le_bytes());
        put(SUPERBLOCK + 8, &(FEATURE_SB_CHECKSUM | FEATURE_MTIME).to_le_bytes());
        put(SUPERBLOCK + 12, &[BLOCK_BYTES.trailing_zeros() as u8]);
        put(SUPERBLOCK + 14, &((FIRST_INODE / 32) as u16).to_le_bytes());
        put(SUPERBLOCK + 16, &superblock.inodes.to_le_bytes());
        put(SUPERBLOCK + 24, &superblock.time.0.to_le_bytes());
        put(SUPERBLOCK + 32, &superblock.time.1.to_le_bytes());
        put(SUPERBLOCK + 36, &blocks.to_le_bytes());
        // Inodes are addressed from block 0 on.
        put(SUPERBLOCK + 40, &0_u32.to_le_bytes());
        put(SUPERBLOCK + 44, &superblock.shared_xattrs_block.to_le_bytes());
        put(SUPERBLOCK + 64, b"boxlite");
        put(SUPERBLOCK + 80, &u32::to_le_bytes(incompatible));

        // The kernel's CRC-32C of the rest of the block: started at all ones like everyone's, but not inverted at the end.
        let checksum = !crc32c::crc32c(&image[SUPERBLOCK..BLOCK_BYTES as usize]);
        image[SUPERBLOCK + 4..SUPERBLOCK + 8].copy_from_slice(&checksum.to_le_bytes());
        let checksum = crc32c::crc32c(image);
        image[FILE_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Verifies a merged image: its length and the checksum over all of it.
pub(crate) fn verify(path: &Path) -> Result<()> {
    let mut bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let header = Header::decode(&bytes).map_err(|why| damaged(path, why))?;
    if bytes.len() as u64 != u64::from(header.metadata_blocks) * BLOCK_BYTES {
        return Err(damaged(path, "it has another length than it says"));
    }
    let stored = bytes[FILE_CHECKSUM].to_vec();
    bytes[FILE_CHECKSUM].fill(0);
    if stored != crc32c::crc32c(&bytes).to_le_bytes() {
        return Err(damaged(path, "its checksum is wrong"));
    }
    Ok(())
}

/// Makes the error for a file that cannot be used.
pub(crate) fn damaged(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::Storage, format!("damaged root filesystem `{}`: {why}", path.display()))
        .with(Context::Path, path.display().to_string())
}
