//! The open handle to a home.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use boxlite_image::ImageStore;
use boxlite_state::Database;
use boxlite_types::{
    BoxInfo, BoxSpec, BoxState, CheckReport, Error, ErrorCode, Home, Resources, Result, ResultExt,
    UsageReport,
};

use crate::boxes;
use crate::bundled::BundledEngine;
use crate::core::Core;
use crate::gate::Gate;
use crate::keeper::Keeper;
use crate::operation::run;
use crate::threads::{Workers, block_on, on_worker_thread};
use crate::{
    BoxHandle, DoctorReport, EventStream, Images, Kernels, Options, PrepareProgress, machine, process, upkeep,
};

/// Deadline of the shutdown that dropping the last handle means.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a shutdown may take beyond its timeout.
const DROP_GRACE: Duration = Duration::from_millis(250);

/// The open handle to a home.
///
/// Clones share it. Several runtimes, in one process or in many, may use one home at the same time.
///
/// It owns its threads (`boxlite-*`): futures of this library can be polled by any executor. When the last clone is dropped
/// without [`Runtime::shutdown`], that happens with a deadline of two seconds, and the drop waits for it; image handles,
/// box handles and executions do not keep a runtime open.
///
/// After a `fork` every call in the child answers `ForkedProcess`, opening another runtime too; dropping the child's copy does
/// nothing.
#[derive(Clone)]
pub struct Runtime {
    owner: Arc<Owner>,
}

struct Owner {
    gate: Arc<Gate<Core>>,
    keeper: Keeper,
    images: Images,
    kernels: Kernels,
    home: Home,
}

/// What a runtime has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuntimeMetrics {
    /// Boxes created.
    pub boxes_created_total: u64,
    /// Creations and starts that failed.
    pub boxes_failed_total: u64,
    /// Boxes of the home that run now, whoever started them.
    pub num_running_boxes: u64,
    /// Commands started.
    pub total_commands_executed: u64,
    /// Commands that could not be started.
    pub total_exec_errors: u64,
}

