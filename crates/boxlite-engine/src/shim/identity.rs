//! Who runs a box: a lock that is held while a shim lives, and the identities of its processes.
//!
//! `lock` in the directory of a box is locked by its shim for the whole of its life; the kernel lets go of it however the
//! shim ends, so it says beyond doubt whether one lives. `shim.json` says which processes they are. The lock is an "open
//! file description" lock (`fcntl(2)`), because those can be asked about without being taken: asking never disturbs a
//! shim that is just starting.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use boxlite_types::{Error, ErrorCode, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use super::files;
use crate::ProcessIdentity;

/// Name of the lock file in the directory of a box.
const LOCK_FILE: &str = "lock";

/// Name of the file with the [`Processes`] of a running box.
pub(super) const PROCESSES_FILE: &str = "shim.json";

/// The processes of a running box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Processes {
    pub shim: ProcessIdentity,
    /// Absent until the machine has been started.
    pub vmm: Option<ProcessIdentity>,
}

/// The lock of a box, held until it is dropped.
pub(super) struct Held(OwnedFd);

impl Drop for Held {
    fn drop(&mut self) {
        // Said, and not left to the last close: a child that is just being forked has the file open as well.
        let _ = set_lock(&self.0, libc::F_UNLCK);
    }
}

/// Takes the lock of a box; `None` if somebody else has it.
pub(super) fn lock(directory: &OwnedFd) -> io::Result<Option<Held>> {
    take(directory, OFlags::CREATE)
}

/// As [`lock`], of a box that was locked before: makes nothing in a directory that may just be being removed.
///
/// # Errors
/// `NotFound` if it never was.
pub(super) fn lock_again(directory: &OwnedFd) -> io::Result<Option<Held>> {
    take(directory, OFlags::empty())
}

