//! The contract between the library and whatever isolates its boxes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxlite_types::{BoxId, DiskLayout, Resources, Result, StartStage};
use serde::{Deserialize, Serialize};

use crate::Session;

/// A box as an engine needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Id of the box.
    pub id: BoxId,
    /// Its own directory: disk, sockets, log, exit record. It exists.
    pub directory: PathBuf,
    /// The image's disk.
    pub root: DiskLayout,
    /// What the box may use.
    pub resources: Resources,
    /// Host name inside.
    pub hostname: String,
    /// Whether the box outlives the session that starts it. If not, it dies when that session closes, however it closes.
    pub detach: bool,
}

/// Which process, beyond doubt: a process id alone may be reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// How the last run of a box ended; written by its shim, durable before the machine counts as gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Exit code of the main command if it ended; 0 after a stop, 137 after a kill or a dead machine.
    pub code: i32,
    /// In words: `main command exited`, `stopped`, `killed`, `owner died`, `machine died: ...`.
    pub reason: String,
    /// When, in seconds since the Unix epoch.
    pub at: i64,
}

/// Hears how far a start has come: `None` when a stage begins, its duration when it is over.
pub type StageSink = Arc<dyn Fn(StartStage, Option<Duration>) + Send + Sync>;

/// Something that can isolate boxes.
///
/// Every method may be cancelled by dropping its future: nothing it began is then left running or half written.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Returns its name, as in `IsolationInfo::engine`.
    fn name(&self) -> &'static str;

    /// Does what a first start with these resources would have to do: kernel, accelerator, template.
    ///
    /// # Errors
    /// `Unsupported` if the host lacks something, with the command that brings it as the hint; `Engine` otherwise.
    async fn prepare(&self, resources: &Resources, stages: StageSink) -> Result<()>;

    /// Starts a box and returns when its root is mounted and commands can run.
    ///
    /// # Errors
    /// As [`Engine::prepare`]; `InUse` if the box runs already. After an error nothing of the box runs.
    async fn start(&self, request: StartRequest, stages: StageSink) -> Result<Session>;

    /// Connects to a box that runs, whoever started it; `None` if none runs in that directory.
    async fn connect(&self, directory: &Path) -> Result<Option<Session>>;

    /// Returns which process supervises the box in that directory, if one does.
    fn supervisor(&self, directory: &Path) -> Result<Option<ProcessIdentity>>;

    /// Ends whatever is left of a box whose supervisor is gone (a VMM without its shim, stale sockets), and returns how
    /// the run ended, if there was one.
    async fn reap(&self, directory: &Path) -> Result<Option<ExitRecord>>;

    /// Ends what it keeps running for later starts, boxes not among it. Nothing is started through it any more.
    async fn close(&self) {}
}
