//! What the host says: one frame at a time.

use boxlite_protocol::{
    AgentRequest, Answer, Channel, Control, Frame, FrameKind, GENERATION, Hello, Outcome, Root, Setup,
};
use boxlite_types::{Error, ErrorCode, Result};

use super::{Agent, State};
use crate::Place;
use crate::rehearsal;
use crate::root;
use crate::setup;
use crate::stream::{Serial, Work};
use crate::tree::Forest;

/// Streams at a time, those with processes left behind included.
const MOST_STREAMS: u64 = 4096;

/// The least a command takes, with its cgroup and its pipes. Refusing early keeps a small machine from thrashing.
const COMMAND_BYTES: u64 = 512 * 1024;

/// Returns how many streams a machine with this much memory can have.
pub(super) fn most_streams(memory_bytes: u64) -> usize {
    (memory_bytes / COMMAND_BYTES).clamp(64, MOST_STREAMS) as usize
}

impl Agent {
    pub(super) fn handle(&mut self, frame: Frame) -> Result<()> {
        let id = frame.stream;
        match frame.kind {
            // Any number of times: a restored machine hears it from a host it has never met.
            FrameKind::Hello => {
                let hello = Hello { generation: GENERATION, build: env!("CARGO_PKG_VERSION").to_owned() };
                self.port.send(&Frame::message(0, FrameKind::Hello, &hello));
            }
            FrameKind::AgentRequest => match frame.decode::<AgentRequest>() {
                Ok(request) => self.ask(id, request),
                Err(error) => {
                    self.fail(id, &Error::new(ErrorCode::InvalidArgument, format!("bad request: {error}")));
                }
            },
            FrameKind::Data => self.take_data(id, frame.payload),
            FrameKind::Eof => {
                if let Some(serial) = self.ids.get(&id).copied() {
                    if let Some(inlet) =
                        self.streams.get_mut(&serial).and_then(|stream| stream.inlet.as_mut())
                    {
                        inlet.end();
                    }
                    self.feed(serial);
                }
            }
            FrameKind::Credit => {
                let bytes = frame.credit_bytes().map_err(nonsense)?;
                if let Some(serial) = self.ids.get(&id).copied() {
                    self.take_credit(serial, frame.channel, bytes);
                }
            }
            FrameKind::Control => {
                let control = frame.decode::<Control>().map_err(nonsense)?;
                if let Some(serial) = self.ids.get(&id).copied() {
                    self.control(serial, control);
                }
            }
            FrameKind::ShimRequest => {
                self.fail(id, &Error::new(ErrorCode::Unsupported, "this box has no shim to ask"));
            }
            FrameKind::Opened | FrameKind::End => {
                return Err(Error::new(ErrorCode::Network, "the host sent a frame that only an agent sends"));
            }
        }
        Ok(())
    }

    fn ask(&mut self, id: u32, request: AgentRequest) {
        if id == 0 || self.ids.contains_key(&id) {
            self.fail(
                id,
                &Error::new(ErrorCode::InvalidArgument, format!("stream {id} cannot be opened now")),
            );
            return;
        }
        let ready = match (&self.state, &request) {
            (State::Fresh, AgentRequest::Mount(_) | AgentRequest::Rehearse(_)) => Ok(()),
            (State::Fresh | State::Mounted(_), AgentRequest::Setup(_) | AgentRequest::Shutdown { .. }) => {
                Ok(())
            }
            (State::Fresh | State::Mounted(_), _) => Err("the box is not set up"),
            (
                State::Ready(_),
                AgentRequest::Mount(_) | AgentRequest::Rehearse(_) | AgentRequest::Setup(_),
            ) => Err("the box is set up already"),
            (State::Ready(_), _) => Ok(()),
            (State::Closing(_), _) => Err("the box is stopping"),
        };
        if let Err(why) = ready {
            let code = if matches!(self.state, State::Closing(_)) {
                ErrorCode::Stopped
            } else {
                ErrorCode::InvalidState
            };
            self.fail(id, &Error::new(code, why));
            return;
        }
        self.write_names();
        let result = match request {
            AgentRequest::Mount(root) => self.mount(&root).map(|answer| self.answer(id, answer)),
            AgentRequest::Rehearse(root) => self.rehearse(&root).map(|answer| self.answer(id, answer)),
            AgentRequest::Setup(setup) => self.set_up(setup).map(|answer| self.answer(id, answer)),
            AgentRequest::Shutdown { grace_ms } => {
                self.close(id, grace_ms);
                Ok(())
            }
            _ if self.streams.len() + self.left_behind.len() >= self.most_streams => Err(Error::new(
                ErrorCode::ResourceExhausted,
                format!("the box runs {} commands, its memory allows no more", self.most_streams),
            )),
            AgentRequest::Exec(exec) => self.execute(id, exec),
            other => self.start_job(id, other),
        };
        if let Err(error) = result {
            self.fail(id, &error);
        }
    }

