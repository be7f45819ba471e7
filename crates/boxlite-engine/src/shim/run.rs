//! A box, from its job to its supervisor.
//!
//! The order is what makes it safe: lock, say who we are, start, listen, and only then say that it is ready. A failure at any point takes back everything before it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use boxlite_types::{Context, Error, ErrorCode, Result, StartStage};

use super::config::{Report, RunJob};
use super::identity::{self, Processes};
use super::lifeline::Lifeline;
use super::machine::{self, Machine};
use super::spare::Spare;
use super::supervise::{self, Parts};
use super::{confine, files, listener, record};

/// Runs a box until it has ended, on `spare` if there is one; a detached box has none, since it leaves its parent first.
pub(super) fn run(job: &RunJob, spare: Option<Spare>, report: &dyn Fn(&Report)) -> Result<()> {
    if job.detach {
        leave_parent().map_err(|error| failed(job, error))?;
    }
    let directory = File::open(&job.directory).map_err(|error| Error::io("open", &job.directory, error))?;
    let directory = OwnedFd::from(directory);
    let lock = lock(job, &directory)?;
    let started = start(job, &directory, spare, report);
    let (machine, listener, signals, memory) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = files::remove(&directory, listener::SOCKET_FILE);
            let _ = files::remove(&directory, identity::PROCESSES_FILE);
            return Err(error.with(Context::Box, job.id.as_str()));
        }
    };
    report(&Report::Ready);
    let started_ns = super::realtime_ns();
    let starter = leave_terminal(job.detach).map_err(|error| failed(job, error))?;
    confine::to_directory(&directory);
    let parts = Parts { directory, lock, machine, listener, signals, starter, memory, started_ns };
    supervise::supervise(parts).map_err(|error| failed(job, error))
}

/// Takes the lock of the box. Whoever cleans up behind its last run has it for a moment, and is waited for.
fn lock(job: &RunJob, directory: &OwnedFd) -> Result<identity::Held> {
    loop {
        if let Some(lock) = identity::lock(directory).map_err(|error| failed(job, error))? {
            return Ok(lock);
        }
        if identity::supervisor(&job.directory)?.is_some() {
            return Err(Error::new(ErrorCode::InUse, format!("box `{}` is running", job.id))
                .with(Context::Box, job.id.as_str()));
        }
    }
}

type Started = (Machine, std::os::unix::net::UnixListener, OwnedFd, Option<File>);

fn start(
    job: &RunJob,
    directory: &OwnedFd,
    spare: Option<Spare>,
    report: &dyn Fn(&Report),
) -> Result<Started> {
    let io_failed = |error| failed(job, error);
    // A VMM of a shim that was killed is killed by the kernel, at once but not at the same time.
    if let Some(left) = identity::processes(&job.directory)?.and_then(|processes| processes.vmm) {
        identity::kill(&left, super::GONE_TIMEOUT).map_err(io_failed)?;
    }
    let own = identity::of_process(std::process::id()).map_err(io_failed)?;
    identity::note(directory, &Processes { shim: own.clone(), vmm: None }).map_err(io_failed)?;
    files::remove(directory, record::EXIT_FILE).map_err(io_failed)?;
    let signals = block_signals().map_err(io_failed)?;
    report(&Report::Up(own.clone()));

    let lifeline = Lifeline::watch().map_err(io_failed)?;
    report(&Report::Began(StartStage::Machine));
    let mut began = Instant::now();
    let machine = machine::bring_up(job, directory, spare, &lifeline, &mut || {
        report(&Report::Over(StartStage::Machine, began.elapsed()));
        began = Instant::now();
        report(&Report::Began(StartStage::Root));
    })?;
    report(&Report::Over(StartStage::Root, began.elapsed()));

    let pid = machine.process.pid();
    let vmm = identity::of_process(pid).map_err(io_failed)?;
    identity::note(directory, &Processes { shim: own, vmm: Some(vmm) }).map_err(io_failed)?;
    let memory = File::open(format!("/proc/{pid}/smaps_rollup")).ok();
    let listener = listener::bind(directory).map_err(io_failed)?;
    lifeline.end()?;
    Ok((machine, listener, signals, memory))
}

/// Goes on in a child, so that nobody has to wait for a process that outlives its starter. Only the calling thread
/// would survive it: it comes before any other is started.
fn leave_parent() -> io::Result<()> {
    // SAFETY: the process has one thread, so the child is a whole copy of it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(()),
        // SAFETY: ends the process without running anything of the child's: buffers have been written.
        _ => unsafe { libc::_exit(0) },
    }
}

/// Blocks the signals that ask for a stop, and returns the descriptor at which they arrive.
fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: a signal set is plain data, made empty before it is used; the calls only read it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Puts `/dev/null` in place of the standard descriptors. Of a box that is not detached, returns standard input: its end
/// is the end of the starter.
fn leave_terminal(detach: bool) -> io::Result<Option<OwnedFd>> {
    let starter = if detach { None } else { Some(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?) };
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: replaces a standard descriptor, which nothing owns, by a copy of one that is open.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(starter)
}

fn failed(job: &RunJob, error: io::Error) -> Error {
    Error::io("run the box in", &job.directory, error)
}
