//! Unpacking a tar stream in the box.
//!
//! Nothing leaves the directory it is unpacked in: neither by `..` nor through links, whether they were there or came with
//! the archive; under `/`, where links to absolute paths are common, those stay within the root. A file that is replaced
//! is removed first, so that other names of it keep their content. Directories that exist are filled, not replaced.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use boxlite_protocol::{Answer, PutArchive};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tarball::{Malformed, Member, Reader, kind};
use super::{COPY_BYTES, check_path, invalid};
use crate::failure::{failed, failed_io, show};
use crate::jobs::Teller;

const PATH_DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(crate) fn put(request: &PutArchive, source: OwnedFd, teller: &Teller) -> Result<Answer> {
    check_path(&request.path)?;
    let base = rustix::fs::open(request.path.as_slice(), PATH_DIRECTORY, Mode::empty())
        .map_err(|errno| failed(format!("unpack in `{}`", show(&request.path)), errno))?;
    teller.begun();
    let mut archive = Reader::new(File::from(source));
    let in_root = request.path.iter().all(|byte| *byte == b'/');
    let mut unpacker = Unpacker {
        base,
        resolve: if in_root { ResolveFlags::IN_ROOT } else { ResolveFlags::BENEATH }
            | ResolveFlags::NO_MAGICLINKS,
        overwrite: request.overwrite,
        owner: request.owner,
        may_own: rustix::process::geteuid().is_root(),
        buffer: vec![0; COPY_BYTES],
        open: None,
        finishing: Vec::new(),
    };
    let mut last = Vec::new();
    while let Some(member) = archive.next().map_err(|error| malformed(&error, &last))? {
        unpacker.unpack(&member, &mut archive)?;
        last = member.name;
    }
    unpacker.finish(&[]);
    // What follows the end marker means nothing, but its sender must get rid of it.
    io::copy(&mut archive.into_inner(), &mut io::sink())
        .map_err(|error| failed_io("receive the archive", &error))?;
    Ok(Answer::Done)
}

fn malformed(error: &Malformed, last: &[u8]) -> Error {
    let place = if last.is_empty() { "at its start".to_owned() } else { format!("after `{}`", show(last)) };
    invalid(format!("the archive is malformed {place}: {error}"))
}

struct Unpacker {
    base: OwnedFd,
    resolve: ResolveFlags,
    overwrite: bool,
    owner: Option<(u32, u32)>,
    may_own: bool,
    buffer: Vec<u8>,
    /// The directory the last entry was in: most follow one of the same.
    open: Option<(Vec<u8>, OwnedFd)>,
    /// Directories that are being filled, the outermost first: mode and time are set when they are left.
    finishing: Vec<Finishing>,
}

struct Finishing {
    path: Vec<u8>,
    directory: OwnedFd,
    mode: Mode,
    times: Timestamps,
}