    fn mount(&mut self, root: &Root) -> Result<Answer> {
        if let Place::Host = self.place {
            return Err(setup::no_root_here());
        }
        let root = root::mount(root)?;
        root::write_placeholders();
        root::read_ahead();
        rustix::fs::sync();
        self.state = State::Mounted(root);
        Ok(Answer::Done)
    }

    fn rehearse(&self, root: &Root) -> Result<Answer> {
        match self.place {
            Place::Machine => rehearsal::play(root).map(|()| Answer::Done),
            Place::Host => Err(setup::no_root_here()),
        }
    }

    fn set_up(&mut self, setup: Setup) -> Result<Answer> {
        let mounted = match std::mem::replace(&mut self.state, State::Fresh) {
            State::Mounted(root) => Some(root),
            state => {
                self.state = state;
                None
            }
        };
        let ready = match self.place {
            Place::Machine => setup::of_machine(&setup, mounted)?,
            Place::Host => setup::of_host(&setup)?,
        };
        if let Some(cgroup) = ready.root.as_ref().and_then(|root| root.cgroup.as_ref()) {
            self.forest = Forest::in_open_cgroup(cgroup)?;
        }
        self.hostname = setup.hostname.clone();
        self.unnamed = ready.root.is_some().then_some(setup);
        let answer = Answer::Ready { kernel: ready.kernel.clone() };
        self.state = State::Ready(ready);
        Ok(answer)
    }

    /// Writes the names of a new box, before anything else of it and after it was answered: the host has things to do by then,
    /// and nothing that could go wrong here would keep a box from starting.
    pub(super) fn write_names(&mut self) {
        if let Some(setup) = self.unnamed.take() {
            root::write_names(&setup);
        }
    }

    pub(super) fn answer(&mut self, id: u32, answer: Answer) {
        let outcome: Outcome = Ok(answer);
        self.port.send(&Frame::message(id, FrameKind::End, &outcome));
    }

    fn take_data(&mut self, id: u32, bytes: Vec<u8>) {
        let Some(serial) = self.ids.get(&id).copied() else { return };
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        let Some(inlet) = &mut stream.inlet else { return };
        if inlet.push(bytes) {
            self.feed(serial);
            return;
        }
        // A host that breaks the rules of a stream loses the stream.
        if let Some(running) = stream.running() {
            running.tree.kill();
        }
        let error = Error::new(ErrorCode::Internal, "more input was sent than its window allows");
        self.end(serial, Err((&error).into()));
    }

    fn take_credit(&mut self, serial: Serial, channel: Channel, bytes: u32) {
        let Some(outlet) = self.streams.get_mut(&serial).and_then(|stream| stream.outlet(channel)) else {
            return;
        };
        outlet.grant(bytes);
        if let Some(index) = crate::stream::slot(channel) {
            self.take_turn(serial, index);
        }
    }

    fn control(&mut self, serial: Serial, control: Control) {
        let Some(stream) = self.streams.get_mut(&serial) else { return };
        match &mut stream.work {
            Work::Command(running) => match control {
                Control::Kill => running.tree.kill(),
                Control::Signal(signal) => running.signal(signal),
                Control::Resize(size) => {
                    if let Some(terminal) = &running.terminal {
                        super::terminal::resize(terminal, size);
                    }
                }
            },
            Work::Job(job) => {
                if control == Control::Kill {
                    job.cancelled = true;
                    // Its thread finds its pipe closed and ends.
                    stream.inlet = None;
                    stream.outlets = [None, None];
                    self.settle(serial);
                }
            }
        }
    }
}

fn nonsense(error: boxlite_protocol::FrameError) -> Error {
    Error::new(ErrorCode::Network, format!("the host sent nonsense: {error}"))
}
