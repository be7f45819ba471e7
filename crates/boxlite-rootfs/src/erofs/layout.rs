//! Where everything goes: the first of two passes, which knows sizes only.
//!
//! Inodes follow each other directory by directory, the children of one side by side, so that listing a directory and
//! looking at each child reads few blocks. The kernel wants an inlined tail within one block; where it would cross into
//! the next, the inode moves on or the tail gets a block of its own.

use std::collections::HashMap;

use super::header::FIRST_INODE;
use super::inode::{self, COMPACT_BYTES, DataLayout, EXTENDED_BYTES};
use super::xattrs::SharedXattrs;
use super::{BLOCK_BYTES, directory};
use crate::layer::{Metadata, blocks};
use crate::tree::{Body, Inode, InodeId, ROOT, Tree};

/// The place of one inode.
pub(super) struct Placed {
    pub id: InodeId,
    /// Place in the list of its parent directory; the root is its own.
    pub parent: u32,
    /// In bytes from the start of the file.
    pub offset: u64,
    pub compact: bool,
    pub layout: DataLayout,
    pub xattr_bytes: u64,
    pub size: u64,
    pub links: u32,
    /// First of the blocks in the metadata that hold (the rest of) a directory or symbolic link, counted from the
    /// first such block.
    pub own_block: u64,
    /// Bytes behind the inode and its attributes.
    pub inline_bytes: u64,
}

/// The whole metadata, measured.
pub(super) struct Layout<'i> {
    /// In order of offset.
    pub placed: Vec<Placed>,
    /// Place in `placed` by inode; [`NOWHERE`] for those that are not in the tree any more.
    pub place_of: Vec<u32>,
    pub time: (i64, u32),
    pub shared: SharedXattrs<'i>,
    pub shared_block: u64,
    /// First block of directories and symbolic links.
    pub own_blocks: u64,
    pub metadata_blocks: u64,
}

impl<'i> Layout<'i> {
    /// Measures the tree.
    pub(super) fn of(tree: &Tree<'i>) -> Self {
        let Walk { order, links, place_of } = walk(tree);
        let metadata = || order.iter().map(|&(id, _)| &tree.inodes[id as usize].metadata);
        let time = most_common_time(metadata());
        let shared = SharedXattrs::find(metadata());
        let (mut cursor, mut own_block) = (FIRST_INODE, 0);
        let mut xattrs = Vec::new();
        let mut placed = Vec::with_capacity(order.len());
        for (&(id, parent), &links) in order.iter().zip(&links) {
            let inode = &tree.inodes[id as usize];
            shared.encode(&inode.metadata, &mut xattrs);
            let size = size(inode);
            let compact = inode::fits_compact(&inode.metadata, size, links, time);
            let head = if compact { COMPACT_BYTES } else { EXTENDED_BYTES };
            let fixed = head + xattrs.len() as u64;
            let (offset, layout, inline_bytes) = place(cursor, head, fixed, tail(inode, size));
            placed.push(Placed {
                id,
                parent,
                offset,
                compact,
                layout,
                xattr_bytes: xattrs.len() as u64,
                size,
                links,
                own_block,
                inline_bytes,
            });
            cursor = offset + fixed + inline_bytes;
            if matches!(inode.body, Body::Directory(_) | Body::SymbolicLink(_)) {
                let outside = if layout == DataLayout::Inline { size - inline_bytes } else { size };
                own_block += blocks(outside);
            }
        }
        let shared_block = blocks(cursor);
        let own_blocks = shared_block + blocks(shared.area.len() as u64);
        let metadata_blocks = own_blocks + own_block;
        Layout { placed, place_of, time, shared, shared_block, own_blocks, metadata_blocks }
    }
}

