//! Many clients on the one channel to the agent.
//!
//! A client numbers its streams as it likes; on the agent channel they get numbers of the shim's. Frames are passed on
//! without waiting for anybody: the windows of the protocol bound what can pile up for a client that does not read, so
//! a slow client holds up only itself. The agent is hostile: whatever it says out of turn is an [`AgentFault`], which
//! costs it the machine. A client that breaks the protocol loses its connection.
//!
//! A client that goes away takes its executions with it (they are killed and drained), but for the main command, which
//! the shim goes on reading for the log, and those that were detached.
//!
//! No I/O here: bytes go in, bytes and [`MuxEvent`]s come out, in the order in which they are to take effect.

mod agent_side;
mod buffer;
mod client_side;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use boxlite_protocol::{AgentRequest, Answer, Channel, Frame, FrameDecoder, FrameKind, Outcome, WireError};
use boxlite_types::ErrorCode;

use self::buffer::OutBuffer;
use self::stream::{Holder, Purpose, Stream};

/// One connection of a client, never reused.
pub(crate) type ClientId = u64;

/// Streams a client may have open: with the windows, the bound of what it can make the shim hold.
const MOST_STREAMS: usize = 1024;

/// Largest window a client may give the agent.
const LARGEST_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Bytes that may wait for an agent that does not read; the client that sends more than that loses its connection.
const MOST_AGENT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that may wait for a client that does not read.
const MOST_CLIENT_BYTES: usize = 640 * 1024 * 1024;

/// What the agent did that no sound agent does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AgentFault(pub String);

/// What a client did that no sound client does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFault(pub &'static str);

/// What the supervisor has to see to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MuxEvent {
    /// The main command wrote something.
    MainOutput(Channel, Vec<u8>),
    /// The main command ended: exit code of the box, and why in words.
    MainEnded(i32, String),
    /// A client wants to know what runs: answer with [`Mux::answer`].
    Status(ClientId, u32),
    /// A client asks for the box to stop.
    Stop(Duration),
    /// A client asks for it to be killed.
    Kill,
    /// The box has got an owner, or was set free on purpose.
    Claimed,
    /// The connection that owned the box is gone.
    OwnerGone,
    /// The agent has ended everything and written it back.
    ShutdownDone,
}

struct Client {
    decoder: FrameDecoder,
    out: OutBuffer,
    greeted: bool,
    /// Its number of a stream -> ours.
    streams: HashMap<u32, u32>,
    /// Requests to stop or kill that are answered when the machine is gone.
    waiting_for_end: Vec<u32>,
}

enum MainCommand {
    NeverAsked,
    Runs(u32),
    Ended,
}

/// The state of all connections.
pub(crate) struct Mux {
    build: String,
    agent_decoder: FrameDecoder,
    agent_out: OutBuffer,
    streams: HashMap<u32, Stream>,
    next_stream: u32,
    clients: HashMap<ClientId, Client>,
    next_client: ClientId,
    owner: Option<ClientId>,
    main: MainCommand,
    /// Set when the box is being stopped: new requests to the agent are refused.
    stopping: bool,
    events: VecDeque<MuxEvent>,
}

impl Mux {
    /// Starts with what the agent has sent already beyond the handshake. `first_stream` is a number the handshake has
    /// not used.
    pub fn new(build: String, agent_decoder: FrameDecoder, first_stream: u32) -> Self {
        Mux {
            build,
            agent_decoder,
            agent_out: OutBuffer::default(),
            streams: HashMap::new(),
            next_stream: first_stream,
            clients: HashMap::new(),
            next_client: 1,
            owner: None,
            main: MainCommand::NeverAsked,
            stopping: false,
            events: VecDeque::new(),
        }
    }

    /// Takes the next thing the supervisor has to see to.
    pub fn next_event(&mut self) -> Option<MuxEvent> {
        self.events.pop_front()
    }

    /// Returns the connection that owns the box.
    pub fn owner(&self) -> Option<ClientId> {
        self.owner
    }

    /// Returns what is to be written to the agent next; [`Mux::agent_wrote`] takes it off.
    pub fn agent_pending(&self) -> &[u8] {
        self.agent_out.pending()
    }

    /// Takes off what was written to the agent.
    pub fn agent_wrote(&mut self, count: usize) {
        self.agent_out.wrote(count);
    }

    /// Returns what is to be written to a client next; [`Mux::client_wrote`] takes it off.
    pub fn client_pending(&self, client: ClientId) -> &[u8] {
        self.clients.get(&client).map_or(&[], |client| client.out.pending())
    }

    /// Takes off what was written to a client.
    pub fn client_wrote(&mut self, client: ClientId, count: usize) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.out.wrote(count);
        }
    }

    /// Asks the agent to end everything. From now on clients can ask the agent for nothing more.
    pub fn shut_down(&mut self, grace: Duration) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        let number = self.open_stream(Stream::new(Holder::Shim, Purpose::Other));
        let request = AgentRequest::Shutdown { grace_ms };
        self.agent_out.push(&Frame::message(number, FrameKind::AgentRequest, &request));
    }

    /// Ends every stream of every client, because the machine is gone.
    pub fn finish(&mut self) {
        self.stopping = true;
        for (_, stream) in std::mem::take(&mut self.streams) {
            if let Holder::Client(client, number) = stream.holder {
                let gone = WireError::new(ErrorCode::Stopped, "the box was stopped");
                self.answer(client, number, &Err(gone));
            }
        }
        let waiting: Vec<_> = self
            .clients
            .iter_mut()
            .flat_map(|(id, client)| client.waiting_for_end.drain(..).map(|number| (*id, number)))
            .collect();
        for (client, number) in waiting {
            self.answer(client, number, &Ok(Answer::Done));
        }
    }

    /// Ends a client's stream.
    pub fn answer(&mut self, client: ClientId, number: u32, outcome: &Outcome) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.streams.remove(&number);
            client.out.push(&Frame::message(number, FrameKind::End, outcome));
        }
    }

    fn open_stream(&mut self, stream: Stream) -> u32 {
        // Numbers wrap after four thousand million streams; one that is still open then is stepped over.
        while self.next_stream == 0 || self.streams.contains_key(&self.next_stream) {
            self.next_stream = self.next_stream.wrapping_add(1);
        }
        let number = self.next_stream;
        self.next_stream = self.next_stream.wrapping_add(1);
        self.streams.insert(number, stream);
        number
    }

    fn push_to_client(&mut self, client: ClientId, frame: Frame) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.out.push(&frame);
        }
    }
}
