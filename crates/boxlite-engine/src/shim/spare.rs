//! A shim without a box: it keeps a machine ready until it is given one.
//!
//! Nobody else knows of it, and its machine runs nothing but the agent, so it keeps no rules but one: it ends with its starter.

use std::path::Path;
use std::sync::Arc;

use boxlite_protocol::FrameDecoder;
use boxlite_types::{DiskLayout, Error, ErrorCode, IsolationInfo, Result};

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

impl Spare {
    /// Makes it the machine of a box with these disks, which dies with `lifeline`.
    pub fn take(mut self, root: &DiskLayout, disk: &Path, lifeline: &Lifeline) -> Result<Machine> {
        lifeline.tie(self.machine.process.pidfd())?;
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
