//! A running VMM, and how one is started.
//!
//! [`Spawn`] is the seam to the jail: the shim starts VMMs through its own, tests and nothing else through
//! [`PlainSpawn`]. A [`VmmProcess`] owns what was started: dropping it kills and reaps.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use boxlite_types::{Context, Error, ErrorCode, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
};

use super::command::VmmCommand;

/// Bytes of the VMM's last output that are kept for error messages.
const LAST_WORDS_BYTES: usize = 4096;

/// Starts a VMM.
pub trait Spawn {
    /// Starts `command`. The caller's copies of the inherited descriptors are closed when this returns, so that the
    /// death of the VMM is seen on every channel.
    ///
    /// # Errors
    /// `Engine` or `ResourceExhausted` if it cannot be started; nothing is left running then.
    fn spawn(&self, command: VmmCommand) -> Result<VmmProcess>;
}

/// A running VMM.
pub struct VmmProcess {
    pid: u32,
    pidfd: OwnedFd,
    last_words: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    ended: Option<WaitIdStatus>,
}

impl VmmProcess {
    /// Takes charge of the child `pid`, whose standard error is `stderr`.
    ///
    /// # Errors
    /// `Engine` if `pid` is no child of this process.
    pub fn new(pid: u32, stderr: OwnedFd) -> Result<Self> {
        let raw = rustix::process::Pid::from_raw(pid as i32)
            .ok_or_else(|| Error::new(ErrorCode::Internal, "process id 0 is no process"))?;
        let pidfd = pidfd_open(raw, PidfdFlags::empty())
            .map_err(|source| Error::new(ErrorCode::Engine, format!("cannot watch the VMM: {source}")))?;
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let words = Arc::clone(&last_words);
        let reader = std::thread::Builder::new()
            .name("vmm-stderr".into())
            .spawn(move || keep_last_words(stderr, &words))
            .map_err(|source| {
                Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {source}"))
            })?;
        Ok(VmmProcess { pid, pidfd, last_words, reader: Some(reader), ended: None })
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills it. A process that is gone already is no error.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until it ends, at most for `timeout`; returns how it ended in words, or `None` if it still runs.
    pub fn wait(&mut self, timeout: Duration) -> Option<String> {
        if self.ended.is_none() {
            let deadline = Instant::now() + timeout;
            while !readable_before(self.pidfd.as_fd(), deadline) {
                if Instant::now() >= deadline {
                    return None;
                }
            }
            self.ended = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).ok().flatten();
        }
        Some(match &self.ended {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exited with code {code}"),
                (_, Some(signal)) => format!("was killed by signal {signal}"),
                _ => "ended".to_owned(),
            },
            None => "ended".to_owned(),
        })
    }

    /// Returns the last lines of its standard error, on one line.
    pub fn last_words(&mut self) -> String {
        if self.ended.is_some()
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
        let bytes = self.last_words.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }

    /// Turns a failure on one of its channels into one that says what became of the VMM, if that explains it.
    pub fn explain(&mut self, error: Error) -> Error {
        // A channel closes a moment before the process can be reaped.
        let Some(end) = self.wait(Duration::from_millis(500)) else { return error };
        let words = self.last_words();
        let message = if words.is_empty() {
            format!("the virtual machine {end}")
        } else {
            format!("the virtual machine {end}: {words}")
        };
        Error::new(ErrorCode::Engine, message).caused_by(error)
    }
}

impl Drop for VmmProcess {
    fn drop(&mut self) {
        self.kill();
        // A process that was sent SIGKILL ends, unless the kernel itself is stuck.
        let _ = self.wait(Duration::from_secs(10));
    }
}

/// Waits until `fd` is readable or at its end; false if the deadline came first or the wait was interrupted.
pub(super) fn readable_before(fd: BorrowedFd<'_>, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    let mut poll_fd = [PollFd::new(&fd, PollFlags::IN)];
    matches!(poll(&mut poll_fd, Some(&timeout)), Ok(ready) if ready > 0)
}

fn keep_last_words(stderr: OwnedFd, words: &Mutex<Vec<u8>>) {
    let mut stderr = std::fs::File::from(stderr);
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut chunk) {
        let mut kept = words.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..length]);
        let surplus = kept.len().saturating_sub(LAST_WORDS_BYTES);
        kept.drain(..surplus);
    }
}

/// Gives descriptors of a freshly forked child the numbers they are to have, each pair being `(now, then)`.
///
/// Only makes system calls, so it may run between fork and exec. Every descriptor is first moved out of the way of all
/// new numbers: a target may be another one's source.
pub fn place_files(pairs: &mut [(RawFd, RawFd)]) -> std::io::Result<()> {
    let above = pairs.iter().map(|pair| pair.1).max().unwrap_or(0) + 1;
    for (now, _) in pairs.iter_mut() {
        // SAFETY: fcntl with F_DUPFD_CLOEXEC touches no memory.
        let moved = unsafe { libc::fcntl(*now, libc::F_DUPFD_CLOEXEC, above) };
        if moved < 0 {
            return Err(std::io::Error::last_os_error());
        }
        *now = moved;
    }
    for (now, then) in pairs.iter() {
        // SAFETY: dup2 touches no memory; what it closes is none of this child's business.
        if unsafe { libc::dup2(*now, *then) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Starts VMMs as they are, without a jail: for tests and benches.
pub struct PlainSpawn;

impl Spawn for PlainSpawn {
    fn spawn(&self, command: VmmCommand) -> Result<VmmProcess> {
        let mut pairs: Vec<(RawFd, RawFd)> =
            command.files.iter().map(|(file, number)| (file.as_raw_fd(), *number)).collect();
        let mut child = Command::new(&command.program);
        child.args(&command.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // SAFETY: the closure only makes system calls on memory allocated before the fork.
        unsafe { child.pre_exec(move || place_files(&mut pairs)) };
        let mut child = child.spawn().map_err(|source| {
            Error::new(ErrorCode::Engine, format!("cannot start `{}`: {source}", command.program.display()))
                .with(Context::Path, command.program.display().to_string())
                .caused_by(source)
        })?;
        let stderr =
            child.stderr.take().ok_or_else(|| Error::new(ErrorCode::Internal, "no pipe was made"))?;
        VmmProcess::new(child.id(), stderr.into())
    }
}
