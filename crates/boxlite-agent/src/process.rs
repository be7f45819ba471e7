//! Becoming and starting processes: the system calls around fork and exec.
//!
//! What runs in the child between fork and exec calls nothing but the kernel: another thread of the agent may have held
//! any lock of libc at the moment of the fork. A failure there travels back over a pipe that a successful exec closes.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use boxlite_types::{Error, ErrorCode, Result};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::Place;
use crate::command::Command;
use crate::failure::{failed, show, text_of};

/// Soft limit on open files that commands get: programs that close every possible descriptor stay fast.
const COMMAND_OPEN_FILES: u64 = 1024;

/// Hard limit on open files, for the agent and as far as a command may raise its own.
const MOST_OPEN_FILES: u64 = 1_048_576;

/// Prepares the agent's own process: no signal of a broken pipe kills it, the box cannot read its memory, and orphans of
/// the box come to it. That the kernel never kills it for lack of memory needs no doing: process 1 is exempt.
pub(crate) fn prepare_self(place: &Place) -> Result<()> {
    // SAFETY: both calls only change how this process treats a signal; no handler of ours is involved.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::umask(0o022);
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|errno| failed("protect the agent's memory", errno))?;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = match place {
        Place::Machine => Some(MOST_OPEN_FILES),
        Place::Host => limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    if let Place::Machine = place {
        // A batch process does not interrupt whoever wakes it: a command fills its pipe before we read it. With one
        // processor that makes a stream of small writes cost a third less.
        schedule_as(libc::SCHED_BATCH);
    }
    Ok(())
}

fn schedule_as(policy: libc::c_int) {
    // SAFETY: an all-zero `sched_param` is what both ordinary policies want; a refusal changes nothing.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, policy, &parameters);
    }
}

/// What a child is given.
pub(crate) struct Launch<'a> {
    pub(crate) command: &'a Command,
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// Where it reports what kept it from running the program.
    pub(crate) failure: BorrowedFd<'a>,
}

/// The step that failed in a child, and its errno.
pub(crate) type StepFailure = (i32, i32);

/// Length of a [`StepFailure`] as it travels over the failure pipe.
pub(crate) const FAILURE_BYTES: usize = 8;

const STEP_START: i32 = 1;
const STEP_TERMINAL: i32 = 2;
const STEP_DIRECTORY: i32 = 3;
const STEP_USER: i32 = 4;
const STEP_PROGRAM: i32 = 5;

/// Returns the error for what a child reported.
pub(crate) fn failure_of(report: [u8; FAILURE_BYTES], command: &Command) -> Error {
    let word = |at: usize| i32::from_ne_bytes([report[at], report[at + 1], report[at + 2], report[at + 3]]);
    let errno = Errno::from_raw_os_error(word(4));
    let name = show(&command.name);
    let cannot = |what: String| {
        let code = match errno {
            Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE => ErrorCode::ResourceExhausted,
            _ => ErrorCode::Execution,
        };
        Error::new(code, format!("cannot {what}: {}", text_of(errno)))
    };
    match word(0) {
        STEP_PROGRAM if matches!(errno, Errno::NOENT | Errno::NOTDIR) => {
            Error::new(ErrorCode::NotFound, format!("no program `{name}` in the box"))
        }
        STEP_PROGRAM if errno == Errno::NOEXEC => {
            Error::new(ErrorCode::Execution, format!("`{name}` is no program this box can execute"))
        }
        STEP_PROGRAM => cannot(format!("execute `{name}`")),
        STEP_DIRECTORY => {
            let directory = command.directories.last().map_or(b"/".as_slice(), |path| path.to_bytes());
            cannot(format!("enter the working directory `{}` of `{name}`", show(directory)))
        }
        STEP_USER => cannot(format!("become the user of `{name}`")),
        STEP_TERMINAL => cannot(format!("give `{name}` its terminal")),
        _ => cannot(format!("start `{name}`")),
    }
}

