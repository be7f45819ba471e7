//! Reading ahead what a first command is likely to need, for a template that is saved with the root of an image: a box then
//! finds it in memory, and the emulator does not have to translate what reads a disk.
//!
//! Nothing of the image is run here: it could leave something behind that all boxes of it share.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::command::DEFAULT_PATH;

/// The shell, and what almost every program is linked with; images have some of them.
const FILES: [&str; 6] = [
    "/bin/sh",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
    "/etc/passwd",
    "/etc/group",
];

/// Most that is read of one file: the template gets larger by it.
const MOST_BYTES: usize = 4 << 20;

/// Most programs that are looked up.
const MOST_PROGRAMS: usize = 2048;

/// Reads what there is of the files, and looks up every program as it would be looked for when it is run: by the time one is
/// found, the kernel also knows where it is not.
pub(crate) fn read_ahead() {
    for path in FILES {
        // One that is not there, or is something else, is not needed.
        let _ = read(path);
    }
    let directories = || DEFAULT_PATH.split(|byte| *byte == b':').map(OsStr::from_bytes).map(Path::new);
    let programs: BTreeSet<OsString> = directories().flat_map(names).take(MOST_PROGRAMS).collect();
    for program in programs {
        directories().find(|directory| rustix::fs::stat(directory.join(&program)).is_ok());
    }
}

/// Returns the names in a directory; none if it cannot be read.
fn names(directory: &Path) -> impl Iterator<Item = OsString> + use<> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name())
}

fn read(path: &str) -> Result<(), Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut done = 0;
    while done < MOST_BYTES {
        match rustix::io::read(&file, &mut buffer)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(())
}
