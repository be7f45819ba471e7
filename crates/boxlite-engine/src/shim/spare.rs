//! A shim without a box: it keeps a machine ready until it is given one.
//!
//! Nobody else knows of it, and its machine runs nothing but the agent, so it keeps no rules but one: it ends with its starter.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use boxlite_protocol::FrameDecoder;
use boxlite_types::{DiskLayout, Error, ErrorCode, IsolationInfo, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::jail::Jail;
use super::lifeline::Lifeline;
use super::machine::Machine;
use super::nbd;
use crate::vm;
use crate::vm::machine::DISK_BYTES;
use crate::vm::spare::SpareOrder;

/// A machine that waits.
pub(super) struct Spare {
    machine: vm::Machine,
    shown: Arc<nbd::Shown>,
    isolation: IsolationInfo,
}

/// Gets one ready, in a jail like that of a box.
pub(super) fn prepare(order: &SpareOrder) -> Result<Spare> {
    let lifeline = Lifeline::watch().map_err(|error| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"))
    })?;
    let shown = nbd::Shown::open(&order.root, DISK_BYTES)?;
    let jail = Jail::new(&lifeline);
    let machine = vm::spare::prepare(order, &jail, &|socket| nbd::serve(&shown, socket))?;
    let isolation = super::machine::isolation(&order.spec, &jail, &machine);
    lifeline.end()?;
    Ok(Spare { machine, shown, isolation })
}

/// The process that has started this one. It is watched besides standard input: a child that it has forked holds that open.
pub(super) struct Starter(Option<OwnedFd>);

impl Starter {
    /// Finds it; to be called at once.
    pub fn find() -> Self {
        let parent = rustix::process::getppid();
        let watched = parent.and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
        // If it is still our parent after the descriptor was made, then that is of it.
        Starter(watched.filter(|_| rustix::process::getppid() == parent))
    }

    /// Waits until it says something; false if it is gone.
    pub fn speaks(&self) -> bool {
        let stdin = io::stdin();
        loop {
            let mut polled = vec![PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
            polled.extend(self.0.iter().map(|starter| PollFd::new(starter, PollFlags::IN)));
            match poll(&mut polled, None) {
                Ok(_) => return polled.iter().skip(1).all(|starter| starter.revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Spare {
    /// Makes it the machine of a box with these disks, which dies with `lifeline`.
    pub fn take(mut self, root: &DiskLayout, disk: &Path, lifeline: &Lifeline) -> Result<Machine> {
        lifeline.tie(self.machine.process.pidfd())?;
        // Opened anew, also if it is the one it was warmed up with: files of an image may have been mended since.
        self.shown.show(root)?;
        vm::spare::exchange_disk(&mut self.machine, disk)?;
        Ok(Machine {
            process: self.machine.process,
            agent: self.machine.agent,
            decoder: FrameDecoder::default(),
            isolation: self.isolation,
            _control: Some(self.machine.qmp),
        })
    }
}
