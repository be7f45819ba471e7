//! One stream of the agent channel: whose it is, and how many bytes each side may still send on it.
//!
//! Windows are kept here and nowhere else. Invariant for input: what the client may still send, and what of it waits in
//! the shim, never exceeds what the agent will take. For output the agent never has more than the windows say, or it is
//! broken.

use std::collections::VecDeque;

use boxlite_protocol::{Channel, Frame, INITIAL_WINDOW_BYTES, MAX_DATA_BYTES};

use super::ClientId;

/// Whose stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A client's, under the number the client gave it.
    Client(ClientId, u32),
    /// Nobody's: the client went away. Output is dropped (the main command's is logged) and credited at once.
    Nobody,
    /// The shim's own request to shut the machine down.
    Shim,
}

/// What the bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The main command.
    Main,
    /// Another command.
    Exec,
    /// Another command, which goes on without its client.
    Detached,
    /// Anything else: archives, short questions.
    Other,
}

/// One stream of the agent channel.
pub(crate) struct Stream {
    pub holder: Holder,
    pub purpose: Purpose,
    /// Process id inside, once the agent has said it.
    pub pid: Option<u32>,
    output: [Output; 2],
    /// What the client may still send.
    client_input: u32,
    /// What the agent may still be sent.
    agent_input: u32,
    waiting_input: VecDeque<u8>,
    input: Input,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// The client has ended it, but bytes of it still wait here.
    Ending,
    Ended,
}

#[derive(Clone, Copy)]
struct Output {
    /// What the agent may still send.
    window: u32,
    ended: bool,
}

impl Stream {
    pub fn new(holder: Holder, purpose: Purpose) -> Self {
        Stream {
            holder,
            purpose,
            pid: None,
            output: [Output { window: INITIAL_WINDOW_BYTES, ended: false }; 2],
            client_input: INITIAL_WINDOW_BYTES,
            agent_input: INITIAL_WINDOW_BYTES,
            waiting_input: VecDeque::new(),
            input: Input::Open,
        }
    }

    fn output(&mut self, channel: Channel) -> Option<&mut Output> {
        match channel {
            Channel::Stdin => None,
            Channel::Stdout => Some(&mut self.output[0]),
            Channel::Stderr => Some(&mut self.output[1]),
        }
    }

    /// Takes `length` bytes of output from the agent's window; `None` if it may not send them.
    pub fn take_output(&mut self, channel: Channel, length: usize) -> Option<()> {
        let output = self.output(channel).filter(|output| !output.ended)?;
        let length = u32::try_from(length).ok().filter(|length| *length > 0)?;
        output.window = output.window.checked_sub(length)?;
        Some(())
    }

    /// Notes the end of an output channel; `None` if it had ended or is none.
    pub fn end_output(&mut self, channel: Channel) -> Option<()> {
        let output = self.output(channel).filter(|output| !output.ended)?;
        output.ended = true;
        Some(())
    }

    /// Grants the agent more; `None` if the window would be larger than any receiver asks for.
    pub fn grant_output(&mut self, channel: Channel, bytes: u32) -> Option<()> {
        let output = self.output(channel)?;
        output.window =
            output.window.checked_add(bytes).filter(|window| *window <= super::LARGEST_WINDOW_BYTES)?;
        Some(())
    }

    /// Fills both output windows up to the initial one, and returns what has to be granted for it.
    pub fn refill_output(&mut self) -> impl Iterator<Item = (Channel, u32)> + use<> {
        let mut grants = Vec::new();
        for channel in [Channel::Stdout, Channel::Stderr] {
            if let Some(output) = self.output(channel).filter(|output| !output.ended) {
                let missing = INITIAL_WINDOW_BYTES.saturating_sub(output.window);
                output.window += missing;
                grants.push((channel, missing));
            }
        }
        grants.into_iter().filter(|(_, bytes)| *bytes > 0)
    }

    /// Gives the stream to a client that takes it for a new one, with whole windows.
    pub fn attach(&mut self, client: ClientId, number: u32) {
        self.holder = Holder::Client(client, number);
        self.client_input = INITIAL_WINDOW_BYTES;
    }

    /// Takes it from its client, which is gone. Input it had sent still goes to the agent.
    pub fn detach(&mut self) {
        self.holder = Holder::Nobody;
        self.client_input = 0;
    }

    /// Takes input from the client and returns the frames that may go to the agent now; `None` if it sent too much.
    pub fn take_input(&mut self, number: u32, bytes: &[u8]) -> Option<Vec<Frame>> {
        let length = u32::try_from(bytes.len()).ok()?;
        self.client_input = self.client_input.checked_sub(length)?;
        if self.input == Input::Open {
            self.waiting_input.extend(bytes);
        }
        Some(self.release_input(number))
    }

    /// Notes that the client ends the input.
    pub fn end_input(&mut self, number: u32) -> Vec<Frame> {
        if self.input == Input::Open {
            self.input = Input::Ending;
        }
        self.release_input(number)
    }

    /// Takes credit for input from the agent. Returns the frames that may go to the agent now, and what the client may
    /// be granted in turn; `None` if the agent grants more than it was sent.
    pub fn grant_input(&mut self, number: u32, bytes: u32) -> Option<(Vec<Frame>, u32)> {
        if bytes == 0 {
            return None;
        }
        self.agent_input =
            self.agent_input.checked_add(bytes).filter(|window| *window <= INITIAL_WINDOW_BYTES)?;
        let frames = self.release_input(number);
        let promised = self.client_input + self.waiting_input.len() as u32;
        let grant = match self.holder {
            Holder::Client(..) => self.agent_input.saturating_sub(promised),
            Holder::Nobody | Holder::Shim => 0,
        };
        self.client_input += grant;
        Some((frames, grant))
    }

    fn release_input(&mut self, number: u32) -> Vec<Frame> {
        let mut frames = Vec::new();
        while !self.waiting_input.is_empty() && self.agent_input > 0 {
            let length = self.waiting_input.len().min(self.agent_input as usize).min(MAX_DATA_BYTES);
            let payload = self.waiting_input.drain(..length).collect();
            self.agent_input -= length as u32;
            frames.push(Frame::data(number, Channel::Stdin, payload));
        }
        if self.input == Input::Ending && self.waiting_input.is_empty() {
            self.input = Input::Ended;
            frames.push(Frame::eof(number, Channel::Stdin));
        }
        frames
    }
}
