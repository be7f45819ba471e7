//! Commands to run in a box and how they end.

use std::collections::BTreeMap;

/// A command to run in a box.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Program and arguments; the program is looked up in the `PATH` of `env` if it has no slash.
    pub argv: Vec<String>,
    /// Environment, on top of the image's (a name set here wins).
    pub env: BTreeMap<String, String>,
    /// Working directory, created if missing; the image's, or `/`, if `None`.
    pub cwd: Option<String>,
    /// `user[:group]` by name or number, looked up in the box's own `/etc/passwd`; the image's, or root, if `None`.
    pub user: Option<String>,
    /// Gives the command a terminal of this size; stdout and stderr are then one stream.
    pub tty: Option<TerminalSize>,
    /// Whether stdin is connected; otherwise it reads as empty.
    pub stdin: bool,
    /// Kills the whole process tree after this many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Lets it go on in the box when nobody holds it any more. It gets no stdin, and its output is thrown away.
    pub detach: bool,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// A Linux signal number, 1 to 64.
pub type Signal = i32;

/// How a command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExitStatus {
    /// Exit code, if it exited by itself.
    pub code: Option<i32>,
    /// Signal that ended it otherwise.
    pub signal: Option<Signal>,
    /// Whether the kernel killed it, or a process below it, for lack of memory.
    pub oom_killed: bool,
    /// Whether its timeout ended it.
    pub timed_out: bool,
}

impl ExitStatus {
    /// Returns the status of a command that exited with `code`.
    pub fn exited(code: i32) -> Self {
        ExitStatus { code: Some(code), ..ExitStatus::default() }
    }

    /// Returns whether the command exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the one number a shell would give: the exit code, or 128 + the signal.
    pub fn shell_code(&self) -> i32 {
        self.code.unwrap_or_else(|| 128 + self.signal.unwrap_or(0))
    }
}
