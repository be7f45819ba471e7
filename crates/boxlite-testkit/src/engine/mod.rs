//! An engine without machines: boxes are tasks of this process that speak the real protocol over a real socket.
//!
//! It has a thread and an executor of its own, so that a box lives on when the runtime that started it does not. Commands
//! are a handful of built-in programs ([`program`]), files lie in memory. Faults are set beforehand and hit at a named
//! place; nothing is random and nothing waits for time to pass.
//!
//! Boxes end with the process. What is left of them in their directory (a lock file) is what another process needs to see
//! that they do.

mod connection;
mod files;
mod log;
mod machine;
mod program;
mod stream;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use boxlite_engine::{Engine, ExitRecord, ProcessIdentity, Session, StageSink, StartRequest};
use boxlite_types::{BoxId, Error, ErrorCode, Resources, Result, StartStage};
use tokio::net::UnixStream;
use tokio::sync::watch;

use machine::{Lock, Machine, SOCKET_FILE};

/// What a start goes through.
pub const STAGES: [StartStage; 6] = [
    StartStage::Kernel,
    StartStage::Accelerator,
    StartStage::Template,
    StartStage::Shim,
    StartStage::Machine,
    StartStage::Root,
];

/// What happens when a start reaches a stage.
#[derive(Clone)]
enum Fault {
    Fail(ErrorCode),
    Hang,
    Hold(Arc<HoldState>),
}

/// Boxes that run in this process.
pub struct FakeEngine {
    shared: Arc<Shared>,
    /// Ends the engine's thread when it is dropped.
    _alive: tokio::sync::oneshot::Sender<()>,
}

struct Shared {
    tokio: tokio::runtime::Handle,
    machines: Mutex<HashMap<PathBuf, Arc<Machine>>>,
    /// How the last run in each directory ended.
    records: Mutex<HashMap<PathBuf, ExitRecord>>,
    faults: Mutex<HashMap<StartStage, Fault>>,
    knobs: Arc<Knobs>,
    next_start: AtomicU64,
}

/// How machines misbehave once they run.
#[derive(Default)]
pub(crate) struct Knobs {
    ignore_stop: std::sync::atomic::AtomicBool,
    ignore_kill: std::sync::atomic::AtomicBool,
    archive: Mutex<Option<Vec<u8>>>,
}

/// A start that stands still at a stage until it is let go.
pub struct Hold {
    state: Arc<HoldState>,
}

struct HoldState {
    reached: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Hold {
    /// Waits until `count` starts stand there.
    pub async fn reached(&self, count: usize) {
        let mut reached = self.state.reached.subscribe();
        reached.wait_for(|reached| *reached >= count).await.expect("the sender is held");
    }

    /// Lets all go on, also those that come later.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }
}

impl FakeEngine {
    /// Makes an engine with its thread.
    pub fn new() -> Arc<Self> {
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
        let tokio = executor.handle().clone();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("fake-engine".into())
            .spawn(move || executor.block_on(async { ended.await.unwrap_or_default() }))
            .expect("a thread");
        let shared = Arc::new(Shared {
            tokio,
            machines: Mutex::default(),
            records: Mutex::default(),
            faults: Mutex::default(),
            knobs: Arc::default(),
            next_start: AtomicU64::new(1),
        });
        Arc::new(FakeEngine { shared, _alive: alive })
    }

    /// Makes starts fail at a stage.
    pub fn fail_at(&self, stage: StartStage, code: ErrorCode) {
        self.shared.faults.lock().unwrap().insert(stage, Fault::Fail(code));
    }

    /// Makes starts hang at a stage, until they are cancelled.
    pub fn hang_at(&self, stage: StartStage) {
        self.shared.faults.lock().unwrap().insert(stage, Fault::Hang);
    }

    /// Makes starts stand still at a stage until they are let go.
    pub fn hold_at(&self, stage: StartStage) -> Hold {
        let state =
            Arc::new(HoldState { reached: watch::Sender::new(0), released: watch::Sender::new(false) });
        self.shared.faults.lock().unwrap().insert(stage, Fault::Hold(state.clone()));
        Hold { state }
    }

    /// Takes all faults of starts back.
    pub fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Makes boxes ignore requests to stop, or even to be killed. They still die with their owner.
    pub fn ignore_stop(&self, stop: bool, kill: bool) {
        self.shared.knobs.ignore_stop.store(stop, Ordering::SeqCst);
        self.shared.knobs.ignore_kill.store(kill, Ordering::SeqCst);
    }

