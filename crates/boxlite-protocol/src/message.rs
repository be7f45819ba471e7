//! What the frames say. Encoded with postcard (its wire format is specified and stable); fields are never reordered
//! within a generation.

use boxlite_types::{ErrorCode, ExitStatus, IsolationInfo, TerminalSize};
use serde::{Deserialize, Serialize};

/// First words of each side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::GENERATION`] of the speaker.
    pub generation: u32,
    /// Build of the speaker, for messages to people.
    pub build: String,
}

/// What an agent can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentRequest {
    /// First request to an agent but for `Mount`, once: makes the machine this box. Answered by [`Answer::Ready`].
    Setup(Setup),
    /// Runs a command. `Opened`, data both ways, then [`Answer::Exited`].
    ///
    /// Fails with `NotFound` if there is no such program (a shell would say 127), `Execution` if there is one that cannot
    /// be run or its directory cannot be entered (126), `InvalidArgument` for an unknown user, `ResourceExhausted` if
    /// the box has no room for another process.
    Exec(Exec),
    /// Unpacks a tar stream (stdin channel) in the box. `Opened`, data in, then [`Answer::Done`].
    PutArchive(PutArchive),
    /// Packs a path of the box as a tar stream (stdout channel). `Opened`, data out, then [`Answer::Done`].
    GetArchive(GetArchive),
    /// Looks a path up. Answered by [`Answer::Stat`].
    Stat {
        /// Absolute path; any bytes but zero.
        path: Vec<u8>,
        /// Whether a symbolic link at its end is followed.
        follow: bool,
    },
    /// Asks what the machine uses. Answered by [`Answer::Metrics`].
    Metrics,
    /// Ends every process (`SIGTERM`, then `SIGKILL` after `grace_ms`), writes everything back and unmounts. Answered by
    /// [`Answer::Done`], after which a VM powers off.
    Shutdown {
        /// Time between the signals, in milliseconds.
        grace_ms: u32,
    },
    /// Puts the root together ahead of the `Setup`, which then finds it mounted: for a template that is saved with the root
    /// of an image. Answered by [`Answer::Done`].
    Mount(Root),
    /// Plays a start and a first command through, with this root, and leaves no trace of it in the machine but on the writable
    /// disk: under an emulator whatever runs for the second time runs many times as fast. Answered by [`Answer::Done`], when
    /// the disks are let go of.
    Rehearse(Root),
}

/// What makes a machine, fresh or restored, into one particular box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Fresh random bytes of the host, credited to the guest's generator, which is then reseeded.
    pub entropy: Vec<u8>,
    /// Time of day, in nanoseconds since the Unix epoch.
    pub realtime_ns: u64,
    /// Host name.
    pub hostname: String,
    /// 32 hex digits for `/etc/machine-id`.
    pub machine_id: String,
    /// Root filesystem; `None` leaves the agent on the root it was started on (an agent that is not in a VM).
    pub root: Option<Root>,
}

/// How the root filesystem is put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Virtio serial of the read-only disk that holds the image as EROFS.
    pub image_serial: String,
    /// Virtio serial of the writable ext4 disk, the upper side of the overlay.
    pub disk_serial: String,
}

/// A command to run. Everything is resolved but the user, which only the box's own files can resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, as `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// Working directory; created if missing.
    pub cwd: Vec<u8>,
    /// `user[:group]` by name or number; empty for root.
    pub user: String,
    /// Terminal, if it gets one.
    pub tty: Option<TerminalSize>,
    /// Whether the stdin channel is used.
    pub stdin: bool,
    /// Kills the tree after this many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Main command of the box: the shim keeps its output in the log, goes on without a client, and stops the box with
    /// its exit code. The agent ignores it.
    pub main: bool,
    /// Goes on when its client goes away. It reads an empty input, and what it prints is thrown away where it arises.
    pub detach: bool,
}

/// Where and how to unpack. Meaning of paths as in `docker cp`: `path` is an existing directory the archive is unpacked in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutArchive {
    /// Absolute path of a directory.
    pub path: Vec<u8>,
    /// Whether existing files may be replaced; otherwise the first one fails the request with `AlreadyExists`.
    pub overwrite: bool,
    /// Gives everything to this `uid:gid` instead of the archive's owners.
    pub owner: Option<(u32, u32)>,
}

