//! The engine of virtual machines, as the library sees it.
//!
//! What a start needs from the host is found out or made once and kept in the home: kernel, accelerator, template. When it
//! is there, looking it up takes a millisecond; everything slow happens either in a shim, which dies with this process,
//! or on a blocking thread that notices when nobody waits for it any more.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use boxlite_types::{Digest, Error, ErrorCode, Home, Resources, Result, StartStage};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::accelerator::{self, Verdict};
use super::durable::Cancel;
use super::facts::HostFacts;
use super::kernel::{self, Kernel};
use super::qemu::{self, Qemu};
use super::reserve::Reserve;
use super::spare::SpareOrder;
use super::task::{Task, TaskKind};
use super::{Accelerator, MachineSpec, disk, mounted, template, tsc};
use crate::shim::{self, Launcher, MachineKind, RunJob};
use crate::{Engine, ExitRecord, ProcessIdentity, Session, StageSink, StartRequest};

/// What the engine is to use.
#[derive(Clone, Debug)]
pub struct VmEngineOptions {
    /// The home.
    pub home: Home,
    /// The agent, a static program.
    pub agent: PathBuf,
    /// The shim.
    pub shim: PathBuf,
    /// The emulator; the first on the path if not named.
    pub qemu: Option<PathBuf>,
    /// Release of the guest kernel; the one installed last if not named, and the distribution's if none is installed.
    pub kernel: Option<String>,
    /// The accelerator; hardware virtualisation where guests run on it, if not named.
    pub accelerator: Option<Accelerator>,
    /// Whether a machine is kept ready for the next start, once a box has been started.
    pub spare_machine: bool,
}

/// Boxes as virtual machines.
pub struct VmEngine {
    options: Arc<VmEngineOptions>,
    launcher: Arc<Launcher>,
    reserve: Arc<Reserve>,
    /// Held while something is made that all starts share, so that fifty of them make it once, with one process.
    making: Mutex<()>,
}

/// Most steps from an empty home to a machine. There are three; another process may take one back now and then.
const MOST_STEPS: u32 = 8;

/// What is there already, and what is missing next.
enum Found {
    Machine(MachineSpec),
    NoKernel,
    Unprobed(Task),
    NoTemplate(Task),
}

impl VmEngine {
    /// Makes an engine; nothing is looked at yet.
    pub fn new(options: VmEngineOptions) -> Self {
        let launcher = Arc::new(Launcher::new(&options.shim));
        let reserve = Arc::new(Reserve::new(Arc::clone(&launcher)));
        VmEngine { options: Arc::new(options), launcher, reserve, making: Mutex::new(()) }
    }

    /// Returns the machine for these resources, out of a template if one can be had.
    async fn machine(&self, resources: &Resources, stages: &StageSink) -> Result<MachineSpec> {
        check_resources(resources)?;
        if let Found::Machine(spec) = self.look(resources).await? {
            return Ok(spec);
        }
        let _making = self.making.lock().await;
        for _ in 0..MOST_STEPS {
            match self.look(resources).await? {
                Found::Machine(spec) => return Ok(spec),
                Found::NoKernel => {
                    let options = Arc::clone(&self.options);
                    let install = blocking(move |cancel| {
                        kernel::ensure(&options.home, options.kernel.as_deref(), cancel).map(drop)
                    });
                    stage(stages, StartStage::Kernel, install).await?;
                }
                Found::Unprobed(task) => {
                    stage(stages, StartStage::Accelerator, self.launcher.task(task)).await?
                }
                Found::NoTemplate(task) => {
                    let spec = task.spec.clone();
                    if let Err(error) = stage(stages, StartStage::Template, self.launcher.task(task)).await {
                        // A cold machine serves as well, and says better what is wrong if it is the machine itself.
                        tracing::warn!("no template could be made: {error}");
                        return Ok(spec);
                    }
                }
            }
        }
        Err(Error::new(
            ErrorCode::Engine,
            "what a machine needs was made again and again, and is never there",
        ))
    }

