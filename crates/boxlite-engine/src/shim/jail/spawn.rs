//! Making the child, and seeing what became of it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::child::{self, Point};
use super::exchange;
use super::plan::{ABOVE_TARGETS, Plan};

/// Which namespaces a child gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespaces {
    /// Its own of every kind that matters.
    Own,
    /// Those of the host, which does not let us make any.
    Hosts,
}

/// Why there is no child.
#[derive(Debug)]
pub(super) struct Failure {
    point: Point,
    errno: Errno,
    /// The host does not let this user make namespaces, or fill them.
    pub host_refuses: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.point.describe(), io::Error::from(self.errno))
    }
}

/// A child that has become the VMM.
pub(super) struct Spawned {
    pub pid: u32,
    /// Where its requests for the template arrive, if the plan has one.
    pub listener: Option<OwnedFd>,
}

const OWN: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// Starts the VMM of a plan and returns its process id once it has become the VMM. It dies when the calling thread ends.
pub(super) fn spawn(plan: &Plan, namespaces: Namespaces) -> Result<Spawned, Failure> {
    let failure = |point: Point, errno: Errno| {
        let refusal =
            matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::NOSPC | Errno::INVAL);
        Failure {
            point,
            errno,
            host_refuses: namespaces == Namespaces::Own && point.makes_namespaces() && refusal,
        }
    };
    // The child writes why it failed; closing without a word is its `exec`.
    let (failed, report) = pipe().map_err(|errno| failure(Point::Clone, errno))?;
    // Held open by nobody but the shim: its end tells the child that the shim died before the kernel was asked to watch.
    let (alive, shim) = pipe().map_err(|errno| failure(Point::Clone, errno))?;
    let (handover, child_handover) = sockets().map_err(|errno| failure(Point::Clone, errno))?;
    let arguments = plan.argument_pointers();
    let flags = if namespaces == Namespaces::Own { OWN } else { 0 };
    // SAFETY: without CLONE_VM the child has memory of its own, as after fork, and without a stack argument it goes on
    // on its copy of this one. It runs nothing but `child::become_vmm`, which only makes system calls.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags | libc::SIGCHLD), 0, 0, 0, 0) };
    if pid < 0 {
        let errno = Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL);
        return Err(failure(Point::Clone, errno));
    }
    if pid == 0 {
        let (alive, report, handover) = (alive.as_fd(), report.as_fd(), child_handover.as_fd());
        child::become_vmm(plan, namespaces, &arguments, alive, shim.as_raw_fd(), handover, report);
    }
    drop((report, alive, child_handover));
    let mut bytes = [0; 8];
    let read = loop {
        match rustix::io::read(&failed, &mut bytes) {
            Err(Errno::INTR) => {}
            result => break result,
        }
    };
    drop(shim);
    if read == Ok(0) {
        return Ok(Spawned { pid: pid as u32, listener: exchange::take_listener(handover.as_fd()) });
    }
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    let (point, errno) = bytes.split_at(4);
    let number = |part: &[u8]| part.try_into().map_or(0, i32::from_ne_bytes);
    Err(failure(Point::from_number(number(point)), Errno::from_raw_os_error(number(errno).max(1))))
}

fn sockets() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, childs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok((ours, rustix::io::fcntl_dupfd_cloexec(&childs, ABOVE_TARGETS)?))
}

/// Makes a pipe whose ends stay out of the way of the VMM's descriptors.
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let high = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, ABOVE_TARGETS);
    Ok((high(&read_end)?, high(&write_end)?))
}
