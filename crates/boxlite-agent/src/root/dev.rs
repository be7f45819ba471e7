//! `/dev` as containers have it: a few devices that every program may use, terminals, shared memory. The machine's disks
//! and ports have no names here.

use boxlite_types::Result;
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountFlags;

use super::{QUIET, make_directory, mount_one};
use crate::failure::failed;

/// Where it is made, for the box: the agent's own `/dev` has the disks and the port.
pub(super) const MADE: &str = "/box-dev";

/// Character devices: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the box's `/dev` and what belongs in it.
pub(super) fn make() -> Result<()> {
    make_directory(MADE)?;
    mount_one("tmpfs", MADE, "tmpfs", MountFlags::NOSUID, "mode=755,size=65536k")?;
    for (name, major, minor) in DEVICES {
        let path = format!("{MADE}/{name}");
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::from(0o666), device)
            .and_then(|()| rustix::fs::chmod(&path, Mode::from(0o666)))
            .map_err(|errno| failed(format!("make `{path}`"), errno))?;
    }
    for (name, target) in LINKS {
        let path = format!("{MADE}/{name}");
        rustix::fs::symlink(target, &path).map_err(|errno| failed(format!("make `{path}`"), errno))?;
    }
    let [terminals, memory, queues] = ["pts", "shm", "mqueue"].map(|name| format!("{MADE}/{name}"));
    for directory in [&terminals, &memory, &queues] {
        make_directory(directory)?;
    }
    let no_programs = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_one("devpts", &terminals, "devpts", no_programs, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    mount_one("shm", &memory, "tmpfs", QUIET, "mode=1777,size=65536k")?;
    // A kernel without message queues only lacks those.
    let _ = mount_one("mqueue", &queues, "mqueue", QUIET, "");
    Ok(())
}
