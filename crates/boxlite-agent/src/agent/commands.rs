//! Starting commands.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use boxlite_protocol::{Channel, Exec, Frame, FrameKind, Opened};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};

use super::{Agent, Part, State, terminal};
use crate::command::Command;
use crate::pipes::{Inlet, Outlet};
use crate::process::{self, FAILURE_BYTES, Launch};
use crate::spare::Spare;
use crate::stream::{Running, Serial, Starting, Stream, Work};
use crate::tree::Tree;

/// Our ends of the standard streams.
struct Streams {
    inlet: Option<OwnedFd>,
    outlets: [Option<OwnedFd>; 2],
    terminal: Option<OwnedFd>,
}

/// A command whose process is there.
struct Planted {
    tree: Tree,
    pid: Option<u32>,
    failure: OwnedFd,
    streams: Streams,
}

impl Agent {
    pub(super) fn execute(&mut self, id: u32, exec: Exec) -> Result<()> {
        let command = Command::resolve(&exec, &self.place, &self.hostname)?;
        let planted = match self.plant_spare(&exec, &command) {
            Some(planted) => planted,
            None => self.plant(&exec, &command)?,
        };
        let Planted { mut tree, pid, failure, streams } = planted;

        let serial = self.new_serial();
        // From here on a failure must not leave the command running.
        let watched = self.watch_all(serial, &tree, &failure, &streams.inlet, &streams.outlets);
        if let Err(error) = watched {
            tree.kill();
            self.left_behind.push(tree);
            return Err(error);
        }
        let is_terminal = streams.terminal.is_some();
        let [stdout, stderr] = streams.outlets;
        let timeout = exec.timeout_ms.map(Duration::from_millis);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let stream = Stream {
            id: Some(id),
            work: Work::Command(Running {
                tree,
                pid,
                starting: Some(Starting { failure, command, begun: false }),
                status: None,
                deadline,
                grace: None,
                timed_out: false,
                terminal: streams.terminal,
            }),
            inlet: streams.inlet.map(|fd| Inlet::new(fd, is_terminal)),
            outlets: [
                stdout.map(|fd| Outlet::new(fd, Channel::Stdout)),
                stderr.map(|fd| Outlet::new(fd, Channel::Stderr)),
            ],
            abandoned: Vec::new(),
        };
        self.streams.insert(serial, stream);
        self.ids.insert(id, serial);
        self.timers.extend(deadline.map(|deadline| (deadline, serial)));
        if let Some(pid) = pid {
            self.pids.insert(pid, serial);
        }
        if exec.detach {
            // Only a terminal has one: somebody has to read it, or its writers would wait for ever.
            self.abandon(serial, 0);
        }
        Ok(())
    }

    /// Makes the spare the command, if there is one and it will do.
    fn plant_spare(&mut self, exec: &Exec, command: &Command) -> Option<Planted> {
        let mut spare = self.spare.take()?;
        if exec.tty.is_some() || exec.detach {
            return None;
        }
        let tree = self.forest.around_first().ok()?;
        if !spare.order(command, exec.stdin) {
            return None;
        }
        let Spare { pid, streams: [stdin, stdout, stderr], failure, .. } = spare;
        let streams = Streams {
            inlet: exec.stdin.then_some(stdin),
            outlets: [Some(stdout), Some(stderr)],
            terminal: None,
        };
        Some(Planted { tree, pid: Some(pid), failure, streams })
    }

    /// Forks the command.
    fn plant(&mut self, exec: &Exec, command: &Command) -> Result<Planted> {
        let (streams, theirs) = self.make_streams(exec, command)?;
        let (failure, failure_theirs) = pipe()?;
        let stdio = theirs.each_ref().map(OwnedFd::as_fd);
        let (tree, pid) = self.forest.plant(&Launch { command, stdio, failure: failure_theirs.as_fd() })?;
        Ok(Planted { tree, pid, failure, streams })
    }

