//! What boxes need of the host: the engine, its kernels, and whether all else is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boxlite_engine::Engine;
use boxlite_types::{Error, ErrorCode, Home, Result, StartStage};

use crate::EngineOptions;
use crate::core::Core;
use crate::gate::Gate;
use crate::operation::{Work, run};

/// Hears of a preparation: `None` when a stage begins, its duration when it is over.
pub type PrepareProgress = Arc<dyn Fn(StartStage, Option<Duration>) + Send + Sync>;

/// One guest kernel in the home.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KernelInfo {
    /// Release, as `uname -r` prints it inside.
    pub release: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes it takes.
    pub size_bytes: u64,
    /// Whether boxes run on it when they start.
    pub current: bool,
}

/// Where a kernel comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KernelSource {
    /// The distribution's own package, fetched by its package client and unpacked without installing it.
    #[default]
    Distribution,
    /// A package file (`.deb`).
    Package(PathBuf),
    /// A kernel image and the directory of its modules (`lib/modules/<release>`).
    Files {
        /// `bzImage` or `vmlinux`.
        image: PathBuf,
        /// Directory of the modules.
        modules: PathBuf,
    },
}

/// The guest kernels of a home.
#[derive(Clone)]
pub struct Kernels {
    gate: Arc<Gate<Core>>,
}

impl Kernels {
    pub(crate) fn new(gate: Arc<Gate<Core>>) -> Self {
        Kernels { gate }
    }

    /// Lists what is installed, the one installed last first.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn list(&self) -> Result<Vec<KernelInfo>> {
        run(&self.gate, "kernels.list", |_work| async move { Err(not_yet()) }).await
    }

    /// Installs a kernel into the home; the host's own is not touched.
    ///
    /// # Errors
    /// `Unsupported` if the host has no package client that could help, or the kernel lacks what a machine needs;
    /// `Network`; `InvalidArgument` if a file is no kernel; `Storage`, `NoSpace`.
    pub async fn install(&self, _source: KernelSource) -> Result<KernelInfo> {
        run(&self.gate, "kernels.install", |_work| async move { Err(not_yet()) }).await
    }
}

fn not_yet() -> Error {
    Error::new(ErrorCode::Unsupported, "being connected")
}

/// One thing boxes need, or profit from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DoctorCheck {
    /// What was looked at, as `qemu`, `kvm`, `kernel`, `disk`.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether boxes cannot run without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// What to do if it is not as it should be.
    pub hint: Option<String>,
}

/// Whether boxes can run on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DoctorReport {
    /// Everything that was looked at.
    pub checks: Vec<DoctorCheck>,
}

impl DoctorReport {
    /// Returns whether everything required is there.
    pub fn ready(&self) -> bool {
        self.checks.iter().all(|check| check.ok || !check.required)
    }
}

/// Makes the engine of a home; nothing is looked for or unpacked before it is needed.
pub(crate) fn engine(_home: &Home, _options: &EngineOptions) -> Result<Arc<dyn Engine>> {
    Err(not_yet())
}

/// Looks at the host.
pub(crate) async fn doctor(_work: &Work) -> Result<DoctorReport> {
    Ok(DoctorReport::default())
}
