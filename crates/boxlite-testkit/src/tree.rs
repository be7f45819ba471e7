//! A directory as a value: path, kind, size and content of everything below it.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! use boxlite_testkit::tree::Tree;
//! let before = Tree::of(directory.path());
//! std::fs::write(directory.path().join("new"), "x").unwrap();
//! let after = Tree::of(directory.path()).without(|path| path.starts_with("boxlite.db"));
//! assert_eq!(before.difference(&after), ["+ new (file, 1 bytes)"]);
//! ```

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use boxlite_types::Digest;

use crate::images::sha256;

/// Everything below one directory, by path relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Node>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(u64, Digest),
    Link(String),
    Other(&'static str),
}

impl Tree {
    /// Reads the tree; a directory that does not exist is an empty one, a file that vanishes meanwhile is not there.
    pub fn of(root: &Path) -> Self {
        let mut tree = Tree::default();
        tree.walk(root, "");
        tree
    }

    fn walk(&mut self, directory: &Path, prefix: &str) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let Ok(kind) = entry.file_type() else { continue };
            let node = if kind.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"));
                Node::Directory
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap_or_default();
                Node::Link(target.display().to_string())
            } else if kind.is_file() {
                let Ok(bytes) = std::fs::read(entry.path()) else { continue };
                Node::File(bytes.len() as u64, sha256(&bytes))
            } else {
                Node::Other(if kind.is_socket() { "socket" } else { "special" })
            };
            self.0.insert(path, node);
        }
    }

    /// Leaves out what `unwanted` says of its path.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|path, _| !unwanted(path));
        self
    }

    /// Returns the paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns what `later` has more (`+`), less (`-`) or different (`~`), one line each.
    pub fn difference(&self, later: &Tree) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, node) in &later.0 {
            match self.0.get(path) {
                None => lines.push(format!("+ {path} ({})", node.describe())),
                Some(before) if before != node => {
                    lines.push(format!("~ {path} ({} -> {})", before.describe(), node.describe()));
                }
                Some(_) => {}
            }
        }
        let gone = self.0.iter().filter(|(path, _)| !later.0.contains_key(*path));
        lines.extend(gone.map(|(path, node)| format!("- {path} ({})", node.describe())));
        lines
    }
}

impl Node {
    fn describe(&self) -> String {
        match self {
            Node::Directory => "directory".into(),
            Node::File(size, _) => format!("file, {size} bytes"),
            Node::Link(target) => format!("link to {target}"),
            Node::Other(kind) => (*kind).into(),
        }
    }
}
