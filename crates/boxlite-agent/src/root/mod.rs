//! The root filesystem of a machine's box: image disk, writable disk, the overlay of both, and what Linux programs expect
//! to find mounted.
//!
//! The agent begins in the initramfs and ends up with the box's root as its own. It keeps descriptors of what must work
//! whatever the box does to its mounts: the writable disk, `/proc`, the terminals, the cgroups. Images may hold anything:
//! a root with nothing in it, links where directories belong. None of that keeps a box from starting.

mod dev;
mod etc;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use boxlite_protocol::{Root, Setup};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::failure::failed;

/// Where things are mounted in the initramfs; hidden by the box's root afterwards.
const IMAGE: &str = "/image";
const DISK: &str = "/disk";
const BOX: &str = "/box";

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// `BLKFLSBUF` of `<linux/fs.h>`: forgets what is cached of a block device.
const FORGET_CACHED: libc::c_ulong = 0x1261;

/// What the agent holds of a mounted root.
pub(crate) struct BoxRoot {
    /// The writable disk.
    pub(crate) disk: OwnedFd,
    /// `/proc`.
    pub(crate) proc: OwnedFd,
    /// `/dev/pts`.
    pub(crate) terminals: OwnedFd,
    /// The cgroup whose children are the commands.
    pub(crate) cgroup: Option<OwnedFd>,
}

/// Puts the root together and moves into it.
pub(crate) fn mount(wanted: &Root, setup: &Setup) -> Result<BoxRoot> {
    let image = find_disk(&wanted.image_serial)?;
    let disk = find_disk(&wanted.disk_serial)?;
    for directory in [IMAGE, DISK, BOX] {
        make_directory(directory)?;
    }
    mount_one(&image, IMAGE, "erofs", MountFlags::RDONLY | MountFlags::NOATIME, "")?;
    mount_one(&disk, DISK, "ext4", MountFlags::NOATIME, "")?;
    let (upper, work) = (format!("{DISK}/upper"), format!("{DISK}/work"));
    make_upper(&upper)?;
    make_directory(&work)?;
    let options = format!("lowerdir={IMAGE},upperdir={upper},workdir={work}");
    mount_one("overlay", BOX, "overlay", MountFlags::NOATIME, &options)?;
    let disk = open_directory(DISK)?;

    let moved = rustix::process::chdir(BOX)
        .and_then(|()| rustix::mount::mount_move(".", "/"))
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    moved.map_err(|errno| failed("move into the box's root", errno))?;

    mount_one(
        "proc",
        place("/proc")?,
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )?;
    mount_one(
        "sysfs",
        place("/sys")?,
        "sysfs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )?;
    let terminals = dev::mount()?;
    let cgroup = mount_cgroup();
    etc::write(setup);
    Ok(BoxRoot { disk, proc: open_directory("/proc")?, terminals, cgroup })
}

impl BoxRoot {
    /// Writes everything back and leaves the disk clean. Nothing of the box may run any more.
    pub(crate) fn close(&self) {
        rustix::fs::sync();
        // The overlay first: while it is writable, the disk below it is in use. It is what `/` is.
        let _ = rustix::mount::mount_remount("/", MountFlags::RDONLY, "");
        // The disk's mount point is hidden below `/`: only the descriptor leads to it.
        if rustix::process::fchdir(&self.disk).is_ok() {
            let _ = rustix::mount::mount_remount(".", MountFlags::RDONLY, "");
        }
        let _ = rustix::process::chdir("/");
        rustix::fs::sync();
    }
}

/// Finds a virtio disk by its serial number: they do not come up in the order they were given in.
fn find_disk(serial: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let found = entries.into_iter().find(|entry| {
        std::fs::read_to_string(entry.path().join("serial")).is_ok_and(|text| text.trim_end() == serial)
    });
    let Some(entry) = found else {
        return Err(Error::new(ErrorCode::Engine, format!("no disk with the serial number `{serial}`")));
    };
    let path = PathBuf::from("/dev").join(entry.file_name());
    // A template may have looked at whatever was attached in the place of this disk.
    let device = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed(format!("open the disk `{serial}`"), errno))?;
    // SAFETY: the request takes no argument.
    unsafe { libc::ioctl(device.as_raw_fd(), FORGET_CACHED as _, 0) };
    Ok(path)
}

fn mount_one(
    source: impl rustix::path::Arg,
    target: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<()> {
    let options = std::ffi::CString::new(options).map_err(|_| failed("mount", Errno::INVAL))?;
    rustix::mount::mount(source, target, kind, flags, options.as_c_str()).map_err(|errno| {
        let error = failed(format!("mount {kind} at `{target}`"), errno);
        Error::new(ErrorCode::Engine, error.message())
    })
}

fn make_directory(path: &str) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::from(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed(format!("make `{path}`"), errno)),
    }
}

fn open_directory(path: &str) -> Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|errno| failed(format!("open `{path}`"), errno))
}

/// The root of an overlay shows the attributes of its upper directory: a new one takes the image's.
fn make_upper(path: &str) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::from(0o755)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(failed(format!("make `{path}`"), errno)),
    }
    let copy = || -> Result<(), Errno> {
        let image = rustix::fs::stat(IMAGE)?;
        let owner = (rustix::fs::Uid::from_raw(image.st_uid), rustix::fs::Gid::from_raw(image.st_gid));
        rustix::fs::chownat(CWD, path, Some(owner.0), Some(owner.1), AtFlags::empty())?;
        rustix::fs::chmod(path, Mode::from_raw_mode(image.st_mode))
    };
    copy().map_err(|errno| failed(format!("prepare `{path}`"), errno))
}

/// Makes sure there is a real directory to mount on. Whatever else the image has there, a link to somewhere for example,
/// gives way: mounting through it would put the mount in a place of the image's choice.
fn place(path: &'static str) -> Result<&'static str> {
    let is_directory = match rustix::fs::lstat(path) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        Err(_) => false,
    };
    if !is_directory {
        let _ = rustix::fs::unlink(path);
        make_directory(path)?;
    }
    Ok(path)
}

/// Gives commands cgroups of their own; a kernel without them has boxes without a count of lacking memory.
fn mount_cgroup() -> Option<OwnedFd> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_one("cgroup2", "/sys/fs/cgroup", "cgroup2", flags, "nsdelegate").ok()?;
    let hierarchy = open_directory("/sys/fs/cgroup").ok()?;
    let control = rustix::fs::openat(
        &hierarchy,
        "cgroup.subtree_control",
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    if let Ok(control) = control {
        let _ = rustix::io::write(control.as_fd(), b"+memory");
        let _ = rustix::io::write(control.as_fd(), b"+pids");
    }
    rustix::fs::mkdirat(&hierarchy, "boxlite", Mode::from(0o755)).ok()?;
    rustix::fs::openat(&hierarchy, "boxlite", DIRECTORY, Mode::empty()).ok()
}
