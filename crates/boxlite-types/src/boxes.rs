//! What a box is wanted to be, and what it is.

use crate::{BoxId, Digest, ExecSpec, Platform};

/// How a box is isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Isolation {
    /// A virtual machine with its own kernel.
    #[default]
    Vm,
}

/// What a box may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Virtual processors, 1 to 16; 1 by default.
    pub cpus: u32,
    /// Memory in MiB, 128 to 65536; 1024 by default. Taken from the host only as the box touches it.
    pub memory_mib: u32,
    /// Size of the box's own writable disk in MiB, 64 to 61440; 10240 by default. Sparse: empty space costs nothing.
    pub disk_mib: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpus: 1, memory_mib: 1024, disk_mib: 10240 }
    }
}

/// A box as it is asked for. Only `image` has no default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BoxSpec {
    /// Image reference. It has to be in the store when the box is created.
    pub image: String,
    /// Name, unique in the home: letters, digits, `_`, `.`, `-`, at most 63; without one, the id is the only name.
    pub name: Option<String>,
    /// Platform of the image; the host's if `None`.
    pub platform: Option<Platform>,
    /// Isolation asked for.
    pub isolation: Isolation,
    /// What the box may use.
    pub resources: Resources,
    /// Environment, as `NAME=value`, for every command in the box, on top of the image's.
    pub env: Vec<String>,
    /// Working directory for every command in the box, instead of the image's.
    pub cwd: Option<String>,
    /// User for every command in the box, instead of the image's.
    pub user: Option<String>,
    /// Host name inside; the id of the box if `None`.
    pub hostname: Option<String>,
    /// Entrypoint instead of the image's, and with it instead of the image's command; an empty one leaves the arguments
    /// of `main` alone.
    pub entrypoint: Option<Vec<String>>,
    /// Main command: run at each start, its output kept as the box's log, the box stopping when it ends. A box
    /// without one stays up until it is stopped.
    pub main: Option<ExecSpec>,
    /// Whether the box outlives the process that started it.
    pub detach: bool,
    /// Whether the box is removed when it stops.
    pub auto_remove: bool,
    /// Labels, as `NAME=value`, for its owner's own use.
    pub labels: Vec<String>,
}

/// What a box is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxState {
    /// Made, never started.
    Created,
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Being stopped.
    Stopping,
    /// Stopped; its disk is kept and it can be started again.
    Stopped,
}

impl BoxState {
    /// Returns the word for it, as serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            BoxState::Created => "created",
            BoxState::Starting => "starting",
            BoxState::Running => "running",
            BoxState::Stopping => "stopping",
            BoxState::Stopped => "stopped",
        }
    }
}

/// What in truth isolates a running box.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IsolationInfo {
    /// Engine, as `vm`.
    pub engine: String,
    /// Accelerator, as `kvm` or `tcg`.
    pub accelerator: String,
    /// Release of the guest's kernel.
    pub kernel: String,
    /// What confines the VMM on the host, as `seccomp`, `landlock`, `user-namespace`, `rlimits`; each one in force.
    pub confinement: Vec<String>,
    /// Whether the machine came out of a warm template.
    pub from_template: bool,
}

/// One box.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BoxInfo {
    /// Id.
    pub id: BoxId,
    /// Name, if it was given one.
    pub name: Option<String>,
    /// Full reference of its image.
    pub image: String,
    /// Manifest digest of its image.
    pub image_id: Digest,
    /// State.
    pub state: BoxState,
    /// When it was created, in seconds since the Unix epoch.
    pub created_at: i64,
    /// When it was last started.
    pub started_at: Option<i64>,
    /// When it last stopped.
    pub stopped_at: Option<i64>,
    /// Exit code of its main command, or of its machine (137 if it was killed), after it last stopped.
    pub exit_code: Option<i32>,
    /// Process id of its shim, while it runs.
    pub pid: Option<u32>,
    /// What isolates it, while it runs.
    pub isolation: Option<IsolationInfo>,
    /// As it was asked for.
    pub spec: BoxSpec,
}

/// What a running box uses at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BoxMetrics {
    /// Processor time used by the guest since it started, in microseconds.
    pub cpu_usec: u64,
    /// Memory in use inside, without caches, in bytes.
    pub memory_used_bytes: u64,
    /// Memory the guest has, in bytes.
    pub memory_total_bytes: u64,
    /// Bytes of the writable disk in use.
    pub disk_used_bytes: u64,
    /// Size of the writable disk in bytes.
    pub disk_total_bytes: u64,
    /// Processes inside, the agent included.
    pub processes: u64,
    /// Seconds since the box was started.
    pub uptime_secs: u64,
    /// Proportional share of host memory taken by its machine, in bytes.
    pub host_memory_bytes: u64,
}
