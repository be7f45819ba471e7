//! The life of a box that is up: one thread, one loop over everything that can happen.
//!
//! The loop never waits for anyone in particular: every descriptor is non-blocking, and the one thing with a deadline is a
//! stop. It ends when the machine is gone; then the record of the run is made durable, the files that say "a shim lives
//! here" go, and only then do clients hear of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use boxlite_protocol::{Answer, ShimStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::LogWriter;
use super::machine::Machine;
use super::mux::{AgentFault, ClientId, Mux, MuxEvent};
use super::record::KILLED;
use super::{files, identity, listener, record};
use crate::ExitRecord;

/// Time a box gets to stop when nobody has said how long: after its main command, or on `SIGTERM`.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a machine gets to go off once its agent has written everything back.
const POWER_OFF_TIMEOUT: Duration = Duration::from_millis(500);

/// Time a client gets to read the rest, counted from its last read.
const LAST_READ_TIMEOUT: Duration = Duration::from_secs(10);

const READ_BYTES: usize = 256 * 1024;

/// What a supervisor is given: all of it open, so that it needs nothing more of the file system.
pub(super) struct Parts {
    pub directory: OwnedFd,
    pub lock: identity::Held,
    pub machine: Machine,
    pub listener: UnixListener,
    /// `SIGTERM` and `SIGINT`, as a `signalfd`.
    pub signals: OwnedFd,
    /// Standard input, of a box that is not detached: its end kills the box as long as nobody has claimed it.
    pub starter: Option<OwnedFd>,
    /// `/proc/<vmm>/smaps_rollup`.
    pub memory: Option<File>,
    pub started_ns: u64,
}

struct Supervisor {
    parts: Parts,
    mux: Mux,
    clients: HashMap<ClientId, UnixStream>,
    /// The process that owns the box. Its connection says so as well, but a child it has forked holds that open.
    owner: Option<OwnedFd>,
    log: LogWriter,
    /// How the run ends, once that is known: the first cause counts.
    verdict: Option<(i32, String)>,
    /// When a machine that is being stopped is killed.
    deadline: Option<Instant>,
    /// Whether its agent has said that everything is ended and written back: then killing it loses nothing.
    is_clean: bool,
    buffer: Vec<u8>,
}

/// Supervises a box until its machine is gone and its clients know.
pub(super) fn supervise(mut parts: Parts) -> std::io::Result<()> {
    let decoder = std::mem::take(&mut parts.machine.decoder);
    let mux = Mux::new(env!("CARGO_PKG_VERSION").into(), decoder, Machine::FIRST_STREAM);
    parts.machine.agent.set_nonblocking(true)?;
    let log = LogWriter::new(parts.directory.try_clone()?);
    let mut supervisor = Supervisor {
        parts,
        mux,
        clients: HashMap::new(),
        owner: None,
        log,
        verdict: None,
        deadline: None,
        is_clean: false,
        buffer: vec![0; READ_BYTES],
    };
    // What came behind the answer to the setup is in the decoder already.
    supervisor.hear_agent(0);
    loop {
        match supervisor.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                supervisor.kill(&format!("machine died: its shim failed: {error}"));
                break;
            }
        }
    }
    supervisor.finish()
}

/// What a descriptor in the poll set is.
#[derive(Clone, Copy)]
enum Source {
    Machine,
    Agent,
    Listener,
    Signals,
    Starter,
    Owner,
    Client(ClientId),
}