    /// Returns the template in which the root of this box is mounted, if it is to have one: see [`mounted`]. It is made when
    /// its time has come, which is no stage of the start: the start could do without.
    async fn mounted(&self, spec: &MachineSpec, request: &StartRequest) -> Option<PathBuf> {
        let seek = || {
            let (options, spec, request) = (Arc::clone(&self.options), spec.clone(), request.clone());
            blocking(move |cancel| seek_mounted(&options, &spec, &request, cancel))
        };
        let result = async {
            match seek().await? {
                Sought::Due(_) => {}
                sought => return Ok(sought),
            }
            let _making = self.making.lock().await;
            if let Sought::Due(task) = seek().await? {
                let TaskKind::Mounted(mounted::Order { key, .. }) = &task.kind else {
                    return Ok(Sought::Nothing);
                };
                let key = key.clone();
                if let Err(error) = self.launcher.task(*task).await {
                    mounted::give_up(&self.options.home, &key, &error);
                    return Err(error);
                }
            }
            seek().await
        };
        match result.await {
            Ok(Sought::Template(template)) => Some(template),
            Ok(Sought::Nothing | Sought::Due(_)) => None,
            Err(error) => {
                tracing::warn!("no template with the root of the image could be had: {error}");
                None
            }
        }
    }

    async fn look(&self, resources: &Resources) -> Result<Found> {
        let (options, resources) = (Arc::clone(&self.options), *resources);
        blocking(move |cancel| look(&options, &resources, cancel)).await
    }
}

#[async_trait]
impl Engine for VmEngine {
    fn name(&self) -> &'static str {
        "vm"
    }

    async fn prepare(&self, resources: &Resources, stages: StageSink) -> Result<()> {
        self.machine(resources, &stages).await?;
        self.reserve.settled().await;
        Ok(())
    }

    async fn start(&self, request: StartRequest, stages: StageSink) -> Result<Session> {
        let mut spec = self.machine(&request.resources, &stages).await?;
        let (plain, root, detach) = (spec.clone(), request.root.clone(), request.detach);
        let spare = if detach { None } else { self.reserve.take(&spec, &root) };
        // A spare mounts a root sooner than a fresh machine finds one mounted.
        let mounted = if spare.is_some() { None } else { self.mounted(&spec, &request).await };
        let (options, directory) = (Arc::clone(&self.options), request.directory.clone());
        let disk_mib = request.resources.disk_mib;
        let (disk, mounted) = blocking(move |cancel| {
            let mounted =
                mounted.filter(|template| matches!(mounted::take_disk(template, &directory), Ok(true)));
            Ok((disk::ensure(&options.home, disk_mib, &directory, cancel)?, mounted))
        })
        .await?;
        // Only together with the disk that came out of it.
        spec.template = mounted.or(spec.template);
        let job = RunJob {
            id: request.id,
            directory: request.directory,
            hostname: request.hostname,
            detach: request.detach,
            machine: MachineKind::Vm { spec, root: request.root, disk },
        };
        let session = self.launcher.run(job, spare, &stages).await?;
        if self.options.spare_machine && plain.template.is_some() {
            let home = self.options.home.root().to_owned();
            self.reserve.refill(SpareOrder { home, spec: plain, root, disk_mib });
        }
        Ok(session)
    }

    async fn connect(&self, directory: &Path) -> Result<Option<Session>> {
        shim::connect(directory).await
    }

    fn supervisor(&self, directory: &Path) -> Result<Option<ProcessIdentity>> {
        shim::supervisor(directory)
    }

    async fn reap(&self, directory: &Path) -> Result<Option<ExitRecord>> {
        let directory = directory.to_owned();
        blocking(move |_| shim::reap(&directory)).await
    }

    async fn close(&self) {
        self.reserve.close().await;
    }
}

fn check_resources(resources: &Resources) -> Result<()> {
    let refused = |what: String| Err(Error::new(ErrorCode::InvalidArgument, what));
    if !(1..=16).contains(&resources.cpus) {
        return refused(format!("a box has 1 to 16 processors, not {}", resources.cpus));
    }
    if !(128..=65536).contains(&resources.memory_mib) {
        return refused(format!("a box has 128 to 65536 MiB of memory, not {}", resources.memory_mib));
    }
    if !(64..=61440).contains(&resources.disk_mib) {
        return refused(format!("the disk of a box has 64 to 61440 MiB, not {}", resources.disk_mib));
    }
    Ok(())
}

