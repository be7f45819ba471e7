//! Writing it all down: the second pass.

use boxlite_types::{Error, ErrorCode, Result};

use super::directory::{self, DirectoryEntry};
use super::header::{Header, Superblock};
use super::inode::{self, DataLayout, EncodedInode};
use super::layout::{Layout, Placed};
use super::{BLOCK_BYTES, xattrs};
use crate::layer::{ChunkRun, IndexHeader};
use crate::tree::{Body, Tree};

/// A chunk that is a hole.
const HOLE: u32 = u32::MAX;

/// The metadata of an image, ready to be written.
pub(crate) struct EncodedImage {
    pub bytes: Vec<u8>,
    pub inodes: u64,
}

/// Encodes the merged tree of `layers`.
pub(crate) fn encode(tree: &Tree<'_>, layers: &[IndexHeader]) -> Result<EncodedImage> {
    let layout = Layout::of(tree);
    let mut layer_blocks = Vec::with_capacity(layers.len());
    let mut end = layout.metadata_blocks;
    for layer in layers {
        layer_blocks.push(end as u32);
        end += layer.summary.data_bytes / BLOCK_BYTES;
        if end >= u64::from(HOLE) {
            return Err(Error::new(
                ErrorCode::ResourceExhausted,
                "image too large: it fills more than 16 TiB",
            )
            .retryable(false));
        }
    }
    let mut encoder = Encoder { tree, layout: &layout, layer_blocks, image: Vec::new(), scratch: Vec::new() };
    encoder.image.resize((layout.metadata_blocks * BLOCK_BYTES) as usize, 0);
    for (ordinal, placed) in layout.placed.iter().enumerate() {
        encoder.put_inode(ordinal as u32, placed)?;
    }
    let mut image = encoder.image;
    let shared = (layout.shared_block * BLOCK_BYTES) as usize;
    image[shared..shared + layout.shared.area.len()].copy_from_slice(&layout.shared.area);

    let header = Header::of(layout.metadata_blocks as u32, layers);
    let inodes = layout.placed.len() as u64;
    let is_chunked = |placed: &Placed| matches!(placed.layout, DataLayout::Chunked { .. });
    let superblock = Superblock {
        inodes,
        has_chunked_files: layout.placed.iter().any(is_chunked),
        time: layout.time,
        shared_xattrs_block: if layout.shared.area.is_empty() { 0 } else { layout.shared_block as u32 },
    };
    header.seal(&superblock, &mut image);
    Ok(EncodedImage { bytes: image, inodes })
}

struct Encoder<'e, 'i> {
    tree: &'e Tree<'i>,
    layout: &'e Layout<'i>,
    /// First block of the data of each layer.
    layer_blocks: Vec<u32>,
    image: Vec<u8>,
    scratch: Vec<u8>,
}

impl Encoder<'_, '_> {
    fn put_inode(&mut self, ordinal: u32, placed: &Placed) -> Result<()> {
        let inode = &self.tree.inodes[placed.id as usize];
        let head = if placed.compact { inode::COMPACT_BYTES } else { inode::EXTENDED_BYTES };
        let own_block = (self.layout.own_blocks + placed.own_block) as u32;
        let data_block = |layer: u32, block: u32| self.layer_blocks[layer as usize] + block;
        let place = match &inode.body {
            Body::Directory(_) | Body::SymbolicLink(_) if placed.size > placed.inline_bytes => own_block,
            Body::File { layer, size, block, tail } if *size > tail.len() as u64 => {
                data_block(*layer, *block)
            }
            Body::CharacterDevice { major, minor } | Body::BlockDevice { major, minor } => {
                inode::device_number(*major, *minor)
            }
            _ => 0,
        };
        let xattr_count = xattrs::count_field(placed.xattr_bytes as usize);
        let encoded = EncodedInode {
            metadata: &inode.metadata,
            mode: inode::type_bits(&inode.body) | inode.metadata.mode,
            compact: placed.compact,
            layout: placed.layout,
            xattr_count: u16::try_from(xattr_count).map_err(|_| {
                Error::new(
                    ErrorCode::ResourceExhausted,
                    "image too large: too many extended attributes on one file",
                )
                .retryable(false)
            })?,
            size: placed.size,
            links: placed.links,
            place,
            ordinal: ordinal + 1,
        };
        encoded.put(&mut self.image[placed.offset as usize..]);

        let mut scratch = std::mem::take(&mut self.scratch);
        self.layout.shared.encode(&inode.metadata, &mut scratch);
        self.put(placed.offset + head, &scratch);
        let behind = placed.offset + head + placed.xattr_bytes;
        match &inode.body {
            Body::Directory(_) => {
                self.encode_directory(ordinal, placed, &mut scratch);
                self.put_own(own_block, behind, placed, &scratch);
            }
            Body::SymbolicLink(target) => self.put_own(own_block, behind, placed, target),
            Body::File { tail, .. } => self.put(behind, tail),
            Body::SparseFile { layer, runs, chunk_bits, .. } => {
                let base = self.layer_blocks[*layer as usize];
                chunk_map(placed, base, *chunk_bits, runs, &mut scratch);
                self.put(behind, &scratch);
            }
            Body::CharacterDevice { .. } | Body::BlockDevice { .. } | Body::Fifo => {}
        }
        self.scratch = scratch;
        Ok(())
    }

    fn encode_directory(&self, ordinal: u32, placed: &Placed, out: &mut Vec<u8>) {
        let Body::Directory(directory) = &self.tree.inodes[placed.id as usize].body else { return };
        let number = |place: u32| self.layout.placed[place as usize].offset / 32;
        let names = directory::with_dots(directory.children.keys().copied());
        let entries: Vec<_> = names
            .map(|name| match directory.children.get(name) {
                Some(child) => DirectoryEntry {
                    name,
                    number: number(self.layout.place_of[child.inode as usize]),
                    file_type: inode::file_type(&self.tree.inodes[child.inode as usize].body),
                },
                None => {
                    let place = if name == b"." { ordinal } else { placed.parent };
                    DirectoryEntry { name, number: number(place), file_type: 2 }
                }
            })
            .collect();
        directory::encode(&entries, out);
    }

    /// Writes what an inode has in the metadata: whole blocks to its own, the tail behind it.
    fn put_own(&mut self, own_block: u32, behind: u64, placed: &Placed, bytes: &[u8]) {
        let (whole, tail) = bytes.split_at(bytes.len() - placed.inline_bytes as usize);
        self.put(u64::from(own_block) * BLOCK_BYTES, whole);
        self.put(behind, tail);
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        // Without bytes the place may lie past the end.
        if !bytes.is_empty() {
            self.image[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// Encodes the map of a sparse file: the first block of every chunk.
fn chunk_map(placed: &Placed, base: u32, chunk_bits: u8, runs: &[ChunkRun], out: &mut Vec<u8>) {
    out.clear();
    out.resize(placed.inline_bytes as usize, 0xff);
    for run in runs {
        for step in 0..run.count {
            let at = (run.chunk + step) as usize * 4;
            let block = base + run.block + (step << chunk_bits);
            if let Some(entry) = out.get_mut(at..at + 4) {
                entry.copy_from_slice(&block.to_le_bytes());
            }
        }
    }
}