/// Of `<linux/sched.h>`; libc's own constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts a command as a child of this process, from its first moment in `cgroup`.
pub(crate) fn spawn_in_cgroup(launch: &Launch<'_>, cgroup: BorrowedFd<'_>) -> Result<u32, Errno> {
    fork_into(cgroup, launch.failure, || become_command(launch))
}

/// Forks a child that is in `cgroup` from its first moment, and reports to `failure` what `child` fails with. If another
/// thread of this process may hold a lock, `child` calls nothing but the kernel.
pub(crate) fn fork_into(
    cgroup: BorrowedFd<'_>,
    failure: BorrowedFd<'_>,
    child: impl FnOnce() -> Result<Infallible, StepFailure>,
) -> Result<u32, Errno> {
    // SAFETY: all-zero is a valid `clone_args`: every field is an integer for which zero means "not used".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = cgroup.as_raw_fd() as u64;
    // SAFETY: without CLONE_VM this is a fork: the child goes on with a copy of this stack, and `child` never returns into
    // code that could need a lock another thread held.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => end(failure, child()),
        pid if pid > 0 => Ok(pid as u32),
        _ => Err(last_errno()),
    }
}

/// Starts a command as a child of this process, which must have a single thread.
pub(crate) fn spawn(launch: &Launch<'_>) -> Result<u32, Errno> {
    // SAFETY: the child calls nothing but the kernel.
    match unsafe { libc::fork() } {
        0 => end(launch.failure, become_command(launch)),
        pid if pid > 0 => Ok(pid as u32),
        _ => Err(last_errno()),
    }
}

/// Turns the calling process, a child fresh from its fork, into the command.
fn become_command(launch: &Launch<'_>) -> Result<Infallible, StepFailure> {
    let stdio = launch.stdio.map(|fd| fd.as_raw_fd());
    let command = launch.command;
    // SAFETY: plain system calls on descriptors and strings that outlive them; every pointer comes from `Command`, whose
    // arrays end with null, or from a local.
    unsafe {
        take_place(stdio, command.terminal, command.reschedule)?;
        run(command)
    }
}

/// Reports what kept a child from becoming its command, and ends it.
fn end(failure: BorrowedFd<'_>, result: Result<Infallible, StepFailure>) -> ! {
    let (step, errno) = match result {
        Err(failed) => failed,
        Ok(never) => match never {},
    };
    let mut report = [0; FAILURE_BYTES];
    report[..4].copy_from_slice(&step.to_ne_bytes());
    report[4..].copy_from_slice(&errno.to_ne_bytes());
    // SAFETY: writes a local array to a descriptor this process holds.
    unsafe { libc::write(failure.as_raw_fd(), report.as_ptr().cast(), report.len()) };
    give_up()
}

/// Ends a child that has not become anything, without running any destructor.
pub(crate) fn give_up() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(127) }
}

fn check(step: i32, result: libc::c_long) -> Result<(), StepFailure> {
    if result < 0 { Err((step, last_errno().raw_os_error())) } else { Ok(()) }
}

/// Makes a child what every command is: without the agent's signals and limits, in a session and with streams of its own.
///
/// # Safety
/// Only in a child fresh from its fork.
pub(crate) unsafe fn take_place(
    stdio: [RawFd; 3],
    terminal: bool,
    reschedule: bool,
) -> Result<(), StepFailure> {
    // SAFETY: see `become_command`.
    unsafe {
        reset_signals();
        check(STEP_START, libc::setsid().into())?;
        if terminal {
            check(STEP_TERMINAL, libc::ioctl(stdio[0], libc::TIOCSCTTY, 0).into())?;
        }
        for (target, source) in stdio.into_iter().enumerate() {
            check(STEP_START, libc::dup2(source, target as RawFd).into())?;
        }
        reset_limits(reschedule);
    }
    Ok(())
}