    /// Makes the standard streams of a command, our ends and its own.
    fn make_streams(&self, exec: &Exec, command: &Command) -> Result<(Streams, [OwnedFd; 3])> {
        if let Some(size) = exec.tty {
            let directory = match &self.state {
                State::Ready(ready) => ready.root.as_ref().map(|root| &root.terminals),
                _ => None,
            };
            let terminal::Terminal { ours, theirs } =
                terminal::open(directory, size, command.identity.as_ref())?;
            let feeds = exec.stdin && !exec.detach;
            let inlet = if feeds { Some(terminal::second(ours.as_fd())?) } else { None };
            let copies = [terminal::second(theirs.as_fd())?, terminal::second(theirs.as_fd())?];
            let [second, third] = copies;
            let outlets = [Some(terminal::second(ours.as_fd())?), None];
            return Ok((Streams { inlet, outlets, terminal: Some(ours) }, [theirs, second, third]));
        }
        if exec.detach {
            let streams = Streams { inlet: None, outlets: [None, None], terminal: None };
            return Ok((streams, [null()?, null()?, null()?]));
        }
        let (stdin, inlet) = if exec.stdin {
            let (theirs, ours) = pipe()?;
            (theirs, Some(unblocking(ours)?))
        } else {
            (null()?, None)
        };
        let (stdout, stdout_theirs) = pipe()?;
        let (stderr, stderr_theirs) = pipe()?;
        let outlets = [Some(unblocking(stdout)?), Some(unblocking(stderr)?)];
        Ok((Streams { inlet, outlets, terminal: None }, [stdin, stdout_theirs, stderr_theirs]))
    }

    fn watch_all(
        &self,
        serial: Serial,
        tree: &Tree,
        failure: &OwnedFd,
        inlet: &Option<OwnedFd>,
        outlets: &[Option<OwnedFd>; 2],
    ) -> Result<()> {
        self.watch(failure.as_fd(), serial, Part::Failure)?;
        if let Tree::Keeper(keeper) = tree {
            self.watch(keeper.fd(), serial, Part::Keeper)?;
        }
        for (fd, part) in [(inlet, Part::Stdin), (&outlets[0], Part::Stdout), (&outlets[1], Part::Stderr)] {
            if let Some(fd) = fd {
                self.watch(fd.as_fd(), serial, part)?;
            }
        }
        Ok(())
    }

    /// Looks whether a child has become its program.
    pub(super) fn started(&mut self, serial: Serial) {
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        let Work::Command(running) = &mut stream.work else { return };
        let Some(starting) = &mut running.starting else { return };
        if !starting.begun {
            let mut report = [0; FAILURE_BYTES];
            match rustix::io::read(&starting.failure, &mut report) {
                Ok(FAILURE_BYTES) => {
                    let error = process::failure_of(report, &starting.command);
                    if let Some(pid) = running.pid {
                        self.pids.remove(&pid);
                    }
                    self.end(serial, Err((&error).into()));
                    return;
                }
                Ok(_) => starting.begun = true,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => starting.begun = true,
            }
        }
        let Some(pid) = running.pid else { return };
        running.starting = None;
        if let Some(id) = stream.id {
            self.port.send(&Frame::message(id, FrameKind::Opened, &Opened { pid }));
        }
        self.settle(serial);
    }
}

impl Running {
    /// Sends a signal to the command's process group.
    pub(super) fn signal(&mut self, signal: i32) {
        // Once it has been reaped its number may be somebody else's.
        if let (Some(pid), None, 1..=64) = (self.pid, self.status, signal)
            && let Some(pid) = Pid::from_raw(pid as i32)
        {
            // SAFETY: the number is one of Linux's signals; whether it has a handler is the command's affair.
            let signal = unsafe { Signal::from_raw_unchecked(signal) };
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| no_room("make a pipe", errno))
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| no_room("open `/dev/null`", errno))
}

/// Makes our end of a pipe non-blocking; the flag belongs to the end, the command's is left alone.
fn unblocking(fd: OwnedFd) -> Result<OwnedFd> {
    rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK).map_err(|errno| no_room("use a pipe", errno))?;
    Ok(fd)
}

fn no_room(what: &str, errno: Errno) -> Error {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Error::new(
            ErrorCode::ResourceExhausted,
            format!(
                "the box cannot start another command: cannot {what}: {}",
                crate::failure::text_of(errno)
            ),
        ),
        _ => crate::failure::failed(what, errno),
    }
}
