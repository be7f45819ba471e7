//! Commands measured from outside, as whole processes.

use std::path::PathBuf;
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

/// Returns the `boxlite` command of this build (`make build` makes it; benchmarks lie one directory below it).
pub fn boxlite() -> Command {
    let bench = std::env::current_exe().expect("a running program has a path");
    let path: PathBuf = bench.ancestors().nth(2).expect("target/<profile>/deps/<bench>").join("boxlite");
    Command::new(path)
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
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Finished { elapsed, stdout: String::from_utf8_lossy(&output.stdout).into_owned() }
}

/// Runs a command to its end and returns the most memory it had resident, in bytes.
///
/// The record in procfs is read until the process is gone: what `wait4` tells of a process that was spawned with `vfork`
/// includes the memory of its parent.
///
/// # Panics
/// As [`run`].
pub fn peak_memory_bytes(command: &mut Command) -> u64 {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the command can be started");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    loop {
        let record = std::fs::read_to_string(&status).unwrap_or_default();
        let line = record.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            assert!(status.success(), "{command:?} ended with {status}");
            return peak_kib * 1024;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the proportional share of memory (PSS) of a process in bytes, and `None` if it is gone.
pub fn proportional_memory_bytes(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
