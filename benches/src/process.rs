//! Commands measured from outside, as whole processes.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// From spawn to exit.
    pub elapsed: Duration,
    /// What it printed.
    pub stdout: String,
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started or fails: a benchmark of a failure measures nothing.
pub fn run(command: &mut Command) -> Finished {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    let elapsed = start.elapsed();
    assert!(
        output.status.success(),
        "{command:?} ended with {:?} (signal {:?}): {}",
        output.status.code(),
        output.status.signal(),
        String::from_utf8_lossy(&output.stderr)
    );
    Finished { elapsed, stdout: String::from_utf8_lossy(&output.stdout).into_owned() }
}

/// Returns the proportional share of memory (PSS) of a process in bytes, and `None` if it is gone.
pub fn proportional_memory_bytes(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
