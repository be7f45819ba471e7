//! Clients: their coming and going, and the frames they send.

use std::collections::HashMap;
use std::time::Duration;

use boxlite_protocol::{
    AgentRequest, Answer, Channel, Control, Frame, FrameDecoder, FrameKind, GENERATION, Hello, Opened,
    ShimRequest, WireError,
};
use boxlite_types::ErrorCode;

use super::buffer::OutBuffer;
use super::stream::{Holder, Purpose, Stream};
use super::{
    Client, ClientFault, ClientId, MOST_AGENT_BYTES, MOST_CLIENT_BYTES, MOST_STREAMS, MainCommand, Mux,
    MuxEvent,
};

impl Mux {
    /// Takes a new client, and greets it.
    pub fn connect(&mut self) -> ClientId {
        let id = self.next_client;
        self.next_client += 1;
        let mut client = Client {
            decoder: FrameDecoder::default(),
            out: OutBuffer::default(),
            greeted: false,
            streams: HashMap::new(),
            waiting_for_end: Vec::new(),
        };
        let hello = Hello { generation: GENERATION, build: self.build.clone() };
        client.out.push(&Frame::message(0, FrameKind::Hello, &hello));
        self.clients.insert(id, client);
        id
    }

    /// Forgets a client that is gone: its executions are killed, the main command and what was detached go on.
    pub fn disconnect(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        for number in client.streams.into_values() {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            stream.detach();
            for (channel, bytes) in stream.refill_output() {
                self.agent_out.push(&Frame::credit(number, channel, bytes));
            }
            if !matches!(stream.purpose, Purpose::Main | Purpose::Detached) {
                self.agent_out.push(&Frame::message(number, FrameKind::Control, &Control::Kill));
                stream.end_input(number).iter().for_each(|frame| self.agent_out.push(frame));
            }
        }
        if self.owner == Some(id) {
            self.owner = None;
            self.events.push_back(MuxEvent::OwnerGone);
        }
    }

