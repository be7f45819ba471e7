//! `/dev` as containers have it: a few devices that every program may use, terminals, shared memory. The machine's disks
//! and ports have no names here.

use std::os::fd::OwnedFd;

use boxlite_types::Result;
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountFlags;

use super::{make_directory, mount_one, open_directory, place};
use crate::failure::failed;

/// Character devices: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Mounts `/dev` and what belongs in it, and returns `/dev/pts`.
pub(super) fn mount() -> Result<OwnedFd> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_one("tmpfs", place("/dev")?, "tmpfs", MountFlags::NOSUID, "mode=755,size=65536k")?;
    for (path, major, minor) in DEVICES {
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::from(0o666), device)
            .and_then(|()| rustix::fs::chmod(path, Mode::from(0o666)))
            .map_err(|errno| failed(format!("make `{path}`"), errno))?;
    }
    for (path, target) in LINKS {
        rustix::fs::symlink(target, path).map_err(|errno| failed(format!("make `{path}`"), errno))?;
    }
    for directory in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
        make_directory(directory)?;
    }
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_one("devpts", "/dev/pts", "devpts", terminals, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    mount_one("shm", "/dev/shm", "tmpfs", quiet, "mode=1777,size=65536k")?;
    // A kernel without message queues only lacks those.
    let _ = mount_one("mqueue", "/dev/mqueue", "mqueue", quiet, "");
    open_directory("/dev/pts")
}
