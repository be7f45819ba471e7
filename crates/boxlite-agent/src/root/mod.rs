//! The root filesystem of a machine's box: image disk, writable disk, the overlay of both, and what Linux programs expect
//! to find mounted.
//!
//! What does not depend on the box is made before it is known ([`groundwork`]); the rest here, when it is.
//!
//! The agent begins in the initramfs and ends up with the box's root as its own. It keeps descriptors of what must work
//! whatever the box does to its mounts: the writable disk, `/proc`, the terminals, the cgroups. Images may hold anything:
//! a root with nothing in it, links where directories belong. None of that keeps a box from starting.

mod dev;
mod etc;
pub(crate) mod groundwork;
mod warm;

use std::os::fd::OwnedFd;

use boxlite_protocol::Root;
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::failure::failed;

pub(crate) use etc::{write as write_names, write_placeholders};
pub(crate) use warm::read_ahead;

/// Where things are mounted in the initramfs; hidden by the box's root afterwards.
const IMAGE: &str = "/image";
const DISK: &str = "/disk";
const BOX: &str = "/box";

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How everything is mounted that holds neither programs nor devices.
pub(crate) const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

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
pub(crate) fn mount(wanted: &Root) -> Result<BoxRoot> {
    let image = groundwork::disk(&wanted.image_serial)?;
    let disk = groundwork::disk(&wanted.disk_serial)?;
    mount_one(&image, IMAGE, "erofs", MountFlags::RDONLY | MountFlags::NOATIME, "")?;
    mount_one(&disk, DISK, "ext4", MountFlags::NOATIME, "")?;
    let (upper, work) = (format!("{DISK}/upper"), format!("{DISK}/work"));
    make_upper(&upper)?;
    make_directory(&work)?;
    let options = format!("lowerdir={IMAGE},upperdir={upper},workdir={work}");
    mount_one("overlay", BOX, "overlay", MountFlags::NOATIME, &options)?;
    let disk = open_directory(DISK)?;

    let cgroup = groundwork::open_cgroup();
    rustix::process::chdir(BOX).map_err(|errno| failed("enter the box's root", errno))?;
    groundwork::put_here()?;
    let moved = rustix::mount::mount_move(".", "/")
        .and_then(|()| rustix::process::chroot("."))
        .and_then(|()| rustix::process::chdir("/"));
    moved.map_err(|errno| failed("move into the box's root", errno))?;
    Ok(BoxRoot { disk, proc: open_directory("/proc")?, terminals: open_directory("/dev/pts")?, cgroup })
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