/// Makes what was mounted over the root of this process its root.
///
/// # Safety
/// As [`take_place`].
pub(crate) unsafe fn enter_what_is_mounted_here() -> Result<(), StepFailure> {
    // SAFETY: system calls on constant strings. The parent of a root is that root, with what is mounted on it.
    unsafe {
        check(STEP_START, libc::chdir(c"/..".as_ptr()).into())?;
        check(STEP_START, libc::chroot(c".".as_ptr()).into())
    }
}

/// Puts nothing in place of standard input.
///
/// # Safety
/// As [`take_place`].
pub(crate) unsafe fn without_input() -> Result<(), StepFailure> {
    // SAFETY: opens a device; the descriptor it replaces is this process's standard input.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        check(STEP_START, null.into())?;
        check(STEP_START, libc::dup2(null, libc::STDIN_FILENO).into())
    }
}

/// Becomes the command.
///
/// # Safety
/// As [`take_place`], which came before.
pub(crate) unsafe fn run(command: &Command) -> Result<Infallible, StepFailure> {
    // SAFETY: see `become_command`.
    unsafe {
        enter(&command.directories).map_err(|errno| (STEP_DIRECTORY, errno.raw_os_error()))?;
        if let Some(identity) = &command.identity {
            // The raw calls: libc's versions would try to change every thread of a process that has only one.
            let (uid, gid) = (identity.uid, identity.gid);
            let groups = &identity.groups;
            check(STEP_USER, libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
            check(STEP_USER, libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            check(STEP_USER, libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
        }
        let rest = libc::CLOSE_RANGE_CLOEXEC;
        check(STEP_START, libc::syscall(libc::SYS_close_range, 3, u32::MAX, rest))?;
        // As `execvp`: what is not there is looked for further on, and what may not be executed is reported only if
        // nothing else can.
        let mut worst = Errno::NOENT;
        for candidate in &command.candidates {
            libc::execve(candidate.as_ptr(), command.arguments.as_ptr(), command.environment.as_ptr());
            match last_errno() {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => worst = Errno::ACCESS,
                errno => return Err((STEP_PROGRAM, errno.raw_os_error())),
            }
        }
        Err((STEP_PROGRAM, worst.raw_os_error()))
    }
}

/// # Safety
/// As [`take_place`].
unsafe fn reset_signals() {
    // SAFETY: an all-zero `sigaction`, of any architecture's layout, is the default without flags. The bare call, as libc
    // keeps two signals to itself and would leave them as they are.
    unsafe {
        let default = [0u64; 4];
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0, 8);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Takes back what the agent is given: its turn, its many files.
///
/// # Safety
/// As [`take_place`].
unsafe fn reset_limits(reschedule: bool) {
    // SAFETY: system calls on local structures.
    unsafe {
        if reschedule {
            schedule_as(libc::SCHED_OTHER);
        }
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(COMMAND_OPEN_FILES);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Enters the last of the directories, making those that are missing.
///
/// # Safety
/// As [`take_place`].
unsafe fn enter(directories: &[std::ffi::CString]) -> Result<(), Errno> {
    let Some(last) = directories.last() else { return Ok(()) };
    // SAFETY: system calls on strings that end with zero.
    unsafe {
        if libc::chdir(last.as_ptr()) == 0 {
            return Ok(());
        }
        if last_errno() == Errno::NOENT {
            for directory in directories {
                libc::mkdir(directory.as_ptr(), 0o755);
            }
        }
        if libc::chdir(last.as_ptr()) == 0 { Ok(()) } else { Err(last_errno()) }
    }
}

/// Closes every descriptor of a child above the standard ones, but those it keeps.
pub(crate) fn close_all_but(kept: &mut [RawFd]) {
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.iter().copied().chain([RawFd::MAX]) {
        if fd > first {
            // SAFETY: closes descriptors that this process, a fresh copy of the agent, will not use.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = first.max(fd.saturating_add(1));
    }
}

/// Returns the error of the system call that just failed.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: libc gives each thread a valid place for its error number.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
