//! Bringing a machine up, until its agent answers.
//!
//! Cold, or out of a template; either way the result is the same [`Machine`]. Nothing survives a failure: the VMM of a
//! failed attempt is killed and reaped before the next one is made.
//!
//! The greeting: the host says `Hello`, the agent answers with its own. An agent answers every `Hello` it hears before
//! its `Setup`, so a machine that was greeted while its template was made can be greeted again after each restore.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use boxlite_protocol::frame::HEADER_BYTES;
use boxlite_protocol::{AgentRequest, Answer, Frame, FrameKind, GENERATION, Header, Hello, Outcome};
use boxlite_types::{Error, ErrorCode, Result};

use super::command::{MachineChannels, vmm_command};
use super::machine::{MachineSpec, Memory};
use super::process::{Spawn, VmmProcess, readable_before};
use super::qmp::Qmp;
use super::{snapshot, template};

/// Longest time a cold boot may take. One takes 1.2 s on an idle host under the translator, and 14 s were seen on one with
/// eight times the work it can do.
const COLD_BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time a restore may take. Usual are 50 ms; but fifty at once on two processors take seconds, and giving up on a
/// template then would make it far worse.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(60);

/// Cold boots tried before giving up: a guest now and then hangs in early boot on a host that is badly overloaded.
const COLD_BOOT_ATTEMPTS: u32 = 2;

/// A machine whose agent answers.
pub struct Machine {
    /// The VMM; dropping it ends the machine.
    pub process: VmmProcess,
    /// Its control connection.
    pub qmp: Qmp,
    /// Bytes to and from the agent; both sides have said [`Hello`], nothing else was sent.
    pub agent: UnixStream,
    /// What the agent said.
    pub hello: Hello,
    /// Whether it came out of a template.
    pub from_template: bool,
    /// How long its steps took.
    pub timings: BootTimings,
}

impl Machine {
    /// Asks the agent something that it answers in one piece, before anybody else speaks to it.
    pub(super) fn ask(&mut self, request: AgentRequest, deadline: Instant) -> Result<Answer> {
        const STREAM: u32 = 1;
        let mut bytes = Vec::new();
        Frame::message(STREAM, FrameKind::AgentRequest, &request).encode_into(&mut bytes);
        self.agent.write_all(&bytes).map_err(|source| agent_gone(&source))?;
        let frame = read_frame(&mut self.agent, deadline)?;
        if (frame.stream, frame.kind) != (STREAM, FrameKind::End) {
            return Err(garbled(&"it speaks out of turn"));
        }
        let outcome: Outcome = frame.decode().map_err(|error| garbled(&error))?;
        Ok(outcome?)
    }
}

/// How long each step of bringing up a machine took, counted from the start of its process.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootTimings {
    /// The process exists.
    pub spawned: Duration,
    /// The control connection is open.
    pub connected: Duration,
    /// Its processors run.
    pub running: Duration,
    /// The agent answered.
    pub answered: Duration,
}

/// Shows QEMU, the client on the given socket, the image's disk; called once per attempt, and must not block.
pub type ServeImage<'a> = &'a dyn Fn(UnixStream) -> Result<()>;

