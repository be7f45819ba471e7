//! The output of a box's main command, as its shim kept it.

use boxlite_types::Result;

/// Which part of the log is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to wait for more until the box stops.
    pub follow: bool,
    /// Starts with the last so many lines; with the first one if `None`.
    pub tail: Option<usize>,
}

/// Where a piece of the log came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// Stdout, or a terminal.
    Stdout,
    /// Stderr.
    Stderr,
}

/// A piece of the log; pieces end where the command's writes did, not at lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogEntry {
    /// When it was printed, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// Where.
    pub source: LogSource,
    /// What.
    pub bytes: Vec<u8>,
}

/// The pieces of a log, oldest first.
pub struct LogStream {}

impl LogStream {
    /// Waits for the next piece; `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<LogEntry>> {
        unimplemented!()
    }
}
