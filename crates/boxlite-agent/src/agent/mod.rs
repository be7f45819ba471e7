//! The main loop: the port, every stream's pipes, the ends of processes, timers; one thread, nothing that blocks.
//!
//! Output is pumped in turns of one frame for each pipe that has some and may send, so that a flood on one stream costs
//! the others a frame's time at most. All of epoll is edge-triggered: readiness is remembered until a call is refused.

mod commands;
mod exits;
mod requests;
mod served;
mod shutdown;
mod terminal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use boxlite_protocol::{Channel, Frame, FrameKind, Outcome, Setup};
use boxlite_types::Result;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::Place;
use crate::failure::failed;
use crate::jobs::Jobs;
use crate::pipes::Pumped;
use crate::port::{Port, Received};
use crate::process::last_errno;
use crate::root::BoxRoot;
use crate::setup::Ready;
use crate::spare::Spare;
use crate::stream::{Serial, Stream};
use crate::tree::{Forest, Tree};

/// Frames sent before the loop looks at the world again.
const FRAMES_A_TURN: usize = 16;

/// What an epoll event is about, packed into its 64 bits of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Port,
    Children,
    Jobs,
    /// A stream's pipe.
    Stream(Serial, Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Stdin,
    Stdout,
    Stderr,
    /// The pipe over which a child tells what kept it from running.
    Failure,
    Keeper,
}

const PARTS: [Part; 5] = [Part::Stdin, Part::Stdout, Part::Stderr, Part::Failure, Part::Keeper];

impl Source {
    fn pack(self) -> epoll::EventData {
        let number = match self {
            Source::Port => 0,
            Source::Children => 1,
            Source::Jobs => 2,
            Source::Stream(serial, part) => (serial << 3) | part as u64,
        };
        epoll::EventData::new_u64(number)
    }

    /// Serials start at 1, so that numbers below 8 are free for what is no stream.
    fn unpack(data: epoll::EventData) -> Option<Source> {
        match data.u64() {
            0 => Some(Source::Port),
            1 => Some(Source::Children),
            2 => Some(Source::Jobs),
            number => Some(Source::Stream(number >> 3, *PARTS.get((number & 7) as usize)?)),
        }
    }
}

/// How the conversation stands.
enum State {
    /// Nobody has said which box this is.
    Fresh,
    /// As before, but its root is there.
    Mounted(BoxRoot),
    Ready(Ready),
    Closing(shutdown::Closing),
}

/// The agent.
pub(crate) struct Agent {
    port: Port,
    place: Place,
    forest: Forest,
    /// What becomes the first command, until there is one.
    spare: Option<Spare>,
    epoll: OwnedFd,
    children: OwnedFd,
    jobs: Jobs,
    state: State,
    /// What the names of the box are still to be written from.
    unnamed: Option<Setup>,
    hostname: String,
    streams: BTreeMap<Serial, Stream>,
    /// Streams by their id in the protocol, while they are open.
    ids: BTreeMap<u32, Serial>,
    /// Commands that are children of ours, by process id.
    pids: BTreeMap<u32, Serial>,
    /// Trees whose command's end was told, and that have processes left.
    left_behind: Vec<Tree>,
    /// One of them may be empty by now.
    uprooted: bool,
    /// Outlets that have something to send, in turn.
    turns: VecDeque<(Serial, usize)>,
    /// Deadlines and graces of commands.
    timers: BTreeSet<(Instant, Serial)>,
    most_streams: usize,
    last_serial: Serial,
    done: bool,
}

