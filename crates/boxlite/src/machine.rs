//! What boxes need of the host: guest kernels, and whether all else is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boxlite_engine::vm::durable::Cancel;
use boxlite_engine::vm::{host_report, kernel};
use boxlite_types::{Result, StartStage};

use crate::bundled::vm_options;
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
        run(&self.gate, "kernels.list", |work| async move {
            let core: Arc<Core> = Arc::clone(&work);
            let list = work.blocking(move || {
                let kernels = kernel::list(&core.home)?;
                let wanted = core.engine_options.kernel.as_deref();
                let current = wanted.or(kernels.first().map(|newest| newest.release.as_str()));
                let current = current.map(str::to_owned);
                let info = |kernel| describe(kernel, current.as_deref());
                Ok(kernels.into_iter().map(info).collect())
            });
            work.cancellable(list).await
        })
        .await
    }

    /// Installs a kernel into the home; the host's own is not touched.
    ///
    /// # Errors
    /// `Unsupported` if the host has no package client that could help, or the kernel lacks what a machine needs;
    /// `Network`; `InvalidArgument` if a file is no kernel; `Storage`, `NoSpace`.
    pub async fn install(&self, source: KernelSource) -> Result<KernelInfo> {
        run(&self.gate, "kernels.install", |work| async move {
            let source = match source {
                KernelSource::Distribution => kernel::KernelSource::Distribution,
                KernelSource::Package(path) => kernel::KernelSource::File { path, modules: None },
                KernelSource::Files { image, modules } => {
                    kernel::KernelSource::File { path: image, modules: Some(modules) }
                }
            };
            let (core, cancel): (Arc<Core>, _) = (Arc::clone(&work), Cancel::default());
            let given_up = cancel.clone();
            let install = work.blocking(move || kernel::install(&core.home, &source, &given_up));
            tokio::pin!(install);
            let installed = tokio::select! {
                installed = &mut install => installed,
                () = work.token.cancelled() => {
                    cancel.cancel();
                    // It takes back what it had begun, and says how it ended.
                    install.await
                }
            }?;
            let wanted = work.engine_options.kernel.clone();
            let current = wanted.unwrap_or_else(|| installed.release.clone());
            Ok(describe(installed, Some(&current)))
        })
        .await
    }
}

fn describe(kernel: kernel::Kernel, current: Option<&str>) -> KernelInfo {
    let path = kernel.vmlinux();
    KernelInfo {
        path: path.parent().unwrap_or(&path).to_owned(),
        size_bytes: kernel.size_bytes,
        current: current == Some(kernel.release.as_str()),
        release: kernel.release,
    }
}

/// One thing boxes need, or profit from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DoctorCheck {
    /// What was looked at, in a word or two.
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

/// Looks at the host.
pub(crate) async fn doctor(work: &Work) -> Result<DoctorReport> {
    let core: Arc<Core> = Arc::clone(work);
    let looked = work.blocking(move || Ok(host_report(&vm_options(&core.home, &core.engine_options)?)));
    let checks = work.cancellable(looked).await?.into_iter().map(|check| DoctorCheck {
        name: check.name.to_owned(),
        ok: check.ok,
        required: check.required,
        detail: check.detail,
        hint: check.hint,
    });
    Ok(DoctorReport { checks: checks.collect() })
}
