//! One running request of a connection: its input, its output with credit, what is asked of it meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use boxlite_protocol::{Channel, Frame, FrameKind, INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, Opened, Outcome};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::log::Log;

/// Where the frames of a connection go.
pub(super) type FrameSender = mpsc::UnboundedSender<Frame>;

/// A command or a transfer. Who listens to it may change: a main command is let go of and attached to again.
pub(super) struct Process {
    state: Mutex<State>,
    changed: Notify,
    /// Set once, to the signal that ends it.
    pub killed: CancellationToken,
    signal: Mutex<Option<i32>>,
    pub log: Option<Log>,
    pub pid: u32,
}

struct State {
    client: Option<Client>,
    input: VecDeque<u8>,
    input_ended: bool,
    ended: bool,
}

struct Client {
    connection: u64,
    stream: u32,
    frames: FrameSender,
    credit: [u32; 3],
}

impl Process {
    pub fn new(pid: u32, stdin: bool, log: Option<Log>) -> Arc<Self> {
        let state = State { client: None, input: VecDeque::new(), input_ended: !stdin, ended: false };
        Arc::new(Process {
            state: Mutex::new(state),
            changed: Notify::new(),
            killed: CancellationToken::new(),
            signal: Mutex::new(None),
            log,
            pid,
        })
    }

    /// Gives the process a client and tells that client that it runs; false if it has one.
    pub fn attach(&self, connection: u64, stream: u32, frames: &FrameSender) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.client.is_some() {
            return false;
        }
        let opened = Frame::message(stream, FrameKind::Opened, &Opened { pid: self.pid });
        let _ = frames.send(opened);
        state.client =
            Some(Client { connection, stream, frames: frames.clone(), credit: [INITIAL_WINDOW_BYTES; 3] });
        self.changed.notify_waiters();
        true
    }

    /// Lets go of the client if it is that connection.
    pub fn detach(&self, connection: u64) {
        let mut state = self.state.lock().unwrap();
        state.client.take_if(|client| client.connection == connection);
        self.changed.notify_waiters();
    }

    pub fn receive(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.input.extend(bytes);
        self.changed.notify_waiters();
    }

    pub fn receive_eof(&self) {
        self.state.lock().unwrap().input_ended = true;
        self.changed.notify_waiters();
    }

    pub fn receive_credit(&self, channel: Channel, bytes: u32) {
        if let Some(client) = &mut self.state.lock().unwrap().client {
            client.credit[channel as usize] = client.credit[channel as usize].saturating_add(bytes);
        }
        self.changed.notify_waiters();
    }

    /// Ends the process with a signal; the first one counts.
    pub fn kill(&self, signal: i32) {
        self.signal.lock().unwrap().get_or_insert(signal);
        self.killed.cancel();
    }

    pub fn killed_by(&self) -> Option<i32> {
        *self.signal.lock().unwrap()
    }

    /// Reads input; empty at its end.
    pub async fn read(&self) -> Vec<u8> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock().unwrap();
                if !state.input.is_empty() {
                    let bytes: Vec<u8> = state.input.drain(..).collect();
                    if let Some(client) = &state.client {
                        let credit = Frame::credit(client.stream, Channel::Stdin, bytes.len() as u32);
                        let _ = client.frames.send(credit);
                    }
                    return bytes;
                }
                if state.input_ended {
                    return Vec::new();
                }
            }
            changed.await;
        }
    }

    /// Writes output, as fast as the client takes it; without a client it only goes to the log.
    pub async fn write(&self, channel: Channel, mut bytes: &[u8]) {
        if let Some(log) = &self.log {
            log.append(channel, bytes);
        }
        while !bytes.is_empty() {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock().unwrap();
                let Some(client) = &mut state.client else { return };
                let credit = &mut client.credit[channel as usize];
                let count = bytes.len().min(*credit as usize).min(MAX_DATA_BYTES);
                if count > 0 {
                    *credit -= count as u32;
                    let frame = Frame::data(client.stream, channel, bytes[..count].to_vec());
                    let _ = client.frames.send(frame);
                    bytes = &bytes[count..];
                    continue;
                }
            }
            changed.await;
        }
    }

    /// Tells the client how it ended.
    pub fn end(&self, outcome: &Outcome) {
        let mut state = self.state.lock().unwrap();
        state.ended = true;
        if let Some(client) = state.client.take() {
            let _ = client.frames.send(Frame::message(client.stream, FrameKind::End, outcome));
        }
    }
}
