//! Frames from the agent: checked against what it may say, then passed on to whoever holds the stream.

use boxlite_protocol::{Answer, Channel, Frame, FrameKind, GENERATION, Hello, Opened, Outcome};
use boxlite_types::ExitStatus;

use super::stream::{Holder, Purpose};
use super::{AgentFault, MOST_AGENT_BYTES, MainCommand, Mux, MuxEvent};

/// Exit code of a box whose main command could not be run, as a shell gives it.
const NOT_RUN: i32 = 126;

impl Mux {
    /// Takes bytes of the agent channel.
    pub fn hear_agent(&mut self, bytes: &[u8]) -> Result<(), AgentFault> {
        self.agent_decoder.push(bytes);
        loop {
            match self.agent_decoder.next_frame() {
                Ok(Some(frame)) => {
                    self.agent_frame(frame)?;
                    // Twice what clients may leave there: none of them can make a fault of the agent.
                    if self.agent_out.pending().len() > 2 * MOST_AGENT_BYTES {
                        return Err(AgentFault("it goes on sending and takes no answers".into()));
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(AgentFault(error.to_string())),
            }
        }
    }

    fn agent_frame(&mut self, frame: Frame) -> Result<(), AgentFault> {
        if frame.stream == 0 {
            return self.agent_hello(&frame);
        }
        let fault = || AgentFault(format!("unexpected {:?} frame on stream {}", frame.kind, frame.stream));
        let stream = self.streams.get_mut(&frame.stream).ok_or_else(fault)?;
        let holder = stream.holder;
        match frame.kind {
            FrameKind::Opened => {
                if holder == Holder::Shim || stream.pid.is_some() {
                    return Err(fault());
                }
                let opened: Opened = frame.decode().map_err(|error| AgentFault(error.to_string()))?;
                stream.pid = Some(opened.pid);
                self.pass_on(holder, frame);
            }
            FrameKind::Data => {
                stream.take_output(frame.channel, frame.payload.len()).ok_or_else(fault)?;
                if stream.purpose == Purpose::Main {
                    self.events.push_back(MuxEvent::MainOutput(frame.channel, frame.payload.clone()));
                }
                if holder == Holder::Nobody {
                    let length = frame.payload.len() as u32;
                    stream.grant_output(frame.channel, length).ok_or_else(fault)?;
                    self.agent_out.push(&Frame::credit(frame.stream, frame.channel, length));
                } else {
                    self.pass_on(holder, frame);
                }
            }
            FrameKind::Eof => {
                stream.end_output(frame.channel).ok_or_else(fault)?;
                self.pass_on(holder, frame);
            }
            FrameKind::Credit => {
                if frame.channel != Channel::Stdin {
                    return Err(fault());
                }
                let bytes = frame.credit_bytes().map_err(|error| AgentFault(error.to_string()))?;
                let (frames, grant) = stream.grant_input(frame.stream, bytes).ok_or_else(fault)?;
                frames.iter().for_each(|frame| self.agent_out.push(frame));
                if grant > 0 {
                    self.pass_on(holder, Frame::credit(0, Channel::Stdin, grant));
                }
            }
            FrameKind::End => self.agent_end(frame)?,
            FrameKind::Hello | FrameKind::AgentRequest | FrameKind::ShimRequest | FrameKind::Control => {
                return Err(fault());
            }
        }
        Ok(())
    }

    /// An agent says hello when its channel is opened; one out of a template may have said it to whoever made that.
    fn agent_hello(&self, frame: &Frame) -> Result<(), AgentFault> {
        if frame.kind != FrameKind::Hello {
            return Err(AgentFault(format!("unexpected {:?} frame on stream 0", frame.kind)));
        }
        let hello: Hello = frame.decode().map_err(|error| AgentFault(error.to_string()))?;
        if hello.generation != GENERATION {
            return Err(AgentFault(format!("protocol generation {}, not {GENERATION}", hello.generation)));
        }
        Ok(())
    }

    fn agent_end(&mut self, frame: Frame) -> Result<(), AgentFault> {
        let outcome: Outcome = frame.decode().map_err(|error| AgentFault(error.to_string()))?;
        let Some(stream) = self.streams.remove(&frame.stream) else { return Ok(()) };
        if stream.purpose == Purpose::Main {
            self.main = MainCommand::Ended;
            let (code, reason) = match &outcome {
                Ok(Answer::Exited(status)) => (shell_code(status), "main command exited".into()),
                Ok(_) => return Err(AgentFault("an execution ended without an exit status".into())),
                Err(error) => (NOT_RUN, format!("main command could not be run: {}", error.message)),
            };
            self.events.push_back(MuxEvent::MainEnded(code, reason));
        }
        match stream.holder {
            Holder::Client(client, number) => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.streams.remove(&number);
                }
                self.pass_on(stream.holder, frame);
            }
            Holder::Shim => self.events.push_back(MuxEvent::ShutdownDone),
            Holder::Nobody => {}
        }
        Ok(())
    }

    fn pass_on(&mut self, holder: Holder, frame: Frame) {
        if let Holder::Client(client, number) = holder {
            self.push_to_client(client, Frame { stream: number, ..frame });
        }
    }
}

/// As `ExitStatus::shell_code`, for a status out of a hostile machine: any number may be in it.
fn shell_code(status: &ExitStatus) -> i32 {
    match (status.code, status.signal) {
        (Some(code), _) => code & 0xff,
        (None, signal) => 128 + (signal.unwrap_or(0) & 0x7f),
    }
}
