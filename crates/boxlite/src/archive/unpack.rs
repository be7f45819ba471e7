//! Writing the host: an archive out of a box, which is taken for hostile.
//!
//! Everything lands below one directory that is held open. Each entry's parent is opened with
//! `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`, so neither `..` nor a symbolic link, in the archive or already on the
//! disk, can lead out; the entry itself is then made by its last name alone and never followed. No device nodes are made,
//! set-user-id and set-group-id bits and extended attributes are dropped, and everything belongs to whoever unpacks.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use boxlite_types::{Context, Error, ErrorCode, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

/// Deepest path taken out of a box.
const DEPTH: usize = 1024;

/// Most bytes of headers before one entry: names and, at some 64 KiB each, extended attributes.
const MOST_HEADER_BYTES: u64 = 4 * 1024 * 1024;

const DIRECTORY_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Unpacks an archive whose entries all lie at or below one first entry, which becomes `name` in `directory`; without a
/// name, what is below it lands in `directory` itself.
///
/// # Errors
/// `AlreadyExists` if a file exists and `overwrite` is not set, or exists as another kind; `Unsupported` for a device;
/// `Engine` for an archive that is none or tries to leave the directory; `Storage`, `NoSpace`.
pub(super) fn unpack(
    archive: impl Read,
    directory: &Path,
    name: Option<&str>,
    overwrite: bool,
) -> Result<()> {
    let opened = rustix::fs::open(directory, DIRECTORY_FLAGS.difference(OFlags::NOFOLLOW), Mode::empty());
    let root = opened.map_err(|error| Error::io("open", directory, error.into()))?;
    let mut unpacker = Unpacker { root, name, overwrite, first: None, directories: Vec::new() };
    let allowance = Allowance::default();
    let mut archive = Archive::new(Allowed { inner: archive, allowance: allowance.clone() });
    let mut entries = archive.entries().map_err(malformed)?;
    loop {
        allowance.set(MOST_HEADER_BYTES);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(malformed)?;
        allowance.set(u64::MAX);
        unpacker.entry(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(malformed)?;
    }
    // A directory without write permission must not keep its own contents out: permissions come last, innermost first.
    for directory in unpacker.directories.iter().rev() {
        unpacker.finish_directory(directory)?;
    }
    Ok(())
}

/// How much may still be read.
type Allowance = Rc<Cell<u64>>;

/// An archive of which no more is read at a time than is allowed: the library that takes it apart keeps the whole of an
/// extension header in memory, however long it says it is.
struct Allowed<R> {
    inner: R,
    allowance: Allowance,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 {
            return Err(io::Error::other(format!("its headers are longer than {MOST_HEADER_BYTES} bytes")));
        }
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let length = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(left - length as u64);
        Ok(length)
    }
}

struct Unpacker<'a> {
    root: OwnedFd,
    name: Option<&'a str>,
    overwrite: bool,
    /// What the first entry is called in the archive, all its components.
    first: Option<Vec<Vec<u8>>>,
    directories: Vec<Directory>,
}