    /// Takes bytes of a client. After an error the caller closes its connection and calls [`Mux::disconnect`].
    pub fn hear_client(&mut self, id: ClientId, bytes: &[u8]) -> Result<(), ClientFault> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.decoder.push(bytes);
        while let Some(client) = self.clients.get_mut(&id) {
            let frame = client.decoder.next_frame().map_err(|_| ClientFault("no frame of this protocol"))?;
            let Some(frame) = frame else { break };
            self.client_frame(id, frame)?;
        }
        if self.agent_out.pending().len() > MOST_AGENT_BYTES {
            return Err(ClientFault("more requests than the agent takes"));
        }
        if self.client_pending(id).len() > MOST_CLIENT_BYTES {
            return Err(ClientFault("answers are not read"));
        }
        Ok(())
    }

    fn client_frame(&mut self, id: ClientId, frame: Frame) -> Result<(), ClientFault> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        if frame.kind == FrameKind::Hello {
            let hello: Hello = frame.decode().map_err(|_| ClientFault("undecodable hello"))?;
            if client.greeted || frame.stream != 0 || hello.generation != GENERATION {
                return Err(ClientFault("hello of another generation"));
            }
            client.greeted = true;
            return Ok(());
        }
        if !client.greeted {
            return Err(ClientFault("no hello"));
        }
        match frame.kind {
            FrameKind::AgentRequest | FrameKind::ShimRequest => {
                let known = client.streams.contains_key(&frame.stream)
                    || client.waiting_for_end.contains(&frame.stream);
                if frame.stream == 0 || known {
                    return Err(ClientFault("a stream number in use"));
                }
                if client.streams.len() + client.waiting_for_end.len() >= MOST_STREAMS {
                    let message = format!("more than {MOST_STREAMS} requests at once on one connection");
                    self.refuse(id, frame.stream, ErrorCode::ResourceExhausted, &message);
                    return Ok(());
                }
                if frame.kind == FrameKind::AgentRequest {
                    self.agent_request(id, frame)
                } else {
                    self.shim_request(id, &frame)
                }
            }
            FrameKind::Data | FrameKind::Eof | FrameKind::Credit | FrameKind::Control => {
                // A stream that is not known any more has ended: the client has yet to hear of it.
                match client.streams.get(&frame.stream).copied() {
                    Some(number) => self.stream_frame(number, frame),
                    None => Ok(()),
                }
            }
            FrameKind::Hello | FrameKind::Opened | FrameKind::End => {
                Err(ClientFault("a frame only agents send"))
            }
        }
    }

    fn agent_request(&mut self, id: ClientId, frame: Frame) -> Result<(), ClientFault> {
        let request: AgentRequest = frame.decode().map_err(|_| ClientFault("undecodable request"))?;
        if self.stopping {
            self.refuse(id, frame.stream, ErrorCode::Stopped, "the box is being stopped");
            return Ok(());
        }
        let purpose = match &request {
            AgentRequest::Exec(exec) if exec.main => {
                if !matches!(self.main, MainCommand::NeverAsked) {
                    self.refuse(
                        id,
                        frame.stream,
                        ErrorCode::InvalidState,
                        "the box has a main command already",
                    );
                    return Ok(());
                }
                Purpose::Main
            }
            AgentRequest::Exec(exec) if exec.detach => Purpose::Detached,
            AgentRequest::Exec(_) => Purpose::Exec,
            AgentRequest::Mount(_)
            | AgentRequest::Rehearse(_)
            | AgentRequest::Setup(_)
            | AgentRequest::Shutdown { .. } => {
                self.refuse(
                    id,
                    frame.stream,
                    ErrorCode::InvalidState,
                    "only the shim sets up and shuts down",
                );
                return Ok(());
            }
            AgentRequest::PutArchive(_)
            | AgentRequest::GetArchive(_)
            | AgentRequest::Stat { .. }
            | AgentRequest::Metrics => Purpose::Other,
        };
        let number = self.open_stream(Stream::new(Holder::Client(id, frame.stream), purpose));
        if purpose == Purpose::Main {
            self.main = MainCommand::Runs(number);
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.streams.insert(frame.stream, number);
        }
        self.agent_out.push(&Frame { stream: number, ..frame });
        Ok(())
    }

    fn stream_frame(&mut self, number: u32, frame: Frame) -> Result<(), ClientFault> {
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        match (frame.kind, frame.channel) {
            (FrameKind::Data, Channel::Stdin) => {
                let frames = stream
                    .take_input(number, &frame.payload)
                    .ok_or(ClientFault("more input than granted"))?;
                frames.iter().for_each(|frame| self.agent_out.push(frame));
            }
            (FrameKind::Eof, Channel::Stdin) => {
                stream.end_input(number).iter().for_each(|frame| self.agent_out.push(frame));
            }
            (FrameKind::Credit, channel) => {
                let bytes = frame.credit_bytes().map_err(|_| ClientFault("undecodable credit"))?;
                stream.grant_output(channel, bytes).ok_or(ClientFault("a window beyond all bounds"))?;
                self.agent_out.push(&Frame { stream: number, ..frame });
            }
            (FrameKind::Control, _) => {
                let _: Control = frame.decode().map_err(|_| ClientFault("undecodable control"))?;
                self.agent_out.push(&Frame { stream: number, ..frame });
            }
            _ => return Err(ClientFault("output from a client")),
        }
        Ok(())
    }

    fn shim_request(&mut self, id: ClientId, frame: &Frame) -> Result<(), ClientFault> {
        let request: ShimRequest = frame.decode().map_err(|_| ClientFault("undecodable request"))?;
        let number = frame.stream;
        match request {
            ShimRequest::Own => match self.owner {
                Some(owner) if owner != id => {
                    self.refuse(id, number, ErrorCode::InUse, "another connection owns the box");
                }
                _ => {
                    self.owner = Some(id);
                    self.events.push_back(MuxEvent::Claimed);
                    self.answer(id, number, &Ok(Answer::Done));
                }
            },
            ShimRequest::Disown => {
                self.owner = self.owner.filter(|owner| *owner != id);
                self.events.push_back(MuxEvent::Claimed);
                self.answer(id, number, &Ok(Answer::Done));
            }
            ShimRequest::Status => self.events.push_back(MuxEvent::Status(id, number)),
            ShimRequest::Stop { timeout_ms } => {
                self.wait_for_end(id, number);
                self.events.push_back(MuxEvent::Stop(Duration::from_millis(timeout_ms.into())));
            }
            ShimRequest::Kill => {
                self.wait_for_end(id, number);
                self.events.push_back(MuxEvent::Kill);
            }
            ShimRequest::Attach => self.attach(id, number),
        }
        Ok(())
    }

    fn attach(&mut self, id: ClientId, number: u32) {
        let main = match self.main {
            MainCommand::Runs(main) => main,
            MainCommand::NeverAsked => {
                self.refuse(id, number, ErrorCode::NotFound, "the box has no main command");
                return;
            }
            MainCommand::Ended => {
                self.refuse(id, number, ErrorCode::Stopped, "the main command has ended");
                return;
            }
        };
        let Some(stream) = self.streams.get_mut(&main) else { return };
        if stream.holder != Holder::Nobody {
            self.refuse(id, number, ErrorCode::InUse, "the main command is attached to another connection");
            return;
        }
        stream.attach(id, number);
        for (channel, bytes) in stream.refill_output() {
            self.agent_out.push(&Frame::credit(main, channel, bytes));
        }
        let opened = stream.pid.map(|pid| Opened { pid });
        if let Some(client) = self.clients.get_mut(&id) {
            client.streams.insert(number, main);
            // Without one the agent has yet to say it, and its own frame will be passed on.
            if let Some(opened) = opened {
                client.out.push(&Frame::message(number, FrameKind::Opened, &opened));
            }
        }
    }

    fn wait_for_end(&mut self, id: ClientId, number: u32) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.waiting_for_end.push(number);
        }
    }

    fn refuse(&mut self, id: ClientId, number: u32, code: ErrorCode, message: &str) {
        self.answer(id, number, &Err(WireError::new(code, message)));
    }
}