/// Looks what is there. Starts no process but the emulator, to ask for its version, if it was never seen before.
fn look(options: &VmEngineOptions, resources: &Resources, cancel: &Cancel) -> Result<Found> {
    let home = &options.home;
    let Qemu { program, version } = qemu::find(home, options.qemu.as_deref(), cancel)?;
    let Some(kernel) = kernel::find(home, options.kernel.as_deref())? else { return Ok(Found::NoKernel) };
    let mut spec = MachineSpec {
        qemu: program,
        accelerator: Accelerator::Tcg,
        kernel: kernel.vmlinux(),
        kernel_release: kernel.release.clone(),
        initramfs: initramfs(options, &kernel, cancel)?,
        tsc_khz: tsc::frequency_khz(home, cancel)?,
        cpus: resources.cpus,
        memory_mib: resources.memory_mib,
        template: None,
    };
    let task = |spec: &MachineSpec, kind| Task {
        home: home.root().to_owned(),
        spec: spec.clone(),
        qemu_version: version.clone(),
        kind,
    };
    if options.accelerator != Some(Accelerator::Tcg) {
        match accelerator::known(home, &kernel.release, &version) {
            Verdict::Usable => spec.accelerator = Accelerator::Kvm,
            Verdict::Unknown => return Ok(Found::Unprobed(task(&spec, TaskKind::Probe))),
            Verdict::Unusable(reason) if options.accelerator == Some(Accelerator::Kvm) => {
                let message = format!("hardware virtualisation was asked for and cannot be used: {reason}");
                return Err(Error::new(ErrorCode::Unsupported, message).hint(
                    "leave the accelerator to BoxLite: boxes run without hardware virtualisation as well",
                ));
            }
            Verdict::Unusable(_) => {}
        }
    }
    let directory = template::directory(home, &spec, &version)?;
    if !template::is_ready(&directory) {
        return Ok(Found::NoTemplate(task(&spec, TaskKind::Template { directory })));
    }
    spec.template = Some(directory);
    Ok(Found::Machine(spec))
}

/// What there is of a template for a box.
enum Sought {
    Template(PathBuf),
    /// It is time to make one.
    Due(Box<Task>),
    /// Nothing, and the box does not need one.
    Nothing,
}

/// Looks for a template with the root of a box mounted. Only a box without a disk can have one, and only the emulator is slow
/// enough for it to be worth its space.
fn seek_mounted(
    options: &VmEngineOptions,
    spec: &MachineSpec,
    request: &StartRequest,
    cancel: &Cancel,
) -> Result<Sought> {
    let home = &options.home;
    let Some(plain) = &spec.template else { return Ok(Sought::Nothing) };
    if spec.accelerator != Accelerator::Tcg || request.directory.join(disk::DISK_FILE).exists() {
        return Ok(Sought::Nothing);
    }
    let disk_mib = request.resources.disk_mib;
    let key = mounted::key(plain, &request.root, disk_mib)?;
    if let Some(template) = mounted::find(home, &key) {
        return Ok(Sought::Template(template));
    }
    if !mounted::is_due(home, &key)? {
        return Ok(Sought::Nothing);
    }
    let order = mounted::Order { key, root: request.root.clone(), disk_mib };
    Ok(Sought::Due(Box::new(Task {
        home: home.root().to_owned(),
        spec: spec.clone(),
        qemu_version: qemu::find(home, options.qemu.as_deref(), cancel)?.version,
        kind: TaskKind::Mounted(order),
    })))
}

fn initramfs(options: &VmEngineOptions, kernel: &Kernel, cancel: &Cancel) -> Result<PathBuf> {
    let agent = &options.agent;
    let digest = HostFacts::of_file(&options.home, agent, cancel, || {
        let bytes = std::fs::read(agent).map_err(|source| Error::io("read", agent, source))?;
        Ok(Digest::from_bytes(Sha256::digest(bytes).into()).to_string())
    })?;
    kernel.initramfs(agent, &Digest::from_str(&digest)?)
}

/// Tells the sink of a stage while it goes on.
async fn stage<T>(stages: &StageSink, stage: StartStage, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    stages(stage, None);
    let result = work.await;
    stages(stage, Some(began.elapsed()));
    result
}

/// Runs work that blocks on a thread of its own; if the future is dropped, the work is asked to end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    struct CancelOnDrop(Cancel);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    tokio::task::spawn_blocking(move || work(&cancel))
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, format!("a preparation step failed: {error}")))?
}