impl Agent {
    pub(crate) fn new(port: Port, place: Place, forest: Forest, spare: Option<Spare>) -> Result<Agent> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| failed("use epoll", errno))?;
        let agent = Agent {
            children: children_descriptor().map_err(|errno| failed("watch child processes", errno))?,
            jobs: Jobs::new()?,
            port,
            place,
            forest,
            spare,
            epoll,
            state: State::Fresh,
            unnamed: None,
            hostname: String::new(),
            streams: BTreeMap::new(),
            ids: BTreeMap::new(),
            pids: BTreeMap::new(),
            left_behind: Vec::new(),
            uprooted: false,
            turns: VecDeque::new(),
            timers: BTreeSet::new(),
            most_streams: requests::most_streams(crate::files::memory_bytes()),
            last_serial: 0,
            done: false,
        };
        let both = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        for (fd, source, flags) in [
            (agent.port.fd(), Source::Port, both),
            (agent.children.as_fd(), Source::Children, epoll::EventFlags::IN),
            (agent.jobs.fd(), Source::Jobs, epoll::EventFlags::IN),
        ] {
            epoll::add(&agent.epoll, fd, source.pack(), flags | epoll::EventFlags::ET)
                .map_err(|errno| failed("use epoll", errno))?;
        }
        Ok(agent)
    }

    /// Serves the port until its end, or until a `Shutdown` is answered.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        while !self.done {
            self.wait(&mut events)?;
            for event in events.drain(..) {
                if let Some(source) = Source::unpack(event.data) {
                    self.react(source, event.flags);
                }
            }
            if !self.receive()? {
                return Ok(());
            }
            self.act_on_time();
            self.pump();
            self.port.flush()?;
            self.write_names();
            self.clear_trees();
        }
        self.port.flush_and_wait()
    }

    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> Result<()> {
        let busy = !self.turns.is_empty() && self.port.has_room()
            || self.port.readable && self.port.queued() == 0
            || self.port.writable && self.port.queued() > 0;
        let timeout = if busy {
            Some(Timespec { tv_sec: 0, tv_nsec: 0 })
        } else {
            self.next_time().map(|time| {
                let left = time.saturating_duration_since(Instant::now());
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
            })
        };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(failed("wait for events", errno)),
        }
    }

    fn react(&mut self, source: Source, flags: epoll::EventFlags) {
        let ended = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        match source {
            Source::Port => {
                self.port.readable |= flags.contains(epoll::EventFlags::IN) || ended;
                self.port.writable |= flags.contains(epoll::EventFlags::OUT) || ended;
            }
            Source::Children => {
                let _ = rustix::io::read(&self.children, &mut [0; 1024]);
                self.reap();
            }
            Source::Jobs => self.hear_jobs(),
            Source::Stream(serial, part) => {
                let Some(stream) = self.streams.get_mut(&serial) else { return };
                match part {
                    Part::Stdin => {
                        if let Some(inlet) = &mut stream.inlet {
                            inlet.ready();
                            self.feed(serial);
                        }
                    }
                    Part::Stdout | Part::Stderr => {
                        let index = if part == Part::Stdout { 0 } else { 1 };
                        match &mut stream.outlets[index] {
                            Some(outlet) => {
                                outlet.ready(ended);
                                self.take_turn(serial, index);
                            }
                            None => self.discard(serial),
                        }
                    }
                    Part::Failure => self.started(serial),
                    Part::Keeper => self.hear_keeper(serial),
                }
            }
        }
    }

    /// Handles every frame that is there; `false` at the end of the port.
    fn receive(&mut self) -> Result<bool> {
        loop {
            match self.port.receive()? {
                Received::Frame(frame) => self.handle(frame)?,
                Received::Nothing => return Ok(true),
                Received::Closed => return Ok(false),
            }
            // Answers leave before more is asked; readiness is kept for the next round.
            if !self.port.has_room() {
                return Ok(true);
            }
        }
    }

    /// Writes what is pending into a stream's input.
    fn feed(&mut self, serial: Serial) {
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        let (Some(id), Some(inlet)) = (stream.id, &mut stream.inlet) else { return };
        let granted = inlet.pump();
        if granted > 0 {
            self.port.send(&Frame::credit(id, Channel::Stdin, granted));
        }
    }

    fn take_turn(&mut self, serial: Serial, index: usize) {
        let stream = self.streams.get_mut(&serial);
        if let Some(outlet) = stream.and_then(|stream| stream.outlets[index].as_mut())
            && !outlet.queued
        {
            outlet.queued = true;
            self.turns.push_back((serial, index));
        }
    }

    fn pump(&mut self) {
        for _ in 0..FRAMES_A_TURN {
            if !self.port.has_room() {
                return;
            }
            let Some((serial, index)) = self.turns.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&serial) else { continue };
            let (Some(id), Some(outlet)) = (stream.id, &mut stream.outlets[index]) else { continue };
            outlet.queued = false;
            match outlet.pump(id, &mut self.port) {
                Pumped::Some => self.take_turn(serial, index),
                Pumped::Waiting => {}
                Pumped::Over => {
                    self.port.send(&Frame::eof(id, outlet.channel));
                    self.abandon(serial, index);
                    self.discard(serial);
                    self.settle(serial);
                }
            }
        }
    }

    /// Delivers nothing more of an outlet. It is level-triggered from now on: one piece is thrown away at each event.
    fn abandon(&mut self, serial: Serial, index: usize) {
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        if let Some(outlet) = stream.outlets[index].take() {
            let source = Source::Stream(serial, PARTS[1 + index]).pack();
            let _ = epoll::modify(&self.epoll, outlet.fd(), source, epoll::EventFlags::IN);
            stream.abandoned.push(outlet);
        }
    }

    /// Reads what a stream's left-behind processes write, so that they are not stopped by it.
    fn discard(&mut self, serial: Serial) {
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        stream.abandoned.retain_mut(|outlet| !outlet.discard());
        if stream.id.is_none() && stream.abandoned.is_empty() {
            self.streams.remove(&serial);
        }
    }

    /// Ends a stream whose outcome is known and whose output is sent.
    fn settle(&mut self, serial: Serial) {
        if let Some(outcome) = self.streams.get(&serial).and_then(Stream::outcome) {
            self.end(serial, outcome);
        }
    }

    fn end(&mut self, serial: Serial, outcome: Outcome) {
        let Some(mut stream) = self.streams.remove(&serial) else { return };
        if let Some(id) = stream.id.take() {
            self.ids.remove(&id);
            self.port.send(&Frame::message(id, FrameKind::End, &outcome));
        }
        self.uproot(&mut stream);
        stream.inlet = None;
        if !stream.abandoned.is_empty() {
            self.streams.insert(serial, stream);
        }
    }

    fn fail(&mut self, id: u32, error: &boxlite_types::Error) {
        let outcome: Outcome = Err(error.into());
        self.port.send(&Frame::message(id, FrameKind::End, &outcome));
    }

    fn new_serial(&mut self) -> Serial {
        self.last_serial += 1;
        self.last_serial
    }

    fn watch(&self, fd: BorrowedFd<'_>, serial: Serial, part: Part) -> Result<()> {
        let direction = if part == Part::Stdin { epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        epoll::add(&self.epoll, fd, Source::Stream(serial, part).pack(), direction | epoll::EventFlags::ET)
            .map_err(|errno| failed("use epoll", errno))
    }
}

/// Makes a descriptor that is readable when a child has ended, and blocks the signal that would say so otherwise.
fn children_descriptor() -> Result<OwnedFd, Errno> {
    // SAFETY: initialises a local set, blocks one signal of this thread before any other thread exists, and takes over
    // the new descriptor.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(last_errno()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}
