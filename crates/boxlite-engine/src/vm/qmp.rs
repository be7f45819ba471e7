//! A client of QEMU's control protocol (QMP, docs/interop/qmp-spec in the QEMU sources), synchronous.
//!
//! Every wait has a deadline, and the other side is not trusted: a VMM may have been taken over, so lines are bounded,
//! and nonsense is an error, never a panic. Events that arrive while something else is waited for are kept, a bounded
//! number of them.

use std::collections::VecDeque;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use boxlite_types::{Error, ErrorCode, Result};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use super::process::readable_before;

/// Longest line accepted. The longest real answer of the commands used here is a few KiB.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Events kept for later; the oldest are dropped.
const MAX_EVENTS: usize = 256;

/// Something QEMU reports on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct QmpEvent {
    /// Its name, as `RESUME`.
    pub name: String,
    /// Its data, `Null` if it has none.
    pub data: Value,
}

/// One line of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum QmpMessage {
    /// First line of a connection; the version of QEMU.
    Greeting(String),
    /// A command succeeded.
    Return(Value),
    /// A command failed; what QEMU says of it.
    Failure(String),
    /// See [`QmpEvent`].
    Event(QmpEvent),
}

impl QmpMessage {
    /// Parses a line.
    ///
    /// # Errors
    /// `Engine` if it is no message of the protocol.
    pub fn parse(line: &[u8]) -> Result<Self> {
        let malformed = || {
            let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
            Error::new(
                ErrorCode::Engine,
                format!("QEMU says something that is not QMP: `{}`", shown.trim_end()),
            )
        };
        let value: Value = serde_json::from_slice(line).map_err(|_| malformed())?;
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned).ok_or_else(malformed);
        if let Some(greeting) = value.get("QMP") {
            let version = greeting.pointer("/version/qemu").ok_or_else(malformed)?;
            let part = |name| version.get(name).and_then(Value::as_u64).ok_or_else(malformed);
            return Ok(QmpMessage::Greeting(format!(
                "{}.{}.{}",
                part("major")?,
                part("minor")?,
                part("micro")?
            )));
        }
        if let Some(name) = value.get("event") {
            let data = value.get("data").cloned().unwrap_or(Value::Null);
            return Ok(QmpMessage::Event(QmpEvent { name: text(Some(name))?, data }));
        }
        if let Some(result) = value.get("return") {
            return Ok(QmpMessage::Return(result.clone()));
        }
        let failure = value.get("error").ok_or_else(malformed)?;
        Ok(QmpMessage::Failure(text(failure.get("desc"))?))
    }
}

/// A control connection.
pub struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    events: VecDeque<QmpEvent>,
    version: String,
}

impl Qmp {
    /// Waits for the greeting and leaves the negotiation mode.
    ///
    /// # Errors
    /// `Engine` if the other side is gone or does not speak QMP, `Timeout` at the deadline.
    pub fn open(stream: UnixStream, deadline: Instant) -> Result<Self> {
        let mut qmp = Qmp { stream, received: Vec::new(), events: VecDeque::new(), version: String::new() };
        match qmp.next_message(deadline, "its greeting")? {
            QmpMessage::Greeting(version) => qmp.version = version,
            _ => return Err(Error::new(ErrorCode::Engine, "QEMU does not begin with a greeting")),
        }
        qmp.execute("qmp_capabilities", Value::Null, deadline)?;
        Ok(qmp)
    }

    /// Returns the version of QEMU, as `7.2.22`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs a command to its answer. `arguments` is an object, or `Null` for none.
    ///
    /// # Errors
    /// `Engine` if QEMU refuses the command or is gone, `Timeout` at the deadline.
    pub fn execute(&mut self, command: &str, arguments: Value, deadline: Instant) -> Result<Value> {
        let line = encode(command, arguments);
        self.stream.write_all(&line).map_err(|source| gone(command, source))?;
        self.answer(command, deadline)
    }

