//! Packing a path of the box.
//!
//! Links are packed as links; only the path itself is followed if that was asked for. Sockets are left out, as tar has no
//! such thing, and what is mounted below the path is an empty directory: an archive of `/` is not one of `/proc`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::OwnedFd;

use boxlite_protocol::{Answer, GetArchive};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::tarball::{Member, Writer, kind};
use super::{COPY_BYTES, check_path};
use crate::failure::{failed, failed_io, show};
use crate::jobs::Teller;

/// Longer lists of attribute names, or values, than Linux allows there are not.
const MOST_XATTR_BYTES: usize = 64 * 1024;

pub(crate) fn get(request: &GetArchive, out: OwnedFd, teller: &Teller) -> Result<Answer> {
    let path = &request.path;
    check_path(path)?;
    let flags = if request.follow_symlinks { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let stat = rustix::fs::statat(CWD, path.as_slice(), flags)
        .map_err(|errno| failed(format!("pack `{}`", show(path)), errno))?;
    teller.begun();
    let mut packer = Packer {
        out: Writer { out: BufWriter::with_capacity(COPY_BYTES, File::from(out)) },
        device: stat.st_dev,
        links: BTreeMap::new(),
        buffer: vec![0; COPY_BYTES],
        no_follow: if request.follow_symlinks { OFlags::empty() } else { OFlags::NOFOLLOW },
    };
    let name = match path.split(|byte| *byte == b'/').rfind(|part| !part.is_empty()) {
        None | Some(b"." | b"..") => b".".to_vec(),
        Some(name) => name.to_vec(),
    };
    packer.pack_tree(path, &name, &stat)?;
    packer.out.finish().map_err(gone)?;
    Ok(Answer::Done)
}

/// Only the host reads the archive: a failure to write it means that nobody does any more.
fn gone(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Cancelled, format!("nobody takes the archive: {error}"))
}

struct Packer {
    out: Writer<BufWriter<File>>,
    device: u64,
    /// Files with several names, by device and inode: the name they were packed under.
    links: BTreeMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    /// How the path itself is opened; what is below it is never followed.
    no_follow: OFlags,
}

/// A directory that is being packed.
struct Level {
    directory: OwnedFd,
    entries: Dir,
    name: Vec<u8>,
}

impl Packer {
    fn pack_tree(&mut self, path: &[u8], name: &[u8], stat: &Stat) -> Result<()> {
        let mut levels = Vec::new();
        let top = CString::new(path).map_err(|_| failed("pack", Errno::INVAL))?;
        levels.extend(self.pack(None, &top, name.to_vec(), stat)?);
        self.no_follow = OFlags::NOFOLLOW;
        while let Some(level) = levels.last_mut() {
            let Some(entry) = level.entries.read() else {
                levels.pop();
                continue;
            };
            let entry = entry.map_err(|errno| failed(format!("list `{}`", show(&level.name)), errno))?;
            let file_name = entry.file_name().to_owned();
            if matches!(file_name.to_bytes(), b"." | b"..") {
                continue;
            }
            let name = [&level.name[..], b"/", file_name.to_bytes()].concat();
            let stat = match rustix::fs::statat(&level.directory, &file_name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // It was removed since the directory was listed.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(failed(format!("look up `{}`", show(&name)), errno)),
            };
            let below = self.pack(Some(&level.directory), &file_name, name, &stat)?;
            levels.extend(below);
        }
        Ok(())
    }

    /// Packs one thing; returns the level to go on with if it is a directory.
    fn pack(
        &mut self,
        parent: Option<&OwnedFd>,
        file: &CString,
        name: Vec<u8>,
        stat: &Stat,
    ) -> Result<Option<Level>> {
        let mut member = Member {
            kind: kind::REGULAR,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            seconds: stat.st_mtime,
            nanoseconds: stat.st_mtime_nsec as u32,
            name,
            ..Member::default()
        };
        let shown = show(&member.name);
        let fail = |errno| failed(format!("pack `{shown}`"), errno);
        let open = |flags: OFlags| {
            let flags = flags | self.no_follow | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
            match parent {
                Some(parent) => rustix::fs::openat(parent, file, flags, Mode::empty()),
                None => rustix::fs::open(file, flags, Mode::empty()),
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let directory = open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
                let name = member.name.clone();
                member.kind = kind::DIRECTORY;
                member.name.push(b'/');
                member.xattrs = xattrs(&directory);
                self.out.begin(&member).map_err(gone)?;
                if stat.st_dev != self.device {
                    return Ok(None);
                }
                let entries = Dir::read_from(&directory).map_err(fail)?;
                return Ok(Some(Level { directory, entries, name }));
            }
            FileType::RegularFile => {
                if stat.st_nlink > 1 {
                    let inode = (stat.st_dev, stat.st_ino);
                    if let Some(first) = self.links.get(&inode).cloned() {
                        member.kind = kind::HARD_LINK;
                        member.link = first;
                        self.out.begin(&member).map_err(gone)?;
                        return Ok(None);
                    }
                    self.links.insert(inode, member.name.clone());
                }
                let source = open(OFlags::RDONLY).map_err(fail)?;
                // What was looked up and what is open need not be the same file.
                let opened = rustix::fs::fstat(&source).map_err(fail)?;
                if FileType::from_raw_mode(opened.st_mode) != FileType::RegularFile {
                    return Err(fail(Errno::STALE));
                }
                member.xattrs = xattrs(&source);
                member.size = opened.st_size as u64;
                self.out.begin(&member).map_err(gone)?;
                self.copy(File::from(source), member.size, &member.name)?;
            }
            FileType::Symlink => {
                let target = match parent {
                    Some(parent) => rustix::fs::readlinkat(parent, file, Vec::new()),
                    None => rustix::fs::readlink(file, Vec::new()),
                };
                member.kind = kind::SYMLINK;
                member.link = target.map_err(fail)?.into_bytes();
                self.out.begin(&member).map_err(gone)?;
            }
            file_type @ (FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo) => {
                member.kind = match file_type {
                    FileType::CharacterDevice => kind::CHARACTER_DEVICE,
                    FileType::BlockDevice => kind::BLOCK_DEVICE,
                    _ => kind::FIFO,
                };
                member.major = rustix::fs::major(stat.st_rdev);
                member.minor = rustix::fs::minor(stat.st_rdev);
                self.out.begin(&member).map_err(gone)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Copies as many bytes as the header promised: what a file grew by meanwhile is not part of it.
    fn copy(&mut self, mut source: File, size: u64, name: &[u8]) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match source.read(&mut self.buffer[..room]) {
                Ok(0) => {
                    let message = format!("`{}` became shorter while it was packed", show(name));
                    return Err(Error::new(ErrorCode::Storage, message));
                }
                Ok(count) => {
                    self.out.out.write_all(&self.buffer[..count]).map_err(gone)?;
                    left -= count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed_io(format!("read `{}`", show(name)), &error)),
            }
        }
        self.out.pad(size).map_err(gone)
    }
}

/// Returns the extended attributes that can be read; a filesystem without any has none.
fn xattrs(file: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; MOST_XATTR_BYTES];
    let Ok(length) = rustix::fs::flistxattr(file, &mut names[..]) else { return Vec::new() };
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            let mut value = vec![0; MOST_XATTR_BYTES];
            let length = rustix::fs::fgetxattr(file, name, &mut value[..]).ok()?;
            value.truncate(length);
            Some((name.to_vec(), value))
        })
        .collect()
}