fn take(directory: &OwnedFd, more: OFlags) -> io::Result<Option<Held>> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | more;
    let file = openat(directory, LOCK_FILE, flags, Mode::from_raw_mode(0o600))?;
    match set_lock(&file, libc::F_WRLCK) {
        Ok(()) => Ok(Some(Held(file))),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn set_lock(file: &OwnedFd, kind: libc::c_int) -> io::Result<()> {
    let wanted = whole_file(kind);
    // SAFETY: F_OFD_SETLK reads one `flock`, which outlives the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const wanted) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns whether a shim holds the lock of the box in `directory`.
fn is_locked(directory: &Path) -> Result<bool> {
    let path = directory.join(LOCK_FILE);
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    let mut found = whole_file(libc::F_WRLCK);
    // SAFETY: F_OFD_GETLK reads and writes one `flock`, which outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut found) } != 0 {
        return Err(Error::io("ask for the lock of", &path, io::Error::last_os_error()));
    }
    Ok(found.l_type != libc::F_UNLCK as libc::c_short)
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // SAFETY: `flock` is plain data, for which zero is a value; a zero length is the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// Returns which shim supervises the box in `directory`, if one does.
///
/// # Errors
/// `Storage` if the directory cannot be read.
pub fn supervisor(directory: &Path) -> Result<Option<ProcessIdentity>> {
    // Between taking its lock and saying who it is, a shim does nothing else, and the kernel lets go of the lock of one that
    // was killed at once, though after its connections: both are waited for.
    let deadline = Instant::now() + Duration::from_secs(1);
    while is_locked(directory)? {
        let processes = processes(directory)?.filter(|processes| has_a_future(&processes.shim));
        if let Some(processes) = processes {
            return Ok(Some(processes.shim));
        }
        if Instant::now() > deadline {
            let message = format!("the box in `{}` is locked by an unknown process", directory.display());
            return Err(Error::new(ErrorCode::InUse, message));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

/// Returns the processes last noted for the box in `directory`; they may be gone.
pub(super) fn processes(directory: &Path) -> Result<Option<Processes>> {
    let path = directory.join(PROCESSES_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path, error)),
    }
}

/// Notes the processes of the box. Not made durable: after a crash of the host none of them runs.
pub(super) fn note(directory: &OwnedFd, processes: &Processes) -> io::Result<()> {
    let bytes = serde_json::to_vec(processes)?;
    files::replace(directory, PROCESSES_FILE, &bytes, files::Durable::No)
}

/// Returns the identity of a process that runs.
pub(super) fn of_process(pid: u32) -> io::Result<ProcessIdentity> {
    Ok(ProcessIdentity { pid, start_ticks: stat(pid)?.start_ticks, boot_id: boot_id()? })
}

/// Returns what is different after each start of the host.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What `/proc/<pid>/stat` says of a process, see proc(5).
struct Stat {
    /// Field 9, the flags that the kernel keeps for it.
    flags: u64,
    /// Field 22, when it was started, in clock ticks since the start of the host.
    start_ticks: u64,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses, which may hold anything, also spaces and parentheses.
    let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(&stat[..0], |end| &stat[end + 1..]);
    let text = String::from_utf8_lossy(after_name);
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse().ok());
    match (field(9), field(22)) {
        (Some(flags), Some(start_ticks)) => Ok(Stat { flags, start_ticks }),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as in proc(5)")))
        }
    }
}

fn is_alive(process: &ProcessIdentity) -> bool {
    of_process(process.pid).is_ok_and(|found| found == *process)
}

/// Returns whether a process is alive, and not just being taken apart by the kernel.
fn has_a_future(process: &ProcessIdentity) -> bool {
    /// Set before the first descriptor of a process that ends is closed (`PF_EXITING` of `include/linux/sched.h`).
    const EXITING: u64 = 0x4;
    let same = |stat: Stat| stat.start_ticks == process.start_ticks && stat.flags & EXITING == 0;
    stat(process.pid).is_ok_and(same) && boot_id().is_ok_and(|boot_id| boot_id == process.boot_id)
}

/// Returns a pidfd of a process; `None` if it is gone.
pub(crate) fn open(process: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Looked at after the pidfd was made: if the id still is that process, so is the pidfd.
    Ok(is_alive(process).then_some(pidfd))
}

/// Kills a process, and waits until it is gone or `timeout` is over. Returns whether it is gone.
pub(super) fn kill(process: &ProcessIdentity, timeout: Duration) -> io::Result<bool> {
    let Some(pidfd) = open(process)? else { return Ok(true) };
    match pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(wait_readable(pidfd.as_fd(), timeout))
}

/// Makes a descriptor one that the async runtime can wait for.
pub(super) fn waitable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, so it stays open and the same until it is deregistered.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Waits until a descriptor is readable; false if it is not by then.
pub(super) fn wait_readable(fd: std::os::fd::BorrowedFd<'_>, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        let open = File::open(directory.path()).unwrap().into();
        (directory, open)
    }

    #[test]
    fn a_lock_is_seen_without_being_taken_and_ends_with_its_holder() {
        let (path, open) = directory();
        assert!(!is_locked(path.path()).unwrap());
        let held = lock(&open).unwrap().unwrap();
        assert!(is_locked(path.path()).unwrap());
        assert!(lock(&open).unwrap().is_none());
        // What a fork leaves in a child: another descriptor of the same open file.
        let _child = held.0.try_clone().unwrap();
        drop(held);
        assert!(!is_locked(path.path()).unwrap());
        assert!(lock(&open).unwrap().is_some());
    }

    #[test]
    fn the_supervisor_is_whoever_noted_itself_under_the_lock() {
        let (path, open) = directory();
        let me = of_process(std::process::id()).unwrap();
        note(&open, &Processes { shim: me.clone(), vmm: None }).unwrap();
        assert_eq!(supervisor(path.path()).unwrap(), None);
        let _held = lock(&open).unwrap().unwrap();
        assert_eq!(supervisor(path.path()).unwrap(), Some(me));
    }

    #[test]
    fn a_process_with_a_reused_id_is_not_the_same_process() {
        let mut me = of_process(std::process::id()).unwrap();
        assert!(open(&me).unwrap().is_some());
        me.start_ticks -= 1;
        assert!(open(&me).unwrap().is_none());
        assert!(kill(&me, Duration::ZERO).unwrap());
    }

    #[test]
    fn a_process_that_ends_has_no_future() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = of_process(child.id()).unwrap();
        assert!(has_a_future(&process));
        let pidfd = open(&process).unwrap().unwrap();
        drop(child.stdin.take());
        assert!(wait_readable(pidfd.as_fd(), Duration::from_secs(60)));
        // Not collected yet, so it is still there.
        assert!(is_alive(&process) && !has_a_future(&process));
        child.wait().unwrap();
    }
}
