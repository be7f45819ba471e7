//! What applying layers means, as simply as it can be said: a map from paths to inodes, walked as text.
//!
//! It is slow and shares nothing with the library but the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use boxlite_testkit::images::Entry;
use sha2::{Digest, Sha256};

use super::snapshot::{Node, Snapshot};

/// One entry of a layer, over a small alphabet.
#[derive(Clone, Debug)]
pub enum Operation {
    File { path: String, content: Vec<u8>, mode: u32 },
    Directory { path: String, mode: u32, owner: u32 },
    SymbolicLink { path: String, target: String },
    HardLink { path: String, target: String },
    Fifo { path: String },
    Whiteout { path: String },
    Opaque { path: String },
}

impl Operation {
    /// Returns the tar entry.
    pub fn entry(&self) -> Entry {
        match self {
            Operation::File { path, content, mode } => Entry::file(path, content).mode(*mode).modified(10),
            Operation::Directory { path, mode, owner } => {
                Entry::directory(path).mode(*mode).owner((*owner).into(), 0).modified(20)
            }
            Operation::SymbolicLink { path, target } => Entry::symlink(path, target).modified(30),
            Operation::HardLink { path, target } => Entry::hard_link(path, target),
            Operation::Fifo { path } => Entry::fifo(path).modified(40),
            Operation::Whiteout { path } => Entry::whiteout(path),
            Operation::Opaque { path } => Entry::opaque(path),
        }
    }
}

#[derive(Clone, Debug)]
struct Inode {
    mode: u32,
    owner: u32,
    mtime: i64,
    content: Vec<u8>,
}

impl Inode {
    fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// A tree, and what the layer being applied has touched of it.
#[derive(Clone)]
pub struct Model {
    names: BTreeMap<PathBuf, usize>,
    inodes: Vec<Inode>,
    touched: BTreeSet<PathBuf>,
}

/// An entry that cannot be applied.
#[derive(Debug)]
pub struct Impossible;

const IMPLIED: Inode = Inode { mode: 0o040_755, owner: 0, mtime: 0, content: Vec::new() };

impl Model {
    pub fn new() -> Self {
        Model {
            names: BTreeMap::from([(PathBuf::new(), 0)]),
            inodes: vec![IMPLIED],
            touched: BTreeSet::new(),
        }
    }

    /// Begins the next layer.
    pub fn next_layer(&mut self) {
        self.touched.clear();
    }

    pub fn apply(&mut self, operation: &Operation) -> Result<(), Impossible> {
        let inode =
            |mode, owner, mtime, content: &[u8]| Inode { mode, owner, mtime, content: content.to_vec() };
        match operation {
            Operation::File { path, content, mode } => {
                self.put(path, inode(0o100_000 | mode, 0, 10, content))
            }
            Operation::Directory { path, mode, owner } => {
                self.put(path, inode(0o040_000 | mode, *owner, 20, b""))
            }
            Operation::SymbolicLink { path, target } => {
                self.put(path, inode(0o120_777, 0, 30, target.as_bytes()))
            }
            Operation::Fifo { path } => self.put(path, inode(0o010_644, 0, 40, b"")),
            Operation::HardLink { path, target } => {
                let path = self.make_way(path)?;
                self.remove(&path);
                let (parent, name) =
                    (Path::new(target).parent().unwrap(), Path::new(target).file_name().unwrap());
                let target = self.resolve(parent)?.join(name);
                let inode = *self.names.get(&target).ok_or(Impossible)?;
                if self.inodes[inode].is_directory() {
                    return Err(Impossible);
                }
                self.touch(&path);
                self.names.insert(path, inode);
                Ok(())
            }
            Operation::Whiteout { path } => {
                let (parent, name) =
                    (Path::new(path).parent().unwrap(), Path::new(path).file_name().unwrap());
                let path = self.resolve(parent)?.join(name);
                self.names.retain(|other, _| !other.starts_with(&path) || self.touched.contains(other));
                Ok(())
            }
            Operation::Opaque { path } => {
                let path = self.resolve(Path::new(path))?;
                self.names.retain(|other, _| {
                    !other.starts_with(&path) || *other == path || self.touched.contains(other)
                });
                Ok(())
            }
        }
    }