/// The inodes that are in the tree.
struct Walk {
    /// Each with the place of its parent in this list.
    order: Vec<(InodeId, u32)>,
    links: Vec<u32>,
    place_of: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

fn walk(tree: &Tree<'_>) -> Walk {
    let mut walk =
        Walk { order: vec![(ROOT, 0)], links: vec![2], place_of: vec![NOWHERE; tree.inodes.len()] };
    walk.place_of[ROOT as usize] = 0;
    let mut next = 0;
    while next < walk.order.len() {
        let (id, _) = walk.order[next];
        if let Body::Directory(directory) = &tree.inodes[id as usize].body {
            for child in directory.children.values() {
                let is_directory = matches!(tree.inodes[child.inode as usize].body, Body::Directory(_));
                if is_directory {
                    walk.links[next] += 1;
                }
                let place = &mut walk.place_of[child.inode as usize];
                if *place == NOWHERE {
                    *place = walk.order.len() as u32;
                    walk.order.push((child.inode, next as u32));
                    walk.links.push(u32::from(is_directory));
                }
                walk.links[*place as usize] += 1;
            }
        }
        next += 1;
    }
    walk
}

/// Returns the time that saves most extended inodes; the earliest of equals.
fn most_common_time<'m, 'i: 'm>(inodes: impl Iterator<Item = &'m Metadata<'i>>) -> (i64, u32) {
    let mut counts: HashMap<(i64, u32), u64> = HashMap::new();
    for metadata in inodes {
        *counts.entry((metadata.mtime, metadata.mtime_nanoseconds)).or_default() += 1;
    }
    let best = counts.into_iter().max_by_key(|&(time, count)| (count, std::cmp::Reverse(time)));
    best.map_or((0, 0), |(time, _)| time)
}

fn size(inode: &Inode<'_>) -> u64 {
    match &inode.body {
        Body::Directory(directory) => {
            directory::size(directory::with_dots(directory.children.keys().copied()))
        }
        Body::File { size, .. } | Body::SparseFile { size, .. } => *size,
        Body::SymbolicLink(target) => target.len() as u64,
        Body::CharacterDevice { .. } | Body::BlockDevice { .. } | Body::Fifo => 0,
    }
}

/// How strictly a tail has to stand behind its inode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// There is none.
    None,
    /// It may as well get a block of its own; with its inode in one block if `with_head`.
    Movable { bytes: u64, with_head: bool },
    /// It is nowhere else.
    Fixed { bytes: u64 },
    /// A chunk map, which may cross blocks.
    Map { bytes: u64, chunk_bits: u8 },
}

fn tail(inode: &Inode<'_>, size: u64) -> Tail {
    match &inode.body {
        Body::Directory(_) if !size.is_multiple_of(BLOCK_BYTES) => {
            Tail::Movable { bytes: size % BLOCK_BYTES, with_head: false }
        }
        // Linux 5.15 to 6.1 read a short link from the block in which its inode ends.
        Body::SymbolicLink(_) => Tail::Movable { bytes: size, with_head: true },
        Body::File { tail, .. } if !tail.is_empty() => Tail::Fixed { bytes: tail.len() as u64 },
        Body::SparseFile { size, chunk_bits, .. } => {
            let chunks = size.div_ceil(BLOCK_BYTES << chunk_bits);
            Tail::Map { bytes: chunks * 4, chunk_bits: *chunk_bits }
        }
        _ => Tail::None,
    }
}

/// Finds the place of an inode at or after `cursor`: its offset, its layout, and the bytes behind it. `head` is the size
/// of the inode, `fixed` that of inode and attributes.
fn place(cursor: u64, head: u64, fixed: u64, tail: Tail) -> (u64, DataLayout, u64) {
    let first = cursor.next_multiple_of(COMPACT_BYTES);
    let in_one_block = |start: u64, bytes: u64| start % BLOCK_BYTES + bytes <= BLOCK_BYTES;
    let first_that = |fits: &dyn Fn(u64) -> bool| {
        (first..).step_by(COMPACT_BYTES as usize).find(|&offset| in_one_block(offset, head) && fits(offset))
    };
    let anywhere = || first_that(&|_| true).unwrap_or(first);
    match tail {
        Tail::None => (anywhere(), DataLayout::Plain, 0),
        Tail::Map { bytes, chunk_bits } => (anywhere(), DataLayout::Chunked { chunk_bits }, bytes),
        // It is shorter than a block, so there is a place.
        Tail::Fixed { bytes } => {
            let offset = first_that(&|offset| in_one_block(offset + fixed, bytes));
            (offset.unwrap_or(first), DataLayout::Inline, bytes)
        }
        Tail::Movable { bytes, with_head } => {
            let here = anywhere();
            let inline = if bytes > BLOCK_BYTES || (with_head && fixed + bytes > BLOCK_BYTES) {
                None
            } else {
                first_that(&|offset| {
                    in_one_block(offset + fixed, bytes) && (!with_head || in_one_block(offset, fixed + bytes))
                })
            };
            // Either the rest of this block is left empty, or the rest of the tail's own.
            match inline {
                Some(offset) if offset - here <= BLOCK_BYTES - bytes => (offset, DataLayout::Inline, bytes),
                _ => (here, DataLayout::Plain, 0),
            }
        }
    }
}