impl Supervisor {
    /// Waits for something to happen and sees to it. Returns whether the machine is gone.
    fn step(&mut self) -> std::io::Result<bool> {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.deadline = None;
            if !self.is_clean && self.verdict.as_ref().is_some_and(|(_, reason)| reason == "stopped") {
                self.verdict = Some((KILLED, "killed: it did not stop in time".into()));
            }
            self.parts.machine.process.kill();
        }
        for (source, events) in self.wait(self.deadline.map(|deadline| deadline - now))? {
            match source {
                Source::Machine => return Ok(true),
                Source::Agent if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                    self.read_agent();
                }
                Source::Agent => {}
                Source::Listener => self.accept()?,
                Source::Signals => {
                    let _ = rustix::io::read(&self.parts.signals, &mut self.buffer);
                    self.stop(STOP_TIMEOUT);
                }
                Source::Starter => {
                    let Some(starter) = &self.parts.starter else { continue };
                    if matches!(rustix::io::read(starter, &mut self.buffer), Ok(0) | Err(_)) {
                        self.parts.starter = None;
                        self.kill("owner died");
                    }
                }
                Source::Owner => {
                    self.owner = None;
                    self.kill("owner died");
                }
                Source::Client(id) => {
                    if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::RDHUP) {
                        self.read_client(id);
                    }
                }
            }
        }
        self.write_clients();
        self.write_agent();
        Ok(false)
    }

    fn wait(&self, timeout: Option<Duration>) -> std::io::Result<Vec<(Source, PollFlags)>> {
        let with_output = |pending: &[u8]| {
            if pending.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
        };
        let machine = &self.parts.machine;
        let mut sources = vec![
            (Source::Agent, machine.agent.as_fd(), with_output(self.mux.agent_pending())),
            (Source::Listener, self.parts.listener.as_fd(), PollFlags::IN),
            (Source::Signals, self.parts.signals.as_fd(), PollFlags::IN),
        ];
        if let Some(starter) = &self.parts.starter {
            sources.push((Source::Starter, starter.as_fd(), PollFlags::IN));
        }
        if let Some(owner) = &self.owner {
            sources.push((Source::Owner, owner.as_fd(), PollFlags::IN));
        }
        for (id, stream) in &self.clients {
            let events = with_output(self.mux.client_pending(*id)) | PollFlags::RDHUP;
            sources.push((Source::Client(*id), stream.as_fd(), events));
        }
        // Last, so that what the machine said before its end is read first.
        sources.push((Source::Machine, machine.process.pidfd(), PollFlags::IN));
        let mut polled: Vec<_> =
            sources.iter().map(|(_, fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let happened = sources.iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
        Ok(happened.map(|((source, _, _), polled)| (*source, polled.revents())).collect())
    }

    fn accept(&mut self) -> std::io::Result<()> {
        // Out of descriptors, say: the client sees a closed connection, the box goes on.
        while let Ok(Some(stream)) = listener::accept(&self.parts.listener) {
            self.clients.insert(self.mux.connect(), stream);
        }
        Ok(())
    }

    fn read_agent(&mut self) {
        match self.parts.machine.agent.read(&mut self.buffer) {
            // The channel is the machine's only use; it is gone, or about to be.
            Ok(0) => self.parts.machine.process.kill(),
            Ok(length) => self.hear_agent(length),
            Err(error) if would_wait(&error) => {}
            Err(_) => self.parts.machine.process.kill(),
        }
    }

    /// Hands the first `length` bytes of the buffer to the mux.
    fn hear_agent(&mut self, length: usize) {
        let heard = self.mux.hear_agent(&self.buffer[..length]);
        self.take_events();
        if let Err(AgentFault(fault)) = heard {
            self.kill(&format!("machine died: its agent broke the protocol: {fault}"));
        }
    }

    fn write_agent(&mut self) {
        while !self.mux.agent_pending().is_empty() {
            match self.parts.machine.agent.write(self.mux.agent_pending()) {
                Ok(length) => self.mux.agent_wrote(length),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn read_client(&mut self, id: ClientId) {
        let Some(stream) = self.clients.get_mut(&id) else { return };
        let goes_on = match stream.read(&mut self.buffer) {
            Ok(0) => false,
            Ok(length) => self.mux.hear_client(id, &self.buffer[..length]).is_ok(),
            Err(error) => would_wait(&error),
        };
        if !goes_on {
            self.lose_client(id);
        }
        self.take_events();
    }

    fn write_clients(&mut self) {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            while !self.mux.client_pending(id).is_empty() {
                let Some(stream) = self.clients.get_mut(&id) else { break };
                match stream.write(self.mux.client_pending(id)) {
                    Ok(length) => self.mux.client_wrote(id, length),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => {
                        self.lose_client(id);
                        self.take_events();
                        break;
                    }
                }
            }
        }
    }

    fn lose_client(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.mux.disconnect(id);
    }

    fn take_events(&mut self) {
        while let Some(event) = self.mux.next_event() {
            match event {
                // A full disk costs the log a record, not the box its life.
                MuxEvent::MainOutput(channel, bytes) => {
                    let _ = self.log.append(super::realtime_ns(), channel, &bytes);
                }
                MuxEvent::MainEnded(code, reason) => {
                    self.verdict.get_or_insert((code, reason));
                    self.shut_down(STOP_TIMEOUT);
                }
                MuxEvent::Status(client, number) => {
                    let status = Answer::Status(self.status());
                    self.mux.answer(client, number, &Ok(status));
                }
                MuxEvent::Stop(timeout) => self.stop(timeout),
                MuxEvent::Kill => self.kill("killed"),
                MuxEvent::Claimed => {
                    self.parts.starter = None;
                    let owner = self.mux.owner().and_then(|id| self.clients.get(&id));
                    self.owner = owner.and_then(|stream| listener::peer(stream).ok());
                }
                MuxEvent::OwnerGone => self.kill("owner died"),
                MuxEvent::ShutdownDone => {
                    self.is_clean = true;
                    self.expire_in(POWER_OFF_TIMEOUT);
                }
            }
        }
    }

    fn status(&self) -> ShimStatus {
        ShimStatus {
            pid: std::process::id(),
            vmm_pid: self.parts.machine.process.pid(),
            started_ns: self.parts.started_ns,
            isolation: self.parts.machine.isolation.clone(),
            owned: self.mux.owner().is_some(),
            host_memory_bytes: self.parts.memory.as_ref().and_then(proportional_bytes).unwrap_or(0),
        }
    }

    fn stop(&mut self, timeout: Duration) {
        self.verdict.get_or_insert((0, "stopped".into()));
        self.shut_down(timeout);
    }

    fn shut_down(&mut self, timeout: Duration) {
        // A quarter of the time is kept for what comes after the processes: writing back, unmounting, going off.
        self.mux.shut_down(timeout / 4 * 3);
        self.expire_in(timeout);
    }

    fn expire_in(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    fn kill(&mut self, reason: &str) {
        // Whoever kills a box that is stopping is the one who ended it; a main command that has ended stays the cause.
        if self.verdict.as_ref().is_none_or(|(_, reason)| reason == "stopped") {
            self.verdict = Some((KILLED, reason.to_owned()));
        }
        self.parts.machine.process.kill();
    }

    /// The machine is gone: makes that known, in the order in which it may be relied on.
    fn finish(mut self) -> std::io::Result<()> {
        while let Ok(length @ 1..) = self.parts.machine.agent.read(&mut self.buffer) {
            self.hear_agent(length);
        }
        let process = &mut self.parts.machine.process;
        let end = process.wait(Duration::from_secs(1)).unwrap_or_else(|| "ended".into());
        let (code, reason) = self.verdict.take().unwrap_or_else(|| {
            let words = process.last_words();
            let said = if words.is_empty() { String::new() } else { format!(": {words}") };
            (KILLED, format!("machine died: it {end}{said}"))
        });
        let directory = &self.parts.directory;
        let _ = self.log.sync();
        let recorded = record::write(directory, &ExitRecord::now(code, reason));
        files::remove(directory, listener::SOCKET_FILE)?;
        files::remove(directory, identity::PROCESSES_FILE)?;
        drop(self.parts.lock);
        drop(self.parts.listener);
        self.mux.finish();
        flush(&mut self.mux, self.clients);
        recorded
    }
}

/// Gives every client what is left for it; one that does not read holds up nobody but this process.
fn flush(mux: &mut Mux, mut clients: HashMap<ClientId, UnixStream>) {
    loop {
        clients.retain(|id, stream| {
            loop {
                match mux.client_pending(*id) {
                    [] => return false,
                    pending => match stream.write(pending) {
                        Ok(length) => mux.client_wrote(*id, length),
                        Err(error) => return would_wait(&error),
                    },
                }
            }
        });
        if clients.is_empty() {
            return;
        }
        let mut polled: Vec<_> =
            clients.values().map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::OUT)).collect();
        let timeout = Timespec { tv_sec: LAST_READ_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
        if !matches!(poll(&mut polled, Some(&timeout)), Ok(1..) | Err(rustix::io::Errno::INTR)) {
            return;
        }
    }
}

fn would_wait(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}

/// Reads `Pss` out of a `smaps_rollup`.
fn proportional_bytes(memory: &File) -> Option<u64> {
    let mut bytes = [0; 4096];
    let length = memory.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
