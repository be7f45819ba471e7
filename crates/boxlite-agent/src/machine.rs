//! Being process 1: from the initramfs to an open port, and at the end, off.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

use crate::failure::{failed, failed_io};
use crate::port::Port;
use crate::root::{QUIET, groundwork};
use crate::setup;

/// Names of the kernel modules to load, one a line, in their order. They lie in [`MODULES`].
const MODULE_LIST: &str = "/modules.list";
const MODULES: &str = "/modules";

/// Name of our virtio-serial port.
const PORT_NAME: &str = "boxlite.agent";
const PORTS: &str = "/sys/class/virtio-ports";

/// Ports are announced by the device some time after its driver is there.
const PORT_DEADLINE: Duration = Duration::from_secs(30);

/// Brings the initramfs up, opens the port, and makes ready what no box makes a difference to.
pub(crate) fn boot() -> Result<Port> {
    // The first two become the box's.
    for (source, target, kind, flags) in [
        ("proc", "/proc", "proc", QUIET),
        ("sysfs", "/sys", "sysfs", QUIET),
        ("devtmpfs", "/dev", "devtmpfs", MountFlags::NOSUID),
    ] {
        let _ = rustix::fs::mkdir(target, Mode::from(0o755));
        match rustix::mount::mount(source, target, kind, flags, None) {
            // The kernel may have mounted it already.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => return Err(failed(format!("mount `{target}`"), errno)),
        }
    }
    crate::open_standard_descriptors();
    load_modules()?;
    let port = open_port()?;
    // A box without a loopback interface is still a box.
    let _ = setup::loopback_up();
    groundwork::lay()?;
    Port::new(port, true)
}

fn load_modules() -> Result<()> {
    let list = match std::fs::read_to_string(MODULE_LIST) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed_io(format!("read `{MODULE_LIST}`"), &error)),
    };
    for name in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let path = Path::new(MODULES).join(name);
        let module = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(format!("open `{}`", path.display()), errno))?;
        match rustix::system::finit_module(&module, c"", 0) {
            // It is built into the kernel, or was loaded already.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(format!("load the kernel module `{name}`"), errno)),
        }
        // The initramfs is memory, and a template keeps all of it.
        let _ = rustix::fs::unlink(&path);
    }
    Ok(())
}

fn open_port() -> Result<OwnedFd> {
    let deadline = Instant::now() + PORT_DEADLINE;
    loop {
        if let Some(path) = find_port() {
            match rustix::fs::open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
                Ok(port) => return Ok(port),
                // Its node follows a moment after its entry in sysfs.
                Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => {}
                Err(errno) => return Err(failed(format!("open `{}`", path.display()), errno)),
            }
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                ErrorCode::Engine,
                format!("no virtio port named `{PORT_NAME}` appeared"),
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn find_port() -> Option<PathBuf> {
    let entries = std::fs::read_dir(PORTS).ok()?;
    entries.flatten().find_map(|entry| {
        let name = std::fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim_end() == PORT_NAME).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

/// Turns the machine off; a machine that cannot be turned off is reset, which ends it as well.
pub(crate) fn power_off() -> ! {
    rustix::fs::sync();
    let _ = rustix::system::reboot(RebootCommand::PowerOff);
    let _ = rustix::system::reboot(RebootCommand::Restart);
    loop {
        std::thread::park();
    }
}