struct Directory {
    path: PathBuf,
    mode: u32,
    modified: u64,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<()> {
        let packed = entry.path_bytes().into_owned();
        let Some(path) = self.place(&packed)? else { return Ok(()) };
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().map_err(malformed)? & 0o777);
        let modified = header.mtime().map_err(malformed)?;
        if path.as_os_str().is_empty() {
            // The directory itself, which exists.
            return if kind == EntryType::Directory { Ok(()) } else { Err(escape(&packed)) };
        }
        let (parent, last) = self.parent(&path)?;
        let failed = |error: io::Error| in_entry("write", &path, error);
        match kind {
            EntryType::Directory => {
                self.directory(parent.as_fd(), last, &path)?;
                self.directories.push(Directory { path, mode, modified });
            }
            EntryType::Regular | EntryType::Continuous => {
                self.make_room(parent.as_fd(), last, &path)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, last, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|error| failed(error.into()))?;
                let mut file = File::from(file);
                io::copy(entry, &mut file).map_err(failed)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
                rustix::fs::futimens(&file, &times(modified)).map_err(|error| failed(error.into()))?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| escape(&packed))?;
                self.make_room(parent.as_fd(), last, &path)?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), &parent, last)
                    .map_err(|error| failed(error.into()))?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(|| escape(&packed))?.into_owned();
                let target = self.place(&target)?.ok_or_else(|| escape(&target))?;
                if target.as_os_str().is_empty() {
                    return Err(escape(&packed));
                }
                let (target_parent, target_last) = self.parent(&target)?;
                self.make_room(parent.as_fd(), last, &path)?;
                rustix::fs::linkat(&target_parent, target_last, &parent, last, AtFlags::empty())
                    .map_err(|error| failed(error.into()))?;
            }
            EntryType::Fifo => {
                self.make_room(parent.as_fd(), last, &path)?;
                rustix::fs::mknodat(&parent, last, FileType::Fifo, Mode::from_raw_mode(mode), 0)
                    .map_err(|error| failed(error.into()))?;
            }
            EntryType::Char | EntryType::Block => {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!("`{}` is a device, which is not made on the host", path.display()),
                )
                .with(Context::Entry, path.display().to_string()));
            }
            // A few bytes of it stand for any number of zeros. Our agent packs no such thing.
            EntryType::GNUSparse => {
                return Err(malformed(io::Error::other(format!("`{}` is a sparse file", path.display()))));
            }
            // Global headers and the like say nothing about a file.
            _ => {}
        }
        Ok(())
    }

    /// Returns where an entry goes, relative to the root: the first entry's name replaced by the wanted one.
    fn place(&mut self, packed: &[u8]) -> Result<Option<PathBuf>> {
        let mut components = Vec::new();
        for component in Path::new(OsStr::from_bytes(packed)).components() {
            match component {
                Component::Normal(part) => components.push(part.as_bytes().to_vec()),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    return Err(escape(packed));
                }
            }
        }
        if components.len() > DEPTH {
            return Err(escape(packed));
        }
        let first = self.first.get_or_insert_with(|| components.clone());
        let Some(below) = components.strip_prefix(first.as_slice()) else { return Err(escape(packed)) };
        let name = self.name.map(OsStr::new).into_iter();
        Ok(Some(name.chain(below.iter().map(|part| OsStr::from_bytes(part))).collect()))
    }

    /// Opens the directory an entry lies in, without ever following a symbolic link, and returns the entry's last name.
    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let last = path.file_name().ok_or_else(|| escape(path.as_os_str().as_bytes()))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open(parent)?, last))
    }

    fn open(&self, path: &Path) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.root, path, DIRECTORY_FLAGS, Mode::empty(), how) {
                Ok(directory) => return Ok(directory),
                // Something was renamed meanwhile (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                // A symbolic link at the end is "no directory" here, one before it "too many levels".
                Err(Errno::LOOP | Errno::XDEV | Errno::NOTDIR) => {
                    return Err(escape(path.as_os_str().as_bytes()));
                }
                Err(error) => return Err(in_entry("open", path, error.into())),
            }
        }
    }

    fn directory(&self, parent: BorrowedFd<'_>, last: &OsStr, path: &Path) -> Result<()> {
        match rustix::fs::mkdirat(parent, last, Mode::RWXU) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match kind_at(parent, last, path)? {
                Some(FileType::Directory) => Ok(()),
                _ => Err(exists(path, "as something else than a directory")),
            },
            Err(error) => Err(in_entry("create", path, error.into())),
        }
    }

    /// Removes what is in the way of something that is no directory.
    fn make_room(&self, parent: BorrowedFd<'_>, last: &OsStr, path: &Path) -> Result<()> {
        match kind_at(parent, last, path)? {
            None => Ok(()),
            Some(FileType::Directory) => Err(exists(path, "as a directory")),
            Some(_) if !self.overwrite => Err(exists(path, "already")),
            Some(_) => rustix::fs::unlinkat(parent, last, AtFlags::empty())
                .map_err(|error| in_entry("replace", path, error.into())),
        }
    }

    fn finish_directory(&self, directory: &Directory) -> Result<()> {
        let failed = |error: Errno| in_entry("write", &directory.path, error.into());
        let opened = self.open(&directory.path)?;
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(directory.mode)).map_err(failed)?;
        rustix::fs::futimens(&opened, &times(directory.modified)).map_err(failed)
    }
}

fn kind_at(parent: BorrowedFd<'_>, last: &OsStr, path: &Path) -> Result<Option<FileType>> {
    match rustix::fs::statat(parent, last, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(in_entry("look up", path, error.into())),
    }
}

fn times(modified: u64) -> Timestamps {
    let at = Timespec { tv_sec: modified.try_into().unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: at, last_modification: at }
}

fn in_entry(action: &str, path: &Path, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        // The archive itself broke off while its bytes were copied.
        Ok(error) => error,
        Err(error) => Error::io(action, path, error),
    }
}

fn exists(path: &Path, how: &str) -> Error {
    Error::new(ErrorCode::AlreadyExists, format!("`{}` exists {how}", path.display()))
        .with(Context::Path, path.display().to_string())
}

fn escape(path: &[u8]) -> Error {
    let path = String::from_utf8_lossy(path);
    Error::new(ErrorCode::Engine, format!("the box sent an archive that leaves its directory, at `{path}`"))
        .with(Context::Entry, path)
        .hint("whatever runs in the box may have been tampered with")
}

fn malformed(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorCode::Engine, format!("the box sent a malformed archive: {error}")),
    }
}

#[cfg(test)]
mod tests;
