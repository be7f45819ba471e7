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
/// # Panics
/// As [`run`].
#[expect(clippy::zombie_processes, reason = "it is waited for, by a call that also tells what it used")]
pub fn peak_memory_bytes(command: &mut Command) -> u64 {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the command can be started");
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to live locals of the right type, and the child is ours and not waited for elsewhere.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, usage.as_mut_ptr()) };
    assert!(waited == child.id() as libc::pid_t && status == 0, "{command:?} ended with status {status:#x}");
    // SAFETY: all zeroes is a valid rusage, and wait4 has filled it.
    let usage = unsafe { usage.assume_init() };
    usage.ru_maxrss as u64 * 1024
}

/// Returns the proportional share of memory (PSS) of a process in bytes, and `None` if it is gone.
pub fn proportional_memory_bytes(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
