//! The program inside every box: it makes the machine the box, runs commands in it and moves files.
//!
//! It speaks `boxlite-protocol` on one byte channel, and is started in one of two ways:
//! - as process 1 of a virtual machine, out of an initramfs ([`machine`]); it then owns the machine, mounts the box's
//!   root and powers off at the end;
//! - as `boxlite-agent --fd N [--cgroup DIRECTORY]` on a socket it inherits, as an ordinary process that mounts
//!   nothing and changes nothing about its host.
//!
//! One thread does all the work that cannot block, on epoll ([`agent`]); file work is done on threads of its own
//! ([`jobs`]). Nothing in here trusts the box: a command may be root in it, and may want to stop, starve or fool us.

#![cfg_attr(not(test), no_main)]

mod agent;
mod command;
mod failure;
mod files;
mod jobs;
mod keeper;
mod machine;
mod pipes;
mod port;
mod process;
mod rehearsal;
mod root;
mod setup;
mod spare;
mod stream;
mod tree;
mod users;

use std::ffi::OsString;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use boxlite_types::{Error, ErrorCode, Result};

use crate::agent::Agent;
use crate::port::Port;
use crate::root::groundwork;
use crate::spare::Spare;
use crate::tree::Forest;

/// Where the agent runs.
pub(crate) enum Place {
    /// It is process 1 of a virtual machine.
    Machine,
    /// It is an ordinary process, and what is around it is not its own.
    Host,
}

/// Entered straight from libc: Rust's own start-up code aborts a process whose standard descriptors are closed and cannot
/// be opened on `/dev/null`, which is how process 1 of an initramfs without a console begins.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
pub extern "C" fn main(_argc: libc::c_int, _argv: *const *const libc::c_char) -> libc::c_int {
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("boxlite-agent: {error}");
            1
        }
        Err(_) => 101,
    }
}

fn run() -> Result<()> {
    open_standard_descriptors();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if std::process::id() == 1 && arguments.first().is_none_or(|first| first != "--fd") {
        if let Err(error) = machine::boot().and_then(|port| serve(port, Place::Machine, None)) {
            eprintln!("boxlite-agent: {error}");
        }
        machine::power_off()
    }
    let (fd, cgroup) = parse(&arguments)?;
    // SAFETY: whoever starts the agent with `--fd` hands that descriptor over; nothing else in this process knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_getfd(&fd)
        .and_then(|flags| rustix::io::fcntl_setfd(&fd, flags | rustix::io::FdFlags::CLOEXEC))
        .map_err(|error| invalid(format!("the descriptor of `--fd` cannot be used: {error}")))?;
    serve(Port::new(fd, false)?, Place::Host, cgroup)
}

/// Puts something at descriptors 0 to 2 where nothing is: a pipe that landed there would be taken for a standard stream.
fn open_standard_descriptors() {
    // SAFETY: opens a device; a descriptor above 2 is closed again at once.
    unsafe {
        while let fd @ 0.. = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) {
            if fd > 2 {
                libc::close(fd);
                break;
            }
        }
    }
}

pub(crate) fn serve(port: Port, place: Place, cgroup: Option<OsString>) -> Result<()> {
    process::prepare_self(&place)?;
    let spare = match place {
        // Without one the first command is forked as every other.
        Place::Machine => groundwork::first_cgroup().and_then(|cgroup| Spare::make(cgroup.as_fd()).ok()),
        Place::Host => None,
    };
    let forest = match cgroup {
        Some(directory) => Forest::in_cgroup(directory.as_ref())?,
        None => Forest::of_keepers(),
    };
    Agent::new(port, place, forest, spare)?.run()
}

fn parse(arguments: &[OsString]) -> Result<(RawFd, Option<OsString>)> {
    let (mut fd, mut cgroup) = (None, None);
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        match (name.to_str(), value) {
            (Some("--fd"), Some(value)) => fd = value.to_str().and_then(|text| text.parse().ok()),
            (Some("--cgroup"), Some(value)) => cgroup = Some(value.clone()),
            _ => return Err(invalid(format!("unknown argument `{}`", name.display()))),
        }
    }
    let fd = fd.filter(|fd| *fd >= 0);
    Ok((fd.ok_or_else(|| invalid("usage: boxlite-agent --fd N [--cgroup DIRECTORY]"))?, cgroup))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}
