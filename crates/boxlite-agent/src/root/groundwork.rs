//! What every box finds in its root and what depends on no box: `/proc`, `/sys`, `/dev` and the cgroups, made in the
//! initramfs, before the machine is told which box it is. Setting up a box only puts it in place.
//!
//! A template is saved after this. It counts under the emulator, which has translated nothing yet in a restored machine:
//! each block of guest code that runs there for the first time costs 7 µs, whatever it does.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};

use super::{BOX, DISK, IMAGE, QUIET, dev, make_directory, mount_one, open_directory, place};
use crate::failure::failed;

/// Links to the devices of the disks, named by serial number: they do not come up in the order they were given in.
const DISKS: &str = "/disks";

/// The cgroup whose children are the commands.
const CGROUP: &str = "/sys/fs/cgroup/boxlite";

/// Lays the groundwork. `/proc` and `/sys` are mounted.
pub(crate) fn lay() -> Result<()> {
    for directory in [IMAGE, DISK, BOX, DISKS] {
        make_directory(directory)?;
    }
    dev::make()?;
    make_cgroup();
    link_disks();
    Ok(())
}

/// Puts what was made into the working directory, the root of a box. Bound there, not moved: the kernel lists mounts in
/// the order in which they were made, and whoever reads the list expects `/` before what lies in it.
pub(super) fn put_here() -> Result<()> {
    for (made, target) in [("/proc", "proc"), (dev::MADE, "dev"), ("/sys", "sys")] {
        rustix::mount::mount_bind_recursive(made, place(target)?)
            .map_err(|errno| failed(format!("mount `{made}` in the box's root"), errno))?;
    }
    Ok(())
}

/// Finds a virtio disk by its serial number.
///
/// Nothing is cached of it, though a template may have looked at what was attached in its place: the kernel forgets a
/// device's content when its last user closes it, and nobody has used it since it was looked through for partitions.
pub(crate) fn disk(serial: &str) -> Result<PathBuf> {
    let link = || rustix::fs::readlink(format!("{DISKS}/{serial}"), Vec::new());
    let found = link().or_else(|_| {
        link_disks();
        link()
    });
    match found {
        Ok(device) => Ok(PathBuf::from(device.to_string_lossy().into_owned())),
        Err(_) => Err(Error::new(ErrorCode::Engine, format!("no disk with the serial number `{serial}`"))),
    }
}

fn link_disks() {
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let Ok(serial) = std::fs::read_to_string(entry.path().join("serial")) else { continue };
        let device = PathBuf::from("/dev").join(entry.file_name());
        // One without a serial number cannot be asked for, and one that is linked already stays.
        let _ = rustix::fs::symlink(&device, PathBuf::from(DISKS).join(serial.trim_end()));
    }
}

/// Opens the cgroup of the commands; a kernel without them has boxes without a count of lacking memory.
pub(super) fn open_cgroup() -> Option<OwnedFd> {
    open_directory(CGROUP).ok()
}

/// Opens the cgroup that is there for the first command.
pub(crate) fn first_cgroup() -> Option<OwnedFd> {
    open_directory(&format!("{CGROUP}/{}", crate::tree::FIRST)).ok()
}

fn make_cgroup() {
    if mount_one("cgroup2", "/sys/fs/cgroup", "cgroup2", QUIET, "nsdelegate").is_err() {
        return;
    }
    hand_down("/sys/fs/cgroup", &[b"+memory", b"+pids"]);
    let _ = make_directory(CGROUP);
    hand_down(CGROUP, &[b"+memory"]);
    // What makes a cgroup is a good part of what a first command costs.
    let _ = make_directory(&format!("{CGROUP}/{}", crate::tree::FIRST));
}

/// Lets the children of a cgroup have controllers, as far as the kernel has them.
fn hand_down(cgroup: &str, controllers: &[&[u8]]) {
    let path = format!("{cgroup}/cgroup.subtree_control");
    let Ok(control) = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) else { return };
    for controller in controllers {
        let _ = rustix::io::write(&control, controller);
    }
}
