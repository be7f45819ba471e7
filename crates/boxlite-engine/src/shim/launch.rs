//! The library's side: starting a shim, finding one, and cleaning up behind one that is gone.
//!
//! A shim is started as any program would start another: no `fork` of this process by hand, nothing inherited but three
//! pipes. Until it is ready its life hangs on its standard input, so that however the start ends early (an error, a dropped
//! future, this process killed), nothing of it stays.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxlite_protocol::ShimRequest;
use boxlite_types::{Context, Error, ErrorCode, Result, StartStage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::children::Children;
use super::config::{Job, Report, RunJob};
use super::record::KILLED;
use super::{GONE_TIMEOUT, files, identity, listener, record};
use crate::vm::Task;
use crate::vm::spare::SpareOrder;
use crate::{ExitRecord, ProcessIdentity, Session, StageSink};

/// Longest wait for a shim to listen and to greet. It does nothing else at that time, but the host may be busy.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for a program that cannot be run yet, because somebody has it open for writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest report taken.
const MOST_REPORT_BYTES: u64 = 1024 * 1024;

/// Starts shims.
pub struct Launcher {
    program: PathBuf,
    children: Arc<Children>,
}

impl Launcher {
    /// Will start shims from the program at `program`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Launcher { program: program.into(), children: Arc::default() }
    }

    /// Starts a box, on `spare` if there is one and the box is not detached, and connects to it; the connection owns the box
    /// unless it is detached.
    ///
    /// # Errors
    /// `InUse` if the box runs; what its start failed with otherwise. Nothing of it is left then, nor if the future is
    /// dropped.
    pub async fn run(&self, job: RunJob, spare: Option<Spare>, stages: &StageSink) -> Result<Session> {
        let (directory, detach) = (job.directory.clone(), job.detach);
        let job = Job::Run(job);
        let turned = match spare.filter(|_| !detach) {
            Some(spare) => spare.turn_into(&job, &directory, stages).await,
            None => None,
        };
        let mut shim = match turned {
            Some(shim) => shim,
            None => self.begin(&job, Some(&directory), stages).await?,
        };
        while !matches!(shim.next_report(stages).await?, Report::Ready) {}
        let session = open_session(&directory).await?.ok_or_else(|| {
            Error::new(ErrorCode::Engine, "the box ended as soon as it was up")
                .with(Context::Path, directory.display().to_string())
        })?;
        if !detach {
            session.shim(ShimRequest::Own).await?;
        }
        shim.release();
        Ok(session)
    }

    /// Does something about machines that is not a box.
    ///
    /// # Errors
    /// What the task failed with. Nothing of it runs then, nor if the future is dropped.
    pub async fn task(&self, task: Task) -> Result<()> {
        let ignore: StageSink = Arc::new(|_, _| {});
        let mut shim = self.begin(&Job::Task(task), None, &ignore).await?;
        while !matches!(shim.next_report(&ignore).await?, Report::Done) {}
        shim.release();
        Ok(())
    }

    /// Gets a machine ready for a box that is started later.
    ///
    /// # Errors
    /// What that failed with. Nothing of it runs then, nor if the future or the spare is dropped.
    pub async fn spare(&self, order: SpareOrder) -> Result<Spare> {
        let ignore: StageSink = Arc::new(|_, _| {});
        let mut shim = self.begin(&Job::Spare(order), None, &ignore).await?;
        while !matches!(shim.next_report(&ignore).await?, Report::Ready) {}
        Ok(Spare(shim))
    }

    async fn spawn(&self) -> io::Result<Child> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            let spawned = Command::new(&self.program)
                .env_clear()
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            match spawned {
                // It was just written, and a child that this process was forking then has it open for writing until it
                // runs a program of its own.
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                spawned => return spawned,
            }
        }
    }

    /// Starts a shim on a job, and returns when it is up.
    async fn begin(&self, job: &Job, directory: Option<&Path>, stages: &StageSink) -> Result<Starting> {
        self.children.sweep();
        stages(StartStage::Shim, None);
        let began = Instant::now();
        let failed = |error: io::Error| Error::io("run", &self.program, error);
        let mut child = self.spawn().await.map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut shim = Starting {
            child: Some(child),
            children: Arc::clone(&self.children),
            directory: directory.map(Path::to_owned),
            process: None,
            stdin: None,
            reports: None,
        };
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Error::new(ErrorCode::Internal, "no pipes were made"));
        };
        let reports = pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed)?;
        shim.reports = Some(BufReader::new(reports));
        shim.stdin = Some(pipe::Sender::from_owned_fd(stdin.into()).map_err(failed)?);
        shim.tell(job, stages).await?;
        stages(StartStage::Shim, Some(began.elapsed()));
        Ok(shim)
    }
}