impl Runtime {
    /// Opens a home, making it if it does not exist, and settles what dead processes left behind. Takes milliseconds,
    /// uses no network, and locks nothing that another process needs.
    ///
    /// # Errors
    /// `ForkedProcess` in the child of a process that had opened a runtime; `Config` if no home is named; `Storage` if it
    /// cannot be used; `Database` if its database is damaged or was written by a later release.
    pub async fn open(options: Options) -> Result<Runtime> {
        process::claim().during("runtime.open")?;
        let home = options.resolve_home().during("runtime.open")?;
        let workers = Workers::start().during("runtime.open")?;
        let opening = open_core(options, home, workers.handle().clone());
        // On the runtime's own threads from the start: opening blocks, and what it makes belongs there.
        let opened = workers.handle().spawn(opening).await;
        let opened =
            opened.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "opening the home panicked")));
        let core = opened.during("runtime.open")?;
        let home = core.home.clone();
        let gate = Gate::new(Arc::new(core));
        let keeper = Keeper::start(gate.clone(), workers).during("runtime.open")?;
        let (images, kernels) = (Images::new(gate.clone()), Kernels::new(gate.clone()));
        let runtime = Runtime { owner: Arc::new(Owner { gate, keeper, images, kernels, home }) };
        run(&runtime.owner.gate, "runtime.open", |work| async move {
            boxes::recover(&work).await?;
            boxes::sweep(&work, true).await.map(|_| ())
        })
        .await?;
        Ok(runtime)
    }

    /// Says whether an operation would be let in now, without beginning one.
    ///
    /// # Errors
    /// `Stopped`; `ForkedProcess`.
    pub fn check_open(&self) -> Result<()> {
        self.owner.gate.check()
    }

    /// Returns the image handle: the same one each time, without any I/O.
    pub fn images(&self) -> &Images {
        &self.owner.images
    }

    /// Returns the guest kernels of the home.
    pub fn kernels(&self) -> &Kernels {
        &self.owner.kernels
    }

    /// Returns the home directory.
    pub fn home(&self) -> &Path {
        self.owner.home.root()
    }

    /// Makes a box of an image that is in the store. Nothing runs yet, and nothing but a row is written.
    ///
    /// # Errors
    /// `InvalidArgument` for a specification that cannot be; `NotFound` if the image is not in the store; `AlreadyExists`
    /// if the name is taken.
    pub async fn create(&self, spec: BoxSpec) -> Result<BoxHandle> {
        let gate = self.owner.gate.clone();
        run(&self.owner.gate, "runtime.create", |work| async move {
            Ok(BoxHandle::new(gate, boxes::create(&work, spec).await?))
        })
        .await
    }

    /// Finds a box by its name, its id or a unique prefix of its id.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` if several ids begin like that.
    pub async fn get(&self, name: &str) -> Result<BoxHandle> {
        let (gate, name) = (self.owner.gate.clone(), name.to_owned());
        run(&self.owner.gate, "runtime.get", |work| async move {
            let row = work.cancellable(boxes::look_up(&work, &name)).await?;
            Ok(BoxHandle::new(gate, row.info.id))
        })
        .await
    }

    /// Lists all boxes of the home, newest first, as they are now: also those of other processes.
    ///
    /// # Errors
    /// `Database`.
    pub async fn list(&self) -> Result<Vec<BoxInfo>> {
        run(&self.owner.gate, "runtime.list", |work| async move {
            let rows = work.cancellable(boxes::list(&work)).await?;
            Ok(rows.into_iter().map(|row| row.info).collect())
        })
        .await
    }

    /// Removes a box and its disk; one that runs only if `force` is set, which kills it.
    ///
    /// # Errors
    /// `NotFound`; `InvalidState` if it runs; `InUse` while another process starts it.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let name = name.to_owned();
        run(&self.owner.gate, "runtime.remove", |work| async move {
            let row = work.cancellable(boxes::look_up(&work, &name)).await?;
            boxes::remove(&work, &row.info.id, force).await
        })
        .await
    }

    /// Listens to what happens in this runtime from now on. A runtime that is shut down has no events.
    pub fn events(&self) -> EventStream {
        EventStream::new(self.owner.gate.glance().ok().and_then(|core| core.listen()))
    }

    /// Measures what takes space in the home.
    ///
    /// # Errors
    /// `Storage`, `Database`.
    pub async fn usage(&self) -> Result<UsageReport> {
        run(&self.owner.gate, "runtime.usage", |work| async move { upkeep::usage(&work).await }).await
    }

    /// Examines the whole home: every byte of every image, the database, the boxes and what is left of dead ones; mends
    /// what it can if `repair` is set.
    ///
    /// # Errors
    /// `Storage`, `Database` if it cannot be examined; what is wrong is in the report.
    pub async fn check(&self, repair: bool) -> Result<CheckReport> {
        run(&self.owner.gate, "runtime.check", |work| async move { upkeep::check(&work, repair).await }).await
    }

    /// Does now what the first start of a box with these resources would do: kernel, accelerator, warm template; with
    /// [`crate::EngineOptions::spare_machine`], waits for the spare that is being made, too.
    ///
    /// # Errors
    /// `Unsupported` if the host lacks something, with what to do as the hint; `Engine`, `Network`.
    pub async fn prepare(&self, resources: &Resources, progress: Option<PrepareProgress>) -> Result<()> {
        let resources = *resources;
        run(&self.owner.gate, "runtime.prepare", |work| async move {
            let stages = progress.unwrap_or_else(|| Arc::new(|_, _| {}));
            work.cancellable(work.engine.prepare(&resources, stages)).await
        })
        .await
    }

    /// Looks at whether boxes can run on this host, and says what to do if not.
    ///
    /// # Errors
    /// `Storage` if not even the helper programs can be unpacked; what else is wrong is in the report.
    pub async fn doctor(&self) -> Result<DoctorReport> {
        run(&self.owner.gate, "runtime.doctor", |work| async move { machine::doctor(&work).await }).await
    }

    /// Returns what this runtime has done.
    ///
    /// # Errors
    /// `Database`.
    pub async fn metrics(&self) -> Result<RuntimeMetrics> {
        run(&self.owner.gate, "runtime.metrics", |work| async move {
            let rows = work.cancellable(boxes::list(&work)).await?;
            let running = rows.iter().filter(|row| row.info.state == BoxState::Running).count();
            let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            Ok(RuntimeMetrics {
                boxes_created_total: read(&work.counters.boxes_created),
                boxes_failed_total: read(&work.counters.boxes_failed),
                num_running_boxes: running as u64,
                total_commands_executed: read(&work.counters.commands_executed),
                total_exec_errors: read(&work.counters.exec_errors),
            })
        })
        .await
    }

    /// Shuts the runtime down.
    ///
    /// From the call on, every new operation on it and on every handle made from it answers `Stopped`. What is under way
    /// is cancelled and rolls back, boxes that are not detached are stopped, and killed shortly before the deadline. When
    /// this returns, within `timeout` and 250 ms, nothing in this process touches the home any more: it can be opened
    /// again, or deleted, at once.
    ///
    /// May be called again, and by several at once: all get the same answer, and the earliest deadline counts. Dropping the
    /// future does not call it off.
    ///
    /// # Errors
    /// `Timeout` if something had to be given up to keep the deadline; the home is let go all the same.
    pub async fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.owner.gate.check_process().during("runtime.shutdown")?;
        self.owner.keeper.request(timeout);
        self.owner.keeper.finished().await.during("runtime.shutdown")
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("home", &self.owner.home.root()).finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.gate.is_forked() {
            // The threads, and the right to touch the home, are the parent's.
            return;
        }
        self.keeper.request(DROP_TIMEOUT);
        // Work of the runtime itself may hold the last clone: it cannot wait for its own end.
        if !on_worker_thread() {
            let deadline = Instant::now() + DROP_TIMEOUT + DROP_GRACE;
            let _ =
                block_on(self.keeper.finished(), || Some(deadline.saturating_duration_since(Instant::now())));
        }
    }
}

/// Prepares everything behind the gate.
async fn open_core(options: Options, home: Home, tokio: tokio::runtime::Handle) -> Result<Core> {
    let root = home.root();
    std::fs::create_dir_all(root).map_err(|error| Error::io("create", root, error))?;
    let database = Database::open(&home.database())?;
    let images = ImageStore::open(home.clone(), database.clone(), options.images)?;
    let engine = match options.custom_engine {
        Some(engine) => engine,
        None => Arc::new(BundledEngine::new(home.clone(), options.engine.clone())),
    };
    Ok(Core::new(home, database, images, engine, options.engine, tokio))
}
