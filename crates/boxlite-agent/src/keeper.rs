//! A process that holds one command's tree where there are no cgroups.
//!
//! It is a subreaper: whatever the command starts, and however it cuts itself loose, falls to the keeper when its parent
//! dies. So the tree is what descends from the keeper, and killing it is a walk repeated until nothing is left. When the
//! agent dies the keeper notices on their socket, and kills the tree.
//!
//! The keeper sends two messages of a tag and a number: the command's process id, then its wait status. It ends when its
//! last child has.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::process::{self, Launch, last_errno};

const TAG_PID: i32 = 1;
const TAG_STATUS: i32 = 2;
const KILL: &[u8] = b"kill";

/// The agent's end.
pub(crate) struct Keeper {
    socket: OwnedFd,
}

/// What a keeper says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The command has this process id.
    Pid(u32),
    /// The command ended with this wait status.
    Status(i32),
    /// Nothing for now.
    Nothing,
    /// It is gone.
    Gone,
}

/// Starts a keeper that starts the command.
pub(crate) fn start(launch: &Launch<'_>) -> Result<Keeper, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // SAFETY: libc's own fork, not the bare system call: the child goes on to use the allocator.
    match unsafe { libc::fork() } {
        0 => {
            let code = keep(&theirs, launch).map_or(1, |()| 0);
            // SAFETY: ends the keeper without running the agent's exit handlers in it.
            unsafe { libc::_exit(code) }
        }
        pid if pid > 0 => Ok(Keeper { socket: ours }),
        _ => Err(last_errno()),
    }
}

impl Keeper {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn kill(&mut self) {
        let _ = rustix::net::send(&self.socket, KILL, SendFlags::NOSIGNAL);
    }

    /// Takes the next thing it says.
    pub(crate) fn hear(&self) -> Said {
        let mut message = [0; 8];
        match rustix::net::recv(&self.socket, &mut message, RecvFlags::empty()) {
            Ok((8, _)) => {
                let word = |at: usize| {
                    i32::from_ne_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]])
                };
                if word(0) == TAG_PID { Said::Pid(word(4) as u32) } else { Said::Status(word(4)) }
            }
            Err(Errno::AGAIN | Errno::INTR) => Said::Nothing,
            _ => Said::Gone,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.hear() == Said::Gone
    }
}

fn keep(socket: &OwnedFd, launch: &Launch<'_>) -> Result<(), Errno> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Other commands' pipes must not be held open by this keeper.
    let mut kept: Vec<RawFd> = launch.stdio.iter().map(|fd| fd.as_raw_fd()).collect();
    kept.extend([socket.as_raw_fd(), launch.failure.as_raw_fd()]);
    process::close_all_but(&mut kept);

    let mut child_signal = empty_set();
    // SAFETY: blocks one signal of this process, and makes a descriptor that reads it, which is then owned here.
    let signals = unsafe {
        libc::sigaddset(&mut child_signal, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &child_signal, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &child_signal, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(last_errno());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let pid = process::spawn(launch)?;
    for fd in launch.stdio.iter().chain([&launch.failure]).map(|fd| fd.as_raw_fd()) {
        // SAFETY: the command has them now, and nothing here uses them again.
        unsafe { libc::close(fd) };
    }
    say(socket, TAG_PID, pid as i32);
    loop {
        let mut waiting = [PollFd::new(socket, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let mut scrap = [0; 1024];
        while rustix::io::read(&signals, &mut scrap).is_ok() {}
        match rustix::net::recv(socket, &mut scrap, RecvFlags::empty()) {
            // The agent is gone.
            Ok((0, _)) => return kill_descendants(socket, pid),
            Ok(_) => kill_descendants(socket, pid)?,
            Err(_) => {}
        }
        if !reap(socket, pid) {
            return Ok(());
        }
    }
}

/// Reaps what has ended; `false` once there are no children.
fn reap(socket: &OwnedFd, command: u32) -> bool {
    loop {
        let mut status = 0;
        // SAFETY: writes into a local.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
            0 => return true,
            pid if pid > 0 => {
                if pid as u32 == command {
                    say(socket, TAG_STATUS, status);
                }
            }
            _ => return last_errno() != Errno::CHILD,
        }
    }
}

/// Stops every descendant until no new one appears, so that none can fork its way out, then kills them all.
fn kill_descendants(socket: &OwnedFd, command: u32) -> Result<(), Errno> {
    while reap(socket, command) {
        let mut stopped = descendants();
        loop {
            stopped.iter().for_each(|pid| signal(*pid, Signal::STOP));
            let now = descendants();
            if now.iter().all(|pid| stopped.contains(pid)) {
                break;
            }
            stopped = now;
        }
        stopped.iter().for_each(|pid| signal(*pid, Signal::KILL));
        // They are gone when they can be reaped; a short wait lets the kernel get there.
        rustix::event::poll(&mut [], Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 1_000_000 }))?;
    }
    Ok(())
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Returns every process that descends from this one and is not a zombie.
fn descendants() -> Vec<u32> {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything, also spaces and parentheses.
        let Some(end) = stat.iter().rposition(|byte| *byte == b')') else { continue };
        let rest = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
        let mut fields = rest.split_ascii_whitespace();
        let (state, parent) = (fields.next(), fields.next().and_then(|field| field.parse::<u32>().ok()));
        if let (Some(state), Some(parent)) = (state, parent) {
            parents.insert(pid, (parent, state != "Z"));
        }
    }
    let own = std::process::id();
    let descends = |mut pid: u32| {
        // A pid may have been reused while the directory was read; the bound keeps a loop of stale parents finite.
        for _ in 0..=parents.len() {
            match parents.get(&pid) {
                Some((parent, _)) if *parent == own => return true,
                Some((parent, _)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    parents.iter().filter(|(pid, (_, alive))| *alive && descends(**pid)).map(|(pid, _)| *pid).collect()
}

fn say(socket: &OwnedFd, tag: i32, value: i32) {
    let mut message = [0; 8];
    message[..4].copy_from_slice(&tag.to_ne_bytes());
    message[4..].copy_from_slice(&value.to_ne_bytes());
    let _ = rustix::net::send(socket, &message, SendFlags::NOSIGNAL);
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: `sigemptyset` initialises what it is given.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}