/// A shim whose machine waits for a box. Dropping it ends it.
pub struct Spare(Starting);

impl Spare {
    /// Gives it a box; `None` if it is not there any more, or cannot run the box: a fresh shim says why.
    async fn turn_into(self, job: &Job, directory: &Path, stages: &StageSink) -> Option<Starting> {
        let Spare(mut shim) = self;
        stages(StartStage::Shim, None);
        let began = Instant::now();
        shim.directory = Some(directory.to_owned());
        shim.tell(job, stages).await.ok()?;
        stages(StartStage::Shim, Some(began.elapsed()));
        Some(shim)
    }
}

/// A shim that is not ready yet. Dropping it ends it.
struct Starting {
    child: Option<Child>,
    children: Arc<Children>,
    /// Of a box.
    directory: Option<PathBuf>,
    process: Option<ProcessIdentity>,
    stdin: Option<pipe::Sender>,
    reports: Option<BufReader<pipe::Receiver>>,
}

impl Starting {
    /// Tells it what to do and waits until it is up.
    async fn tell(&mut self, job: &Job, stages: &StageSink) -> Result<()> {
        let mut line = serde_json::to_vec(job).map_err(|error| {
            Error::new(ErrorCode::InvalidArgument, format!("the job cannot be written: {error}"))
        })?;
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            // If it does not listen it has failed, and says why.
            let _ = stdin.write_all(&line).await;
        }
        let Report::Up(process) = self.next_report(stages).await? else { return Err(self.nonsense()) };
        self.process = Some(process);
        Ok(())
    }

    /// Returns the next report that is no stage.
    async fn next_report(&mut self, stages: &StageSink) -> Result<Report> {
        loop {
            let mut line = Vec::new();
            let Some(reports) = &mut self.reports else { return Err(self.nonsense()) };
            let read = reports.take(MOST_REPORT_BYTES).read_until(b'\n', &mut line).await;
            if read.is_err() || line.last() != Some(&b'\n') {
                return Err(Error::new(ErrorCode::Engine, "the shim of the box ended without a word"));
            }
            match serde_json::from_slice(&line).map_err(|_| self.nonsense())? {
                Report::Began(stage) => stages(stage, None),
                Report::Over(stage, elapsed) => stages(stage, Some(elapsed)),
                Report::Failed(error) => return Err(error.into()),
                report => return Ok(report),
            }
        }
    }

    fn nonsense(&self) -> Error {
        Error::new(ErrorCode::Internal, "the shim of the box reports what was not expected of it")
    }

    /// Lets it live by the rules of its box.
    fn release(mut self) {
        if let Some(child) = self.child.take() {
            self.children.adopt(child);
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // A shim that is not ready ends itself when its input does; one that is, or is stuck, is killed.
        self.stdin = None;
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        let _ = child.wait();
        match (&self.process, self.reports.take()) {
            (Some(process), _) => {
                let _ = identity::kill(process, GONE_TIMEOUT);
            }
            // A detached one has forked by now or is about to, and has not said who it is: it ends itself, and its reports
            // with it.
            (None, Some(reports)) => wait_for_end(reports.into_inner()),
            (None, None) => {}
        }
        if let (Some(directory), Some(_)) = (&self.directory, &self.process) {
            // A VMM that was just being forked off has the lock as well, until the kernel has killed it.
            let _ = identity::supervisor(directory);
            let _ = clear(directory);
        }
    }
}