impl Unpacker {
    fn unpack(&mut self, member: &Member, content: &mut Reader<File>) -> Result<()> {
        let name = &member.name[..];
        let path = clean(name)?;
        self.finish(&path);
        if path.is_empty() {
            // The directory itself, which is the receiver's own.
            return Ok(());
        }
        let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let file = path[cut..].to_vec();
        let parent = self.directory(&path[..cut.saturating_sub(1)], name)?;
        let fail = |errno| entry_failed(name, errno);
        let attributes = Attributes::of(member, self.owner, self.may_own);
        match member.kind {
            kind::DIRECTORY => self.make_directory(parent, path, &file, attributes).map_err(fail)?,
            kind::REGULAR => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = self.replace(&parent, &file, || {
                    rustix::fs::openat(&parent, file.as_slice(), flags, Mode::from(0o600))
                });
                let target = File::from(made.map_err(fail)?);
                self.copy(content, &target, name)?;
                attributes.apply(&target).map_err(fail)?;
                rustix::fs::fchmod(&target, attributes.mode).map_err(fail)?;
                rustix::fs::futimens(&target, &attributes.times).map_err(fail)?;
            }
            kind::SYMLINK => {
                self.replace(&parent, &file, || {
                    rustix::fs::symlinkat(member.link.as_slice(), &parent, file.as_slice())
                })
                .map_err(fail)?;
                attributes.apply_to_link(&parent, &file).map_err(fail)?;
            }
            kind::HARD_LINK => {
                let source = clean(&member.link)?;
                let cut = source.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
                let holder = self.open_below(&source[..cut.saturating_sub(1)]).map_err(fail)?;
                self.replace(&parent, &file, || {
                    rustix::fs::linkat(&holder, &source[cut..], &parent, file.as_slice(), AtFlags::empty())
                })
                .map_err(fail)?;
            }
            kind::CHARACTER_DEVICE | kind::BLOCK_DEVICE | kind::FIFO => {
                let device = rustix::fs::makedev(member.major, member.minor);
                let kind = match member.kind {
                    kind::CHARACTER_DEVICE => FileType::CharacterDevice,
                    kind::BLOCK_DEVICE => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                self.replace(&parent, &file, || {
                    rustix::fs::mknodat(&parent, file.as_slice(), kind, attributes.mode, device)
                })
                .map_err(fail)?;
                attributes.apply_to_link(&parent, &file).map_err(fail)?;
                rustix::fs::chmodat(&parent, file.as_slice(), attributes.mode, AtFlags::empty())
                    .map_err(fail)?;
            }
            other => {
                let kind = char::from(other).escape_default().to_string();
                return Err(invalid(format!("`{}` is of the unknown type `{kind}`", show(name))));
            }
        }
        Ok(())
    }

    /// Makes something, after removing what is in its place if that is allowed.
    fn replace<T>(
        &self,
        parent: &OwnedFd,
        file: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match make() {
            Err(Errno::EXIST) if self.overwrite => {
                rustix::fs::unlinkat(parent, file, AtFlags::empty())?;
                make()
            }
            other => other,
        }
    }

    fn make_directory(
        &mut self,
        parent: OwnedFd,
        path: Vec<u8>,
        file: &[u8],
        attributes: Attributes,
    ) -> Result<(), Errno> {
        let open = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, file, flags, Mode::empty())
        };
        let make = || rustix::fs::mkdirat(&parent, file, Mode::from(0o700)).and_then(|()| open());
        let directory = match make() {
            Err(Errno::EXIST) => match open() {
                Ok(directory) => directory,
                Err(_) => self.replace(&parent, file, make)?,
            },
            other => other?,
        };
        attributes.apply(&directory)?;
        // Until it is left it has to let us in.
        rustix::fs::fchmod(&directory, attributes.mode | Mode::RWXU)?;
        let Attributes { mode, times, .. } = attributes;
        self.finishing.push(Finishing { path, directory, mode, times });
        Ok(())
    }

    /// Finishes the directories that `path` is not in.
    fn finish(&mut self, path: &[u8]) {
        while let Some(last) = self.finishing.last() {
            let inside = path.strip_prefix(&last.path[..]).is_some_and(|rest| rest.starts_with(b"/"));
            if inside {
                return;
            }
            // Best effort: its content is there, and a later entry may have changed it again.
            let _ = rustix::fs::fchmod(&last.directory, last.mode);
            let _ = rustix::fs::futimens(&last.directory, &last.times);
            self.finishing.pop();
        }
    }

    /// Opens the directory at `path` below the base, making what is missing.
    fn directory(&mut self, path: &[u8], name: &[u8]) -> Result<OwnedFd> {
        if let Some((last, directory)) = &self.open
            && last == path
        {
            return directory.try_clone().map_err(|error| failed_io("unpack", &error));
        }
        let opened = match self.open_below(path) {
            Err(Errno::NOENT) => self.make_parents(path).and_then(|()| self.open_below(path)),
            other => other,
        };
        let opened = opened.map_err(|errno| match errno {
            Errno::XDEV => invalid(format!("`{}` leads out of the directory it is unpacked in", show(name))),
            errno => entry_failed(name, errno),
        })?;
        let kept = opened.try_clone().map_err(|error| failed_io("unpack", &error))?;
        self.open = Some((path.to_vec(), kept));
        Ok(opened)
    }

    fn open_below(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(&self.base, path, PATH_DIRECTORY, Mode::empty(), self.resolve)
    }

    fn make_parents(&self, path: &[u8]) -> Result<(), Errno> {
        let ends = (0..path.len()).filter(|at| path[*at] == b'/').chain([path.len()]);
        let mut start = 0;
        for end in ends {
            let parent = self.open_below(&path[..start.max(1) - 1])?;
            match rustix::fs::mkdirat(&parent, &path[start..end], Mode::from(0o755)) {
                Ok(()) => {
                    if let (Some((uid, gid)), true) = (self.owner, self.may_own) {
                        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                        let flags = AtFlags::SYMLINK_NOFOLLOW;
                        rustix::fs::chownat(&parent, &path[start..end], Some(uid), Some(gid), flags)?;
                    }
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            start = end + 1;
        }
        Ok(())
    }

    fn copy(&mut self, content: &mut Reader<File>, mut target: &File, name: &[u8]) -> Result<()> {
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(invalid(format!("the archive is malformed in `{}`: {error}", show(name))));
                }
            };
            target
                .write_all(&self.buffer[..count])
                .map_err(|error| failed_io(format!("write `{}`", show(name)), &error))?;
        }
    }
}

