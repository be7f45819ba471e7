//! Work on machines that is done apart from any box, in a process of its own.
//!
//! A template is made, or an accelerator tried, inside a `boxlite-shim`: it jails the VMM as it does for a box, and takes it
//! along when whoever wanted it is gone. What comes of a task lies in the home, so that it serves all who wait for it.

use std::path::PathBuf;

use boxlite_types::{DiskLayout, Home, Result};
use serde::{Deserialize, Serialize};

use super::boot::ServeImage;
use super::machine::{DISK_BYTES, MachineSpec};
use super::process::Spawn;
use super::{accelerator, mounted, template};

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Root of the home it is done for.
    pub home: PathBuf,
    /// The machine.
    pub spec: MachineSpec,
    /// Version of the emulator.
    pub qemu_version: String,
    /// What.
    pub kind: TaskKind,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// Run a guest on hardware virtualisation; see [`accelerator::probe`].
    Probe,
    /// Make the template of the machine; see [`template::make`].
    Template {
        /// Where it belongs; see [`template::directory`].
        directory: PathBuf,
    },
    /// Make a template with a root mounted; see [`mounted::make`].
    Mounted(mounted::Order),
}

impl Task {
    /// Returns the disk that is to be shown as the image's.
    pub fn root(&self) -> DiskLayout {
        match &self.kind {
            TaskKind::Mounted(order) => order.root.clone(),
            TaskKind::Probe | TaskKind::Template { .. } => {
                DiskLayout { size_bytes: DISK_BYTES, extents: Vec::new() }
            }
        }
    }

    /// Does it, starting VMMs with `spawn` and showing them [`Task::root`] with `serve_image`.
    ///
    /// # Errors
    /// As [`accelerator::probe`], [`template::make`] and [`mounted::make`].
    pub fn run(&self, spawn: &dyn Spawn, serve_image: ServeImage<'_>) -> Result<()> {
        let home = Home::new(&self.home);
        match &self.kind {
            TaskKind::Probe => {
                let timeout = accelerator::PROBE_TIMEOUT;
                accelerator::probe(&home, &self.spec, &self.qemu_version, timeout, spawn, serve_image)
            }
            TaskKind::Template { directory } => {
                template::make(directory, &self.spec, &self.qemu_version, spawn, serve_image)
            }
            TaskKind::Mounted(order) => {
                mounted::make(&home, order, &self.spec, &self.qemu_version, spawn, serve_image)
            }
        }
    }
}