/// What to pack: the archive's first entry is the last component of `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetArchive {
    /// Absolute path.
    pub path: Vec<u8>,
    /// Whether `path` itself, if it is a symbolic link, is packed as what it points to. Links below it stay links.
    pub follow_symlinks: bool,
}

/// What a shim can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShimRequest {
    /// Ties the life of the box to this connection: when it closes, in whatever way, the box is killed.
    /// Answered by [`Answer::Done`].
    Own,
    /// Unties it again. Answered by [`Answer::Done`].
    Disown,
    /// Asks what runs. Answered by [`Answer::Status`].
    Status,
    /// Stops the box: an agent `Shutdown`, and a kill if the machine is not gone `timeout_ms` later. Answered by
    /// [`Answer::Done`] when the machine is gone and the exit record is written; then the connection closes.
    Stop {
        /// Deadline in milliseconds.
        timeout_ms: u32,
    },
    /// Kills the machine now. Answered as `Stop`.
    Kill,
    /// Attaches to the main command: its stream, from now on, is this one. `Opened`, data, then [`Answer::Exited`].
    /// Only one client can be attached; fails with `NotFound` if the box has no main command.
    Attach,
}

/// A change to a running stream. One that comes after the end of its stream is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Sends a signal to the process group of the command.
    Signal(i32),
    /// Kills the whole tree, whatever groups and sessions it made. Ends an archive half way.
    Kill,
    /// Changes the size of the terminal.
    Resize(TerminalSize),
}

/// A stream has begun: the command runs, or the path of an archive is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Process id inside the box; 0 for an archive.
    pub pid: u32,
}

/// How a stream ended.
pub type Outcome = Result<Answer, WireError>;

/// What a request got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// The machine is the box now.
    Ready {
        /// Release of the guest's kernel.
        kernel: String,
    },
    /// The command ended; every byte of its output was sent before.
    Exited(ExitStatus),
    /// What is at a path.
    Stat(FileStat),
    /// What the machine uses.
    Metrics(GuestMetrics),
    /// What the shim runs.
    Status(ShimStatus),
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// `st_mode`: type and permissions.
    pub mode: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// Target, of a symbolic link.
    pub link_target: Option<Vec<u8>>,
}

/// What a machine uses, as seen inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestMetrics {
    /// Processor time in microseconds.
    pub cpu_usec: u64,
    /// Memory in use without caches, in bytes.
    pub memory_used_bytes: u64,
    /// Memory there is, in bytes.
    pub memory_total_bytes: u64,
    /// Bytes of the writable disk in use.
    pub disk_used_bytes: u64,
    /// Size of the writable disk in bytes.
    pub disk_total_bytes: u64,
    /// Number of processes.
    pub processes: u64,
}

/// What a shim runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimStatus {
    /// Process id of the shim.
    pub pid: u32,
    /// Process id of the VMM.
    pub vmm_pid: u32,
    /// When the machine was started, in nanoseconds since the Unix epoch.
    pub started_ns: u64,
    /// What isolates the box.
    pub isolation: IsolationInfo,
    /// Whether the box is tied to a connection.
    pub owned: bool,
    /// Proportional share of host memory taken by the VMM, in bytes.
    pub host_memory_bytes: u64,
}

/// A failure on its way over the wire; becomes a [`boxlite_types::Error`] again on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// Number of the [`ErrorCode`].
    pub code: i32,
    /// One-line message.
    pub message: String,
}

impl WireError {
    /// Makes one.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        WireError { code: code.number(), message: message.into() }
    }
}

impl From<WireError> for boxlite_types::Error {
    fn from(error: WireError) -> Self {
        let code = ErrorCode::ALL.iter().find(|code| code.number() == error.code);
        boxlite_types::Error::new(code.copied().unwrap_or(ErrorCode::Internal), error.message)
    }
}

impl From<&boxlite_types::Error> for WireError {
    fn from(error: &boxlite_types::Error) -> Self {
        WireError::new(error.code(), error.message())
    }
}