    fn put(&mut self, path: &str, inode: Inode) -> Result<(), Impossible> {
        let path = self.make_way(path)?;
        match self.names.get(&path) {
            Some(&old) if inode.is_directory() && self.inodes[old].is_directory() => self.inodes[old] = inode,
            _ => {
                self.remove(&path);
                self.names.insert(path.clone(), self.inodes.len());
                self.inodes.push(inode);
            }
        }
        self.touch(&path);
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        self.names.retain(|other, _| !other.starts_with(path));
    }

    fn touch(&mut self, path: &Path) {
        self.touched.extend(path.ancestors().map(Path::to_path_buf));
    }

    /// Finds where a path leads and makes the directories above it.
    fn make_way(&mut self, path: &str) -> Result<PathBuf, Impossible> {
        let path = Path::new(path);
        let parent = self.resolve(path.parent().unwrap())?;
        let above: Vec<PathBuf> = parent.ancestors().map(Path::to_path_buf).collect();
        for directory in above.iter().rev() {
            match self.names.get(directory) {
                Some(&inode) if self.inodes[inode].is_directory() => {}
                Some(_) => return Err(Impossible),
                None => {
                    self.names.insert(directory.clone(), self.inodes.len());
                    self.inodes.push(IMPLIED);
                }
            }
        }
        Ok(parent.join(path.file_name().unwrap()))
    }

    /// Expands symbolic links, inside the root.
    fn resolve(&self, path: &Path) -> Result<PathBuf, Impossible> {
        let (mut done, mut ahead, mut links) = (PathBuf::new(), path.to_path_buf(), 0);
        loop {
            let current = std::mem::take(&mut ahead);
            let mut components = current.components();
            let Some(component) = components.next() else { return Ok(done) };
            ahead = components.as_path().to_path_buf();
            match component {
                Component::RootDir => done = PathBuf::new(),
                Component::ParentDir => drop(done.pop()),
                Component::Normal(name) => {
                    let next = done.join(name);
                    let inode = self.names.get(&next).map(|&inode| &self.inodes[inode]);
                    match inode.filter(|inode| inode.mode & 0o170_000 == 0o120_000) {
                        Some(link) => {
                            links += 1;
                            if links > 255 {
                                return Err(Impossible);
                            }
                            let target = String::from_utf8(link.content.clone()).unwrap();
                            ahead = Path::new(&target).join(ahead);
                        }
                        None => done = next,
                    }
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    /// Returns the tree as a snapshot of it would be.
    pub fn snapshot(&self) -> Snapshot {
        let mut first_names: BTreeMap<usize, OsString> = BTreeMap::new();
        let mut snapshot = Snapshot::default();
        // A snapshot walks directories in turn; comparing components is that order, and a path's own order.
        for (path, &id) in &self.names {
            let inode = &self.inodes[id];
            let kind = inode.mode & 0o170_000;
            let name = path.as_os_str().to_owned();
            let links = if inode.is_directory() {
                let is_child = |other: &Path| other.parent() == Some(path) && other != path;
                2 + self
                    .names
                    .iter()
                    .filter(|(other, id)| is_child(other) && self.inodes[**id].is_directory())
                    .count()
            } else {
                self.names.values().filter(|other| **other == id).count()
            };
            let first = first_names.entry(id).or_insert_with(|| name.clone());
            let node = Node {
                mode: inode.mode,
                owner: (inode.owner, 0),
                size: inode.content.len() as u64,
                links: links as u64,
                device: 0,
                mtime: Some((inode.mtime, 0)),
                content: if kind == 0o100_000 {
                    Sha256::digest(&inode.content).to_vec()
                } else {
                    inode.content.clone()
                },
                xattrs: BTreeMap::new(),
                same_as: Some(first.clone()).filter(|first| *first != name),
            };
            snapshot.nodes.insert(name, node);
        }
        snapshot
    }
}
