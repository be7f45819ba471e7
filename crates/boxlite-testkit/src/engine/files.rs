//! The files of a fake box: a map from absolute paths to what is there.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use boxlite_protocol::{FileStat, PutArchive, WireError};
use boxlite_types::ErrorCode;
use tar::{Archive, Builder, EntryType, Header};

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

#[derive(Clone, Debug)]
struct Entry {
    node: Node,
    mode: u32,
    owner: (u32, u32),
}

/// All files of a box.
pub(super) struct Files {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Files {
    /// Makes the files of a new box: a few directories.
    pub fn new() -> Self {
        let directory = Entry { node: Node::Directory, mode: 0o755, owner: (0, 0) };
        let entries = ["/", "/etc", "/tmp", "/srv"].map(|path| (PathBuf::from(path), directory.clone()));
        Files { entries: entries.into() }
    }

    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        match &self.entries.get(&clean(Path::new(path)))?.node {
            Node::File(content) => Some(content.clone()),
            _ => None,
        }
    }

    pub fn stat(&self, path: &Path, follow: bool) -> Result<FileStat, WireError> {
        let mut path = clean(path);
        let entry = loop {
            let entry = self.entries.get(&path).ok_or_else(|| missing(&path))?;
            match &entry.node {
                Node::Link(target) if follow => path = clean(&path.parent().unwrap_or(&path).join(target)),
                _ => break entry,
            }
        };
        let (kind, size, target) = match &entry.node {
            Node::Directory => (0o040000, 4096, None),
            Node::File(content) => (0o100000, content.len(), None),
            Node::Link(target) => (0o120000, 0, Some(target.to_string_lossy().into_owned().into_bytes())),
        };
        Ok(FileStat {
            mode: kind | entry.mode,
            size_bytes: size as u64,
            uid: entry.owner.0,
            gid: entry.owner.1,
            modified_ns: 0,
            link_target: target,
        })
    }

    pub fn is_directory(&self, path: &Path) -> bool {
        matches!(self.entries.get(&clean(path)), Some(Entry { node: Node::Directory, .. }))
    }

    pub fn put(&mut self, request: &PutArchive, archive: &[u8]) -> Result<(), WireError> {
        let malformed = |error: std::io::Error| WireError::new(ErrorCode::InvalidArgument, error.to_string());
        let root = clean(Path::new(&*String::from_utf8_lossy(&request.path)));
        for entry in Archive::new(archive).entries().map_err(malformed)? {
            let mut entry = entry.map_err(malformed)?;
            let path = clean(&root.join(entry.path().map_err(malformed)?));
            let header = entry.header().clone();
            let node = match header.entry_type() {
                EntryType::Directory => Node::Directory,
                EntryType::Symlink => {
                    Node::Link(entry.link_name().map_err(malformed)?.unwrap_or_default().into_owned())
                }
                _ => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).map_err(malformed)?;
                    Node::File(content)
                }
            };
            let exists = self.entries.get(&path);
            if !request.overwrite && exists.is_some_and(|found| !matches!(found.node, Node::Directory)) {
                let message = format!("`{}` exists", path.display());
                return Err(WireError::new(ErrorCode::AlreadyExists, message));
            }
            let numbers = || Some((header.uid().ok()? as u32, header.gid().ok()? as u32));
            let owner = request.owner.or_else(numbers).unwrap_or_default();
            let mode = header.mode().unwrap_or(0o644) & 0o7777;
            self.entries.insert(path, Entry { node, mode, owner });
        }
        Ok(())
    }

    /// Packs a path; the first entry is its last component.
    pub fn get(&self, path: &Path) -> Result<Vec<u8>, WireError> {
        let path = clean(path);
        if !self.entries.contains_key(&path) {
            return Err(missing(&path));
        }
        let name = path.file_name().map(PathBuf::from).unwrap_or_else(|| PathBuf::from("."));
        let mut builder = Builder::new(Vec::new());
        for (found, entry) in self.entries.iter().filter(|(found, _)| found.starts_with(&path)) {
            let below = found.strip_prefix(&path).expect("it was filtered by that");
            let packed = if below.as_os_str().is_empty() { name.clone() } else { name.join(below) };
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_mtime(0);
            match &entry.node {
                Node::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_size(0);
                    builder.append_data(&mut header, packed.join(""), std::io::empty())
                }
                Node::File(content) => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, packed, content.as_slice())
                }
                Node::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    builder.append_link(&mut header, packed, target)
                }
            }
            .expect("packing into memory");
        }
        Ok(builder.into_inner().expect("packing into memory"))
    }
}

fn missing(path: &Path) -> WireError {
    WireError::new(ErrorCode::NotFound, format!("`{}` does not exist", path.display()))
}

/// Resolves `.` and `..` by their letters: there are no links to directories here.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}