/// Mode, owner, time and extended attributes of an entry.
struct Attributes {
    mode: Mode,
    owner: Option<(Uid, Gid)>,
    times: Timestamps,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    fn of(member: &Member, owner: Option<(u32, u32)>, may_own: bool) -> Attributes {
        let (uid, gid) = owner.unwrap_or((member.uid, member.gid));
        let modified = Timespec { tv_sec: member.seconds, tv_nsec: member.nanoseconds.into() };
        Attributes {
            mode: Mode::from_raw_mode(member.mode),
            owner: may_own.then(|| (Uid::from_raw(uid), Gid::from_raw(gid))),
            times: Timestamps { last_access: modified, last_modification: modified },
            xattrs: member.xattrs.clone(),
        }
    }

    /// Sets owner and extended attributes; the mode comes after, as a change of owner takes bits of it away.
    fn apply(&self, file: impl std::os::fd::AsFd) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        for (name, value) in &self.xattrs {
            // Best effort: many filesystems have none, some names are for root only.
            let _ = rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty());
        }
        Ok(())
    }

    fn apply_to_link(&self, parent: &OwnedFd, file: &[u8]) -> Result<(), Errno> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::chownat(parent, file, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::utimensat(parent, file, &self.times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Returns a name of an archive as a relative path without `.` and empty parts.
fn clean(name: &[u8]) -> Result<Vec<u8>> {
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if part == b".." || part.contains(&0) {
            return Err(invalid(format!("`{}` leads out of the directory it is unpacked in", show(name))));
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    Ok(path)
}

fn entry_failed(name: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::EXIST => Error::new(ErrorCode::AlreadyExists, format!("`{}` exists already", show(name))),
        Errno::ISDIR => Error::new(
            ErrorCode::AlreadyExists,
            format!("`{}` is a directory and is not replaced", show(name)),
        ),
        errno => failed(format!("unpack `{}`", show(name)), errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out() {
        let check = |name: &str, expect: Option<&str>| {
            assert_eq!(clean(name.as_bytes()).ok().as_deref(), expect.map(str::as_bytes), "{name}");
        };
        check("a/b", Some("a/b"));
        check("/a//./b/", Some("a/b"));
        check("./", Some(""));
        check("a/../b", None);
        check("..", None);
        check("...", Some("..."));
    }
}