/// Starts `spec` out of its template if it names one, or cold. A template that turns out to be bad is taken out of use, and
/// the box gets a cold machine; its disk was not touched.
///
/// # Errors
/// `Engine` with the last words of the VMM, `Timeout` if the agent does not answer.
pub fn start(
    spec: &MachineSpec,
    disk: &Path,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<Machine> {
    let Some(template) = &spec.template else {
        return cold_boot(spec, disk, &Memory::Fresh, spawn, serve_image);
    };
    restore(spec, template, disk, spawn, serve_image).or_else(|failure| {
        let machine = cold_boot(spec, disk, &Memory::Fresh, spawn, serve_image)?;
        // Only now it is clear that the template is to blame, and not whatever would fail both.
        tracing::warn!("template `{}` is taken out of use: {failure}", template.display());
        template::condemn(template);
        Ok(machine)
    })
}

/// Restores `spec` from the template in a directory.
///
/// # Errors
/// As [`start`].
pub fn restore(
    spec: &MachineSpec,
    template: &Path,
    disk: &Path,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<Machine> {
    bring_back(spec, &Memory::Restored(template.to_owned()), disk, spawn, serve_image)
}

/// Restores `spec` with a memory that waits for it.
///
/// # Errors
/// As [`start`].
pub(super) fn bring_back(
    spec: &MachineSpec,
    memory: &Memory,
    disk: &Path,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<Machine> {
    attempt(spec, disk, memory, spawn, serve_image, Instant::now() + RESTORE_TIMEOUT)
}

/// Boots `spec` cold; its memory becomes that of a template if `memory` is [`Memory::Recorded`].
///
/// # Errors
/// As [`start`].
pub fn cold_boot(
    spec: &MachineSpec,
    disk: &Path,
    memory: &Memory,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<Machine> {
    let mut tried = 1;
    loop {
        let result = attempt(spec, disk, memory, spawn, serve_image, Instant::now() + COLD_BOOT_TIMEOUT);
        match result {
            Err(error) if error.code() == ErrorCode::Timeout && tried < COLD_BOOT_ATTEMPTS => tried += 1,
            result => return result,
        }
    }
}

/// Makes one attempt at bringing up a machine.
pub(super) fn attempt(
    spec: &MachineSpec,
    disk: &Path,
    memory: &Memory,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
    deadline: Instant,
) -> Result<Machine> {
    let began = Instant::now();
    let (command, MachineChannels { qmp, mut agent, image }) = vmm_command(spec, disk, memory)?;
    serve_image(image)?;
    let mut process = spawn.spawn(command)?;
    let mut timings = BootTimings { spawned: began.elapsed(), ..BootTimings::default() };
    let bring_up = || {
        let mut qmp = Qmp::open(qmp, deadline)?;
        timings.connected = began.elapsed();
        if let Memory::Restored(template) | Memory::Continued { template, .. } = memory {
            snapshot::restore(&mut qmp, template, deadline)?;
        }
        timings.running = began.elapsed();
        let hello = greet(&mut agent, deadline)?;
        timings.answered = began.elapsed();
        Ok((qmp, hello))
    };
    match bring_up() {
        Ok((qmp, hello)) => {
            let from_template = matches!(memory, Memory::Restored(_) | Memory::Continued { .. });
            Ok(Machine { process, qmp, agent, hello, from_template, timings })
        }
        Err(error) => Err(process.explain(error)),
    }
}

/// Greets the agent and returns its answer.
fn greet(agent: &mut UnixStream, deadline: Instant) -> Result<Hello> {
    let hello = Hello { generation: GENERATION, build: env!("CARGO_PKG_VERSION").to_owned() };
    let mut bytes = Vec::new();
    Frame::message(0, FrameKind::Hello, &hello).encode_into(&mut bytes);
    agent.write_all(&bytes).map_err(|source| agent_gone(&source))?;

    let frame = read_frame(agent, deadline)?;
    if (frame.stream, frame.kind) != (0, FrameKind::Hello) {
        return Err(garbled(&"it does not begin with a greeting"));
    }
    let hello: Hello = frame.decode().map_err(|error| garbled(&error))?;
    if hello.generation != GENERATION {
        return Err(Error::new(
            ErrorCode::Engine,
            format!("the agent speaks generation {} of the protocol, not {GENERATION}", hello.generation),
        ));
    }
    Ok(hello)
}

fn read_frame(agent: &mut UnixStream, deadline: Instant) -> Result<Frame> {
    let mut header = [0; HEADER_BYTES];
    read_exact_before(agent, &mut header, deadline)?;
    let header = Header::decode(&header).map_err(|error| garbled(&error))?;
    let mut payload = vec![0; header.length as usize];
    read_exact_before(agent, &mut payload, deadline)?;
    Ok(Frame { stream: header.stream, kind: header.kind, channel: header.channel, payload })
}

fn garbled(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::Engine, format!("the agent does not speak the protocol: {reason}"))
}

fn read_exact_before(stream: &mut UnixStream, mut bytes: &mut [u8], deadline: Instant) -> Result<()> {
    while !bytes.is_empty() {
        if !readable_before(stream.as_fd(), deadline) {
            if Instant::now() < deadline {
                continue;
            }
            return Err(Error::new(
                ErrorCode::Timeout,
                "the agent of the virtual machine did not answer in time",
            ));
        }
        match stream.read(bytes) {
            Ok(0) => return Err(agent_gone(&"the connection ended")),
            Ok(length) => bytes = &mut bytes[length..],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(agent_gone(&error)),
        }
    }
    Ok(())
}

fn agent_gone(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::Engine, format!("the agent of the virtual machine cannot be reached: {reason}"))
}
