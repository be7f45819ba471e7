//! A directory tree as a value: everything that `stat`, `readlink` and `getxattr` tell, and the hash of every file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// See the module. Paths are relative to the root, which is the empty path.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub nodes: BTreeMap<OsString, Node>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Type and permissions.
    pub mode: u32,
    pub owner: (u32, u32),
    /// 0 for what has no content of its own.
    pub size: u64,
    pub links: u64,
    pub device: u64,
    /// `None` if whoever made the tree left it to the clock.
    pub mtime: Option<(i64, i64)>,
    /// Hash of a file, target of a link.
    pub content: Vec<u8>,
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The first name of the same inode, if that is another one.
    pub same_as: Option<OsString>,
}

impl Snapshot {
    /// Reads the tree.
    pub fn of(root: &Path) -> Self {
        let mut snapshot = Snapshot::default();
        let mut first_names = BTreeMap::new();
        snapshot.visit(root, OsStr::new(""), &mut first_names);
        snapshot
    }

    fn visit(&mut self, path: &Path, name: &OsStr, first_names: &mut BTreeMap<u64, OsString>) {
        let stat =
            std::fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let kind = stat.file_type();
        let content = if kind.is_file() {
            Sha256::digest(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
                .to_vec()
        } else if kind.is_symlink() {
            std::fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let first = first_names.entry(stat.ino()).or_insert_with(|| name.to_owned());
        let node = Node {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            size: if kind.is_file() || kind.is_symlink() { stat.size() } else { 0 },
            links: stat.nlink(),
            device: if kind.is_dir() || kind.is_file() { 0 } else { stat.rdev() },
            mtime: (!is_fresh(&stat)).then_some((stat.mtime(), stat.mtime_nsec())),
            content,
            xattrs: xattrs(path),
            same_as: Some(first.clone()).filter(|first| first != name),
        };
        self.nodes.insert(name.to_owned(), node);
        if kind.is_dir() {
            let mut children: Vec<_> =
                std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            children.sort();
            for child in children {
                let separator = if name.is_empty() { "" } else { "/" };
                let name = [name.as_bytes(), separator.as_bytes(), child.as_bytes()].concat();
                self.visit(&path.join(&child), OsStr::from_bytes(&name), first_names);
            }
        }
    }

    /// Returns what the two differ in, as lines: what this one has with `-`, the other with `+`.
    ///
    /// A time that one of them left to the clock is not compared: those are directories that no layer describes.
    pub fn differences(&self, other: &Snapshot) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.nodes.keys().chain(other.nodes.keys()).collect();
        let mut lines = Vec::new();
        for name in names {
            let (mut ours, mut theirs) = (self.nodes.get(name).cloned(), other.nodes.get(name).cloned());
            if let (Some(ours), Some(theirs)) = (&mut ours, &mut theirs)
                && (ours.mtime.is_none() || theirs.mtime.is_none())
            {
                (ours.mtime, theirs.mtime) = (None, None);
            }
            if ours != theirs {
                lines.extend(ours.map(|node| format!("- {}: {node:x?}", name.display())));
                lines.extend(theirs.map(|node| format!("+ {}: {node:x?}", name.display())));
            }
        }
        lines
    }
}

/// Returns whether the time of modification is that of this test run.
fn is_fresh(stat: &std::fs::Metadata) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (now.as_secs() as i64 - stat.mtime()).abs() < 3600
}

fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let name = OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(path, name, &mut value[..])
                .unwrap_or_else(|error| panic!("{} {}: {error}", path.display(), name.display()));
            value.truncate(length);
            (name.to_owned(), value)
        })
        .collect()
}