    /// Hands QEMU a descriptor (`getfd`), which its `fd:` addresses then call `name`.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn pass_file(&mut self, name: &str, file: BorrowedFd<'_>, deadline: Instant) -> Result<()> {
        self.execute_with("getfd", json!({ "fdname": name }), file, deadline)
    }

    /// Hands QEMU a descriptor (`add-fd`) as the set of that number, which its file names then call `/dev/fdset/<set>`.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn pass_set(&mut self, set: u32, file: BorrowedFd<'_>, deadline: Instant) -> Result<()> {
        self.execute_with("add-fd", json!({ "fdset-id": set }), file, deadline)
    }

    /// Runs a command that takes a descriptor.
    fn execute_with(
        &mut self,
        command: &str,
        arguments: Value,
        file: BorrowedFd<'_>,
        deadline: Instant,
    ) -> Result<()> {
        let line = encode(command, arguments);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file];
        control.push(SendAncillaryMessage::ScmRights(&files));
        // The line is far shorter than a socket buffer that is empty between commands, so it goes out whole.
        let sent = sendmsg(&self.stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)
            .map_err(|source| gone(command, source.into()))?;
        if sent != line.len() {
            return Err(Error::new(ErrorCode::Engine, "QEMU does not take its control connection's bytes"));
        }
        self.answer(command, deadline).map(drop)
    }

    /// Waits for the first event that `wanted` accepts, those that came earlier included.
    ///
    /// # Errors
    /// `Engine` if QEMU is gone, `Timeout` at the deadline; `what` says what was waited for.
    pub fn wait_event(
        &mut self,
        what: &str,
        deadline: Instant,
        wanted: impl Fn(&QmpEvent) -> bool,
    ) -> Result<QmpEvent> {
        while let Some(event) = self.events.pop_front() {
            if wanted(&event) {
                return Ok(event);
            }
        }
        loop {
            if let QmpMessage::Event(event) = self.next_message(deadline, what)?
                && wanted(&event)
            {
                return Ok(event);
            }
        }
    }

    /// Forgets the events that came before the last answer, so that none of them is taken for a later one.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    fn answer(&mut self, command: &str, deadline: Instant) -> Result<Value> {
        loop {
            match self.next_message(deadline, command)? {
                QmpMessage::Return(value) => return Ok(value),
                QmpMessage::Failure(description) => {
                    return Err(Error::new(
                        ErrorCode::Engine,
                        format!("QEMU refuses `{command}`: {description}"),
                    ));
                }
                QmpMessage::Event(event) => {
                    if self.events.len() == MAX_EVENTS {
                        self.events.pop_front();
                    }
                    self.events.push_back(event);
                }
                QmpMessage::Greeting(_) => {
                    return Err(Error::new(ErrorCode::Engine, "QEMU greets a second time"));
                }
            }
        }
    }

    fn next_message(&mut self, deadline: Instant, what: &str) -> Result<QmpMessage> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.received[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=searched + end).collect();
                return QmpMessage::parse(&line);
            }
            searched = self.received.len();
            if searched > MAX_LINE_BYTES {
                return Err(Error::new(ErrorCode::Engine, "QEMU sends an endless line of QMP"));
            }
            if !readable_before(self.stream.as_fd(), deadline) {
                if Instant::now() < deadline {
                    continue;
                }
                return Err(Error::new(ErrorCode::Timeout, format!("QEMU did not answer in time: {what}")));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(Error::new(
                        ErrorCode::Engine,
                        format!("QEMU ended its control connection: {what}"),
                    ));
                }
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(gone(what, source)),
            }
        }
    }
}

fn encode(command: &str, arguments: Value) -> Vec<u8> {
    let mut line = match arguments {
        Value::Null => json!({ "execute": command }),
        arguments => json!({ "execute": command, "arguments": arguments }),
    }
    .to_string()
    .into_bytes();
    line.push(b'\n');
    line
}

fn gone(command: &str, source: std::io::Error) -> Error {
    Error::new(ErrorCode::Engine, format!("QEMU cannot be told `{command}`: {source}")).caused_by(source)
}

#[cfg(test)]
#[path = "qmp/tests.rs"]
mod tests;