    /// Makes every archive that a box sends be these bytes.
    pub fn send_archive(&self, bytes: Vec<u8>) {
        *self.shared.knobs.archive.lock().unwrap() = Some(bytes);
    }

    /// Ends a box as if its supervisor had been killed: every connection breaks, nothing is recorded.
    pub fn crash(&self, id: &BoxId) {
        let machines = self.shared.machines.lock().unwrap();
        if let Some(machine) = machines.values().find(|machine| machine.id == *id) {
            machine.end(None);
        }
    }

    /// Returns the boxes that run.
    pub fn running(&self) -> Vec<BoxId> {
        let machines = self.shared.machines.lock().unwrap();
        machines.values().filter(|machine| !machine.is_gone()).map(|machine| machine.id.clone()).collect()
    }

    async fn pass_stage(&self, stage: StartStage, stages: &StageSink) -> Result<()> {
        stages(stage, None);
        let begun = Instant::now();
        let fault = self.shared.faults.lock().unwrap().get(&stage).cloned();
        match fault {
            None => {}
            Some(Fault::Fail(code)) => {
                return Err(Error::new(code, format!("the fake engine fails at {stage:?}")));
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Hold(hold)) => {
                hold.reached.send_modify(|reached| *reached += 1);
                let mut released = hold.released.subscribe();
                let _ = released.wait_for(|released| *released).await;
            }
        }
        stages(stage, Some(begun.elapsed().max(Duration::from_micros(1))));
        Ok(())
    }
}

impl Shared {
    fn machine(&self, directory: &Path) -> Option<Arc<Machine>> {
        self.machines.lock().unwrap().get(directory).filter(|machine| !machine.is_gone()).cloned()
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn prepare(&self, _resources: &Resources, stages: StageSink) -> Result<()> {
        for stage in &STAGES[..3] {
            self.pass_stage(*stage, &stages).await?;
        }
        Ok(())
    }

    async fn start(&self, request: StartRequest, stages: StageSink) -> Result<Session> {
        self.prepare(&request.resources, stages.clone()).await?;
        let lock = Lock::take(&request.directory)?;
        let start = self.shared.next_start.fetch_add(1, Ordering::SeqCst);
        let machine = Machine::new(&request, start, lock, self.shared.knobs.clone())?;
        // Until the start has succeeded, dropping this ends the machine.
        let guard = EndOnDrop(Some(machine.clone()));
        self.shared.records.lock().unwrap().remove(&request.directory);
        self.shared.machines.lock().unwrap().insert(request.directory.clone(), machine.clone());
        let shared = Arc::downgrade(&self.shared);
        machine.serve(&self.shared.tokio, move |machine, record| {
            let Some(shared) = shared.upgrade() else { return };
            if let Some(record) = record {
                shared.records.lock().unwrap().insert(machine.directory.clone(), record);
            }
        })?;
        self.pass_stage(StartStage::Shim, &stages).await?;
        self.pass_stage(StartStage::Machine, &stages).await?;
        let session = connect(&request.directory).await?;
        if !request.detach {
            session.shim(boxlite_protocol::ShimRequest::Own).await?;
        }
        self.pass_stage(StartStage::Root, &stages).await?;
        guard.disarm();
        Ok(session)
    }

    async fn connect(&self, directory: &Path) -> Result<Option<Session>> {
        if self.supervisor(directory)?.is_none() {
            return Ok(None);
        }
        connect(directory).await.map(Some)
    }

    fn supervisor(&self, directory: &Path) -> Result<Option<ProcessIdentity>> {
        match self.shared.machine(directory) {
            Some(machine) => Ok(Some(machine.identity.clone())),
            None => Lock::holder(directory),
        }
    }

    async fn reap(&self, directory: &Path) -> Result<Option<ExitRecord>> {
        self.shared.machines.lock().unwrap().remove(directory);
        Ok(self.shared.records.lock().unwrap().get(directory).cloned())
    }
}

struct EndOnDrop(Option<Arc<Machine>>);

impl EndOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(machine) = &self.0 {
            machine.end(None);
        }
    }
}

async fn connect(directory: &Path) -> Result<Session> {
    let socket = directory.join(SOCKET_FILE);
    let stream = UnixStream::connect(&socket).await.map_err(|error| {
        Error::new(ErrorCode::Stopped, format!("cannot connect to `{}`: {error}", socket.display()))
    })?;
    Session::connect(stream).await
}