/// Waits until nobody can write reports any more.
fn wait_for_end(reports: pipe::Receiver) {
    let Ok(mut reports) = reports.into_nonblocking_fd().map(std::fs::File::from) else { return };
    let deadline = Instant::now() + GONE_TIMEOUT;
    while identity::wait_readable(reports.as_fd(), deadline.saturating_duration_since(Instant::now())) {
        match io::Read::read(&mut reports, &mut [0; 4096]) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Connects to the box that runs in `directory`, if one does. One that is just being started is waited for.
///
/// # Errors
/// `Storage` if the directory cannot be read, `Network` if the shim does not answer.
pub async fn connect(directory: &Path) -> Result<Option<Session>> {
    let deadline = Instant::now() + GREETING_TIMEOUT;
    loop {
        if identity::supervisor(directory)?.is_none() {
            return Ok(None);
        }
        match open_session(directory).await {
            Ok(Some(session)) => return Ok(Some(session)),
            Ok(None) => {}
            // It may be ending at this very moment: then there will be no supervisor when it is looked for again.
            Err(error) if error.code() == ErrorCode::Network && Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
        if Instant::now() > deadline {
            let message = format!("the box in `{}` does not listen", directory.display());
            return Err(Error::new(ErrorCode::Network, message));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether an attempt at a connection failed for want of somebody who listens; one that stops doing so at that very moment
/// resets it.
fn is_nobody(failure: io::ErrorKind) -> bool {
    matches!(
        failure,
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

/// Opens a session at the socket in `directory`; `None` if nobody listens there.
async fn open_session(directory: &Path) -> Result<Option<Session>> {
    let open = std::fs::File::open(directory).map_err(|error| Error::io("open", directory, error))?;
    let stream = match UnixStream::connect(listener::address(&open)).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(error.kind()) => return Ok(None),
        Err(error) => return Err(Error::io("connect to the box in", directory, error)),
    };
    match tokio::time::timeout(GREETING_TIMEOUT, Session::connect(stream)).await {
        Ok(session) => session.map(Some),
        Err(_) => {
            let message = format!("the box in `{}` does not greet", directory.display());
            Err(Error::new(ErrorCode::Network, message))
        }
    }
}

/// Ends whatever is left of a box whose shim is gone, and returns how its last run ended, if there was one.
///
/// # Errors
/// `InUse` if its shim lives; `Storage` if the directory cannot be read or written.
pub fn reap(directory: &Path) -> Result<Option<ExitRecord>> {
    let open = match std::fs::File::open(directory) {
        // Removed together with the box by whoever learned of its end first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => OwnedFd::from(opened.map_err(|error| Error::io("open", directory, error))?),
    };
    // Held until everything is cleared away: the box may be started again by whoever else has seen it end.
    let _lock = loop {
        match identity::lock_again(&open) {
            Ok(Some(lock)) => break lock,
            Ok(None) => {}
            // Nothing has ever run there, or it is just being removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return record::read(directory),
            Err(error) => return Err(Error::io("lock", directory, error)),
        }
        if identity::supervisor(directory)?.is_some() {
            let message = format!("the box in `{}` is running", directory.display());
            return Err(Error::new(ErrorCode::InUse, message));
        }
    };
    if let Some(processes) = identity::processes(directory)?
        && record::read(directory)?.is_none()
    {
        let restarted = identity::boot_id().is_ok_and(|boot_id| boot_id != processes.shim.boot_id);
        let reason = if restarted {
            "machine died: its host was restarted"
        } else {
            "machine died: its shim was killed"
        };
        record::write(&open, &ExitRecord::now(KILLED, reason))
            .map_err(|error| Error::io("write the exit record in", directory, error))?;
    }
    clear(directory)?;
    record::read(directory)
}

/// Ends the VMM of a shim that is gone, and removes the files that name it.
fn clear(directory: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("clean up", directory, error);
    if let Some(vmm) = identity::processes(directory)?.and_then(|processes| processes.vmm)
        && !identity::kill(&vmm, GONE_TIMEOUT).map_err(failed)?
    {
        let message = format!("process {} of the box cannot be killed", vmm.pid);
        return Err(Error::new(ErrorCode::Engine, message));
    }
    let open = match std::fs::File::open(directory) {
        // Removed together with the box by whoever learned of its end first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => OwnedFd::from(opened.map_err(failed)?),
    };
    files::remove(&open, listener::SOCKET_FILE).map_err(failed)?;
    files::remove(&open, identity::PROCESSES_FILE).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_was_removed_meanwhile_has_nothing_left_to_reap() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(reap(&root.path().join("gone")).unwrap(), None);
    }

    #[test]
    fn reaping_makes_nothing_in_a_box_that_is_being_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("box");
        for _ in 0..200 {
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("lock"), "").unwrap();
            std::fs::write(directory.join("disk"), "").unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| reap(&directory));
                std::fs::remove_dir_all(&directory).unwrap();
            });
        }
    }
}
