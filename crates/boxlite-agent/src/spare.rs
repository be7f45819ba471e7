//! A child of the agent that is made before a template is saved, and becomes the first command.
//!
//! Forking is a good part of what a first command costs in a machine just restored under the emulator: some thousand blocks
//! of the kernel's code, each translated at 7 µs. A spare has that behind it. It sits in the cgroup of the first command, leads a
//! session of its own, has the pipes of a command without a terminal, and waits to be told which one it is. A first command
//! that wants something else lets it go: it ends when nobody can tell it anything any more.
//!
//! It holds nothing that is secret, being as old as the template, and runs nothing but this file until then.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::process::{self, StepFailure};

/// Longest order given: a pipe takes that much without anybody reading it.
const MOST_ORDER_BYTES: usize = 32 * 1024;

/// A child that waits.
pub(crate) struct Spare {
    pub(crate) pid: u32,
    /// Our ends of its standard streams, not blocking.
    pub(crate) streams: [OwnedFd; 3],
    /// Where it reports what kept it from running the program.
    pub(crate) failure: OwnedFd,
    order: std::fs::File,
}

/// What it is told.
#[derive(Serialize, Deserialize)]
struct Order<C> {
    command: C,
    stdin: bool,
}

impl Spare {
    /// Makes one in a cgroup. This process must have a single thread.
    pub(crate) fn make(cgroup: BorrowedFd<'_>) -> Result<Spare, Errno> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let [(stdin, own_stdin), (own_stdout, stdout), (own_stderr, stderr)] = [pipe()?, pipe()?, pipe()?];
        let ((own_failure, failure), (order, own_order)) = (pipe()?, pipe()?);
        let pid = process::fork_into(cgroup, failure.as_fd(), || {
            let mut kept = [&stdin, &stdout, &stderr, &failure, &order].map(|fd| fd.as_raw_fd());
            process::close_all_but(&mut kept);
            become_ordered([stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()], order.as_fd())
        })?;
        let streams = [own_stdin, own_stdout, own_stderr];
        for stream in &streams {
            rustix::fs::fcntl_setfl(stream, rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(Spare { pid, streams, failure: own_failure, order: own_order.into() })
    }

    /// Tells it which command it is; whether its standard input is to be the pipe, or nothing. Returns whether it was told.
    pub(crate) fn order(&mut self, command: &Command, stdin: bool) -> bool {
        let Ok(bytes) = postcard::to_stdvec(&Order { command, stdin }) else { return false };
        // Of the length first: it reads no further.
        let whole = [&(bytes.len() as u32).to_ne_bytes(), &*bytes].concat();
        whole.len() <= MOST_ORDER_BYTES && self.order.write_all(&whole).is_ok()
    }
}

fn become_ordered(stdio: [RawFd; 3], order: BorrowedFd<'_>) -> Result<Infallible, StepFailure> {
    // SAFETY: this is a child fresh from its fork, and `stdio` are its own.
    unsafe { process::take_place(stdio, false, true) }?;
    let Some(Order { command, stdin }) = receive(order) else { process::give_up() };
    // SAFETY: as above; the command's pointers lead to what it holds itself.
    unsafe {
        // The box's root was moved on top of the initramfs, which is where this process still is.
        process::enter_what_is_mounted_here()?;
        if !stdin {
            process::without_input()?;
        }
        process::run(&command)
    }
}

/// Waits for the order; `None` if there is none to come.
fn receive(order: BorrowedFd<'_>) -> Option<Order<Command>> {
    let mut order = std::fs::File::from(order.try_clone_to_owned().ok()?);
    let mut length = [0; 4];
    order.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_ne_bytes(length) as usize];
    order.read_exact(&mut bytes).ok()?;
    postcard::from_bytes(&bytes).ok()
}
