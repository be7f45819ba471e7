//! Where the VMM lives: a process that can do nothing but run its guest.
//!
//! The VMM is assumed to be broken into by its guest sooner or later. What is then left to it: its own disk, the disk's
//! and agent's channels, read access to its program, libraries, kernel and template. Layers, each of which would have to fail:
//! - namespaces of its own (user, mount, pid, network, ipc, uts), the mount tree holding nothing but the files it was
//!   given (`plan`, `child`);
//! - no capability, no way to gain one, landlock, limits on resources;
//! - QEMU's own seccomp filter (`-sandbox`);
//! - its death when the shim dies.
//!
//! A host may refuse namespaces to ordinary users. The rest still holds then, the machine still is the boundary, and
//! [`Jail::confinement`] does not list what is not there.

mod child;
mod exchange;
mod measures;
mod plan;
mod spawn;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use boxlite_types::{Error, ErrorCode, Result};

use self::plan::Plan;
use self::spawn::{Failure, Spawned};
use super::lifeline::Lifeline;
use crate::vm::{Spawn, VmmCommand, VmmProcess};

/// Starts VMMs in jails.
pub(super) struct Jail<'a> {
    lifeline: &'a Lifeline,
    exchanges_template: AtomicBool,
}

impl<'a> Jail<'a> {
    /// Makes a jail whose inmates die with `lifeline`.
    pub fn new(lifeline: &'a Lifeline) -> Self {
        Jail { lifeline, exchanges_template: AtomicBool::new(false) }
    }

    /// Returns what confines the VMM with this id, which was started last, and whose machine runs.
    pub fn confinement(&self, pid: u32) -> Vec<String> {
        measures::measures_in_force(pid, self.exchanges_template.load(Ordering::Relaxed))
    }
}

impl Spawn for Jail<'_> {
    fn spawn(&self, command: VmmCommand) -> Result<VmmProcess> {
        let program = command.program.display().to_string();
        let failed = |failure: &Failure| {
            let code = if failure.host_refuses { ErrorCode::Unsupported } else { ErrorCode::Engine };
            Error::new(code, format!("cannot start `{program}` in its jail: {failure}"))
        };
        let (read_end, write_end) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|error| {
                Error::new(ErrorCode::ResourceExhausted, format!("cannot make a pipe: {error}"))
            })?;
        let plan = Plan::new(&command, &write_end)?;
        let spawned = match spawn::spawn(&plan, spawn::Namespaces::Own) {
            Err(failure) if failure.host_refuses => spawn::spawn(&plan, spawn::Namespaces::Hosts),
            result => result,
        };
        let Spawned { pid, listener } = spawned.map_err(|failure| failed(&failure))?;
        let template = plan.template;
        self.exchanges_template.store(template.is_some(), Ordering::Relaxed);
        drop((write_end, command));
        let process = VmmProcess::new(pid, read_end)?;
        if let (Some(listener), Some(template)) = (listener, template) {
            exchange::answer_all(listener, template).map_err(|error| {
                Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"))
            })?;
        }
        self.lifeline.tie(process.pidfd())?;
        Ok(process)
    }
}
