//! The merged tree of an image, in memory: layers are applied to it one after the other, lowest first.
//!
//! It follows the OCI image-spec (layer.md) and, where that is silent, umoci: entries are applied in the order of the
//! tar; parent directories are found through symbolic links, never leaving the root; what is not a directory on both
//! sides is replaced as a whole; whiteouts spare what their own layer brought. Names and contents are borrowed from the
//! indexes. What is removed stays in the arena, unreachable; inodes are counted when the tree is written.

mod apply;
mod resolve;
mod whiteout;

use std::collections::BTreeMap;

use crate::layer::{ChunkRun, Metadata};

/// Index of an inode in [`Tree::inodes`].
pub(crate) type InodeId = u32;

/// See the module.
pub(crate) struct Tree<'i> {
    pub inodes: Vec<Inode<'i>>,
    /// Number of the layer that is being applied.
    layer: u32,
    /// Directory of the entry before, by its path as spelled: the next one usually lies there too.
    recent: Option<(Vec<&'i [u8]>, InodeId)>,
    /// Steps that resolving symbolic links may still take.
    steps_left: u64,
}

/// Everything about a file but its names.
pub(crate) struct Inode<'i> {
    pub metadata: Metadata<'i>,
    pub body: Body<'i>,
}

/// What an inode is.
pub(crate) enum Body<'i> {
    Directory(Directory<'i>),
    File { layer: u32, size: u64, block: u32, tail: &'i [u8] },
    SparseFile { layer: u32, size: u64, chunk_bits: u8, runs: Vec<ChunkRun> },
    SymbolicLink(&'i [u8]),
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// The children of a directory.
#[derive(Default)]
pub(crate) struct Directory<'i> {
    pub children: BTreeMap<&'i [u8], Child>,
    /// Layer in which a whiteout has removed all that came from below: nothing more can be there to remove.
    purged_in: Option<u32>,
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(crate) struct Child {
    pub inode: InodeId,
    /// Layer that last brought the name, or something below it.
    layer: u32,
}

/// The root directory.
pub(crate) const ROOT: InodeId = 0;

/// What a directory gets that no layer describes: the root, and parents that are implied by a path. umoci likewise
/// makes them `0755`, owned by root.
const IMPLIED_DIRECTORY: Metadata<'static> =
    Metadata { mode: 0o755, uid: 0, gid: 0, mtime: 0, mtime_nanoseconds: 0, xattrs: Vec::new() };

/// Far more than any image takes, few enough to be over in seconds.
const MAX_LINK_STEPS: u64 = 50_000_000;

impl<'i> Tree<'i> {
    /// Makes a tree that has nothing but a root.
    pub(crate) fn new() -> Self {
        let mut tree = Tree { inodes: Vec::new(), layer: 0, recent: None, steps_left: MAX_LINK_STEPS };
        tree.add_inode(IMPLIED_DIRECTORY, Body::Directory(Directory::default()));
        tree
    }

    fn add_inode(&mut self, metadata: Metadata<'i>, body: Body<'i>) -> InodeId {
        // An index has fewer than 2^32 records, and memory for the inodes of so many has run out before.
        let id = self.inodes.len() as InodeId;
        self.inodes.push(Inode { metadata, body });
        id
    }

    fn directory(&self, id: InodeId) -> Option<&Directory<'i>> {
        match &self.inodes[id as usize].body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory<'i>> {
        match &mut self.inodes[id as usize].body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(directory)?.children.get(name).map(|child| child.inode)
    }
}
