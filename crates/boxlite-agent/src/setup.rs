//! Making a machine, fresh or restored from a template, into one particular box.
//!
//! Every clone of a template wakes up with the same random generator, clock and names; all of that is replaced here before
//! anything of the box runs.

use std::os::fd::AsRawFd;

use boxlite_protocol::Setup;
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec};

use crate::failure::failed;
use crate::process::last_errno;
use crate::root::{self, BoxRoot};

/// What is to know of the box afterwards.
pub(crate) struct Ready {
    /// Release of the running kernel.
    pub(crate) kernel: String,
    pub(crate) root: Option<BoxRoot>,
}

/// Makes the machine the box, whose root may be `mounted` already. Its names in `/etc` are left to
/// [`root::write_names`].
pub(crate) fn of_machine(setup: &Setup, mounted: Option<BoxRoot>) -> Result<Ready> {
    check_names(setup)?;
    add_entropy(&setup.entropy)?;
    let time = Timespec {
        tv_sec: (setup.realtime_ns / 1_000_000_000) as i64,
        tv_nsec: (setup.realtime_ns % 1_000_000_000) as i64,
    };
    rustix::time::clock_settime(ClockId::Realtime, time).map_err(|errno| failed("set the clock", errno))?;
    rustix::system::sethostname(setup.hostname.as_bytes())
        .map_err(|errno| failed("set the host name", errno))?;
    let root = match (mounted, &setup.root) {
        (Some(mounted), _) => Some(mounted),
        (None, wanted) => wanted.as_ref().map(root::mount).transpose()?,
    };
    Ok(Ready { kernel: kernel(), root })
}

/// Checks the request and leaves the host as it is.
pub(crate) fn of_host(setup: &Setup) -> Result<Ready> {
    check_names(setup)?;
    if setup.root.is_some() {
        return Err(no_root_here());
    }
    Ok(Ready { kernel: kernel(), root: None })
}

/// What an agent says that owns no machine.
pub(crate) fn no_root_here() -> Error {
    Error::new(ErrorCode::Unsupported, "only an agent in a machine can mount a root")
}

fn check_names(setup: &Setup) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if setup.hostname.is_empty() || setup.hostname.len() > 64 || !setup.hostname.bytes().all(plain) {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("`{}` cannot be a host name", setup.hostname.escape_debug()),
        ));
    }
    if setup.machine_id.len() != 32 || !setup.machine_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::new(ErrorCode::InvalidArgument, "a machine id has 32 hex digits"));
    }
    Ok(())
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// `RNDADDENTROPY` and `RNDRESEEDCRNG` of `random(4)`: `_IOW('R', 3, int[2])` and `_IO('R', 7)`.
const ADD_ENTROPY: libc::c_ulong = 0x4008_5203;
const RESEED: libc::c_ulong = 0x5207;

/// Credits the host's bytes to the kernel's generator and makes it start over from them.
fn add_entropy(bytes: &[u8]) -> Result<()> {
    let device = rustix::fs::open("/dev/urandom", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed("open `/dev/urandom`", errno))?;
    for part in bytes.chunks(256) {
        let mut pool = Vec::with_capacity(8 + part.len());
        pool.extend_from_slice(&(part.len() as i32 * 8).to_ne_bytes());
        pool.extend_from_slice(&(part.len() as i32).to_ne_bytes());
        pool.extend_from_slice(part);
        // SAFETY: the request reads a `rand_pool_info`: two ints, the second of which counts the bytes after them.
        check(unsafe { libc::ioctl(device.as_raw_fd(), ADD_ENTROPY as _, pool.as_ptr()) })
            .map_err(|errno| failed("add entropy", errno))?;
    }
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RESEED as _) })
        .map_err(|errno| failed("reseed the random generator", errno))
}

/// Turns the loopback interface on.
pub(crate) fn loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: `ifreq` is plain data for which zero is valid; both requests read or write one.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &mut request))
    }
}

fn check(result: libc::c_int) -> Result<(), Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}
