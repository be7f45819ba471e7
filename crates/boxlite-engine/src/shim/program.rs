//! What `boxlite-shim` does from its first instruction to its last.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use boxlite_types::{Error, ErrorCode, Result};

use super::config::{Job, Report};
use super::jail::Jail;
use super::lifeline::Lifeline;
use super::{identity, nbd, run, spare};
use crate::ProcessIdentity;
use crate::vm::Task;
use crate::vm::machine::DISK_BYTES;
use crate::vm::spare::SpareOrder;

/// Longest job read; a root of a hundred layers takes some 30 KiB.
const MOST_JOB_BYTES: u64 = 16 * 1024 * 1024;

/// Runs the shim.
pub fn main() -> ExitCode {
    let outcome = separate().and_then(|()| read_job()).and_then(|job| match job {
        Job::Run(job) => run::run(&job, None, &report),
        Job::Task(task) => run_task(&task),
        Job::Spare(order) => stand_by(&order),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&Report::Failed((&error).into()));
            ExitCode::FAILURE
        }
    }
}

/// Does a task, jailed like a box and with a life as short as its starter's.
fn run_task(task: &Task) -> Result<()> {
    report(&Report::Up(own_identity()?));
    let lifeline = Lifeline::watch().map_err(|error| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"))
    })?;
    let root = nbd::Shown::open(&task.root(), DISK_BYTES)?;
    task.run(&Jail::new(&lifeline), &|socket| nbd::serve(&root, socket))?;
    lifeline.end()?;
    report(&Report::Done);
    Ok(())
}

/// Keeps a machine ready until there is a box for it; if there is to be none, the end of standard input is the end.
fn stand_by(order: &SpareOrder) -> Result<()> {
    let starter = spare::Starter::find();
    report(&Report::Up(own_identity()?));
    let spare = spare::prepare(order)?;
    report(&Report::Ready);
    if !starter.speaks() {
        return Ok(());
    }
    match read_job() {
        Ok(Job::Run(job)) => run::run(&job, Some(spare), &report),
        _ => Ok(()),
    }
}

fn own_identity() -> Result<ProcessIdentity> {
    identity::of_process(std::process::id())
        .map_err(|error| Error::new(ErrorCode::Engine, format!("the shim cannot be set up: {error}")))
}

/// Lets go of whatever the starter may have passed on without meaning to.
fn separate() -> Result<()> {
    // SAFETY: nothing in this process has opened a descriptor yet.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let failed = |error| Error::new(ErrorCode::Engine, format!("the shim cannot be set up: {error}"));
    rustix::process::chdir("/").map_err(failed)?;
    // Fails only for the leader of a process group, which is on its own already.
    let _ = rustix::process::setsid();
    Ok(())
}

fn read_job() -> Result<Job> {
    let mut line = Vec::new();
    let mut stdin = io::stdin().lock().take(MOST_JOB_BYTES);
    io::BufRead::read_until(&mut stdin, b'\n', &mut line)
        .map_err(|error| Error::new(ErrorCode::Cancelled, format!("the job cannot be read: {error}")))?;
    if line.last() != Some(&b'\n') {
        return Err(Error::new(ErrorCode::Cancelled, "whoever was starting the box is gone"));
    }
    serde_json::from_slice(&line).map_err(|error| {
        Error::new(ErrorCode::InvalidArgument, format!("the job cannot be understood: {error}"))
    })
}

/// Tells the starter something. A starter that does not listen any more is seen at standard input.
fn report(report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = io::stdout().lock().write_all(&line);
        let _ = io::stdout().lock().flush();
    }
}
