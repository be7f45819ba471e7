//! The running machine as its supervisor sees it, and how it is brought up.
//!
//! Bringing it up is synchronous, with deadlines, and ends with a machine that has become the box: greeted, given fresh
//! entropy, the time, its names and its root. Nothing of a machine outlives a failure.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boxlite_protocol::{
    AgentRequest, Answer, Frame, FrameDecoder, FrameKind, GENERATION, Hello, Outcome, Root, Setup,
};
use boxlite_types::{DiskLayout, Error, ErrorCode, IsolationInfo, Result};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::Signal;
use rustix::rand::GetRandomFlags;

use super::config::{MachineKind, RunJob};
use super::files::{self, Durable};
use super::identity::wait_readable;
use super::jail::Jail;
use super::lifeline::Lifeline;
use super::nbd;
use super::spare::Spare;
use crate::vm::{self, VmmProcess};

/// Longest time an agent may take to become the box: it mounts two disks, which takes 10 ms on an idle host.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of host entropy given to each machine: as much as the kernel's generator can hold, twice over.
const ENTROPY_BYTES: usize = 64;

/// Number of the handshake's stream.
const SETUP_STREAM: u32 = 1;

/// Name of the file with the machine id of a box: made once, kept as long as its disk.
const MACHINE_ID_FILE: &str = "machine-id";

/// A machine that is up.
pub(super) struct Machine {
    pub process: VmmProcess,
    /// Bytes to and from the agent, and what of them was read too much.
    pub agent: UnixStream,
    pub decoder: FrameDecoder,
    pub isolation: IsolationInfo,
    /// What keeps the machine running besides itself: it ends when this is dropped.
    pub _control: Option<vm::qmp::Qmp>,
}

impl Machine {
    /// First stream number the handshake has not used.
    pub const FIRST_STREAM: u32 = SETUP_STREAM + 1;
}

/// Brings up the machine of a box, out of `spare` if there is one, and makes it the box. `stage` hears when the machine is up
/// and its root comes next.
pub(super) fn bring_up(
    job: &RunJob,
    directory: &OwnedFd,
    spare: Option<Spare>,
    lifeline: &Lifeline,
    stage: &mut dyn FnMut(),
) -> Result<Machine> {
    let mut machine = match &job.machine {
        MachineKind::Vm { spec, root, disk } => {
            // One that cannot be had gives way to a fresh machine, which says what is wrong if it is something with the disks.
            let taken = spare.and_then(|spare| spare.take(root, disk, lifeline).ok());
            match taken {
                Some(machine) => machine,
                None => start_vm(spec, root, disk, lifeline)?,
            }
        }
        MachineKind::Process { program, arguments } => start_process(program, arguments, lifeline)?,
    };
    stage();
    match set_up(job, directory, &mut machine) {
        Ok(()) => Ok(machine),
        Err(error) => Err(machine.process.explain(error)),
    }
}

fn start_vm(spec: &vm::MachineSpec, root: &DiskLayout, disk: &Path, lifeline: &Lifeline) -> Result<Machine> {
    let image = nbd::Shown::open(root, vm::machine::DISK_BYTES)?;
    let jail = Jail::new(lifeline);
    let machine = vm::start(spec, disk, &jail, &|socket| nbd::serve(&image, socket))?;
    let isolation = isolation(spec, &jail, &machine);
    Ok(Machine {
        process: machine.process,
        agent: machine.agent,
        decoder: FrameDecoder::default(),
        isolation,
        _control: Some(machine.qmp),
    })
}

/// Says how a machine that was just brought up in `jail` is isolated.
pub(super) fn isolation(spec: &vm::MachineSpec, jail: &Jail<'_>, machine: &vm::Machine) -> IsolationInfo {
    IsolationInfo {
        engine: "vm".into(),
        accelerator: spec.accelerator.as_str().into(),
        kernel: spec.kernel_release.clone(),
        confinement: jail.confinement(machine.process.pid()),
        from_template: machine.from_template,
    }
}

fn start_process(program: &Path, arguments: &[String], lifeline: &Lifeline) -> Result<Machine> {
    let failed = |error: std::io::Error| Error::io("run", program, error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: the closure makes one system call and touches no memory. Like a VMM, the stand-in dies with the shim.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let mut child = command.spawn().map_err(failed)?;
    // The command holds the other end of the channel, whose closing tells of the child's death.
    drop(command);
    let stderr = child.stderr.take().ok_or_else(|| Error::new(ErrorCode::Internal, "no pipe was made"))?;
    let process = VmmProcess::new(child.id(), stderr.into())?;
    lifeline.tie(process.pidfd())?;
    let isolation =
        IsolationInfo { engine: "process".into(), accelerator: "none".into(), ..IsolationInfo::default() };
    Ok(Machine { process, agent: ours, decoder: FrameDecoder::default(), isolation, _control: None })
}

/// Turns a machine into the box.
fn set_up(job: &RunJob, directory: &OwnedFd, machine: &mut Machine) -> Result<()> {
    let mut entropy = vec![0; ENTROPY_BYTES];
    rustix::rand::getrandom(&mut entropy, GetRandomFlags::empty())
        .map_err(|error| storage("get entropy", error))?;
    let is_vm = matches!(job.machine, MachineKind::Vm { .. });
    let root = is_vm.then(|| Root {
        image_serial: vm::machine::IMAGE_SERIAL.into(),
        disk_serial: vm::machine::DISK_SERIAL.into(),
    });
    let kept = kept_machine_id(directory);
    let machine_id = kept.clone().map_or_else(new_machine_id, Ok)?;
    let mut bytes = Vec::new();
    if !is_vm {
        let hello = Hello { generation: GENERATION, build: env!("CARGO_PKG_VERSION").into() };
        Frame::message(0, FrameKind::Hello, &hello).encode_into(&mut bytes);
    }
    // Last of all, so that it is right when it gets there.
    let realtime_ns = super::realtime_ns();
    let setup =
        Setup { entropy, realtime_ns, hostname: job.hostname.clone(), machine_id: machine_id.clone(), root };
    Frame::message(SETUP_STREAM, FrameKind::AgentRequest, &AgentRequest::Setup(setup))
        .encode_into(&mut bytes);
    machine.agent.write_all(&bytes).map_err(|error| lost(&error))?;
    // While the machine has something to do: a disk may take longer to keep a new id than the agent takes to set it up.
    if kept.is_none() {
        files::replace(directory, MACHINE_ID_FILE, machine_id.as_bytes(), Durable::Yes).map_err(|error| {
            Error::new(ErrorCode::Storage, format!("cannot keep the machine id: {error}"))
        })?;
    }
    match answer(machine)? {
        Ok(Answer::Ready { kernel }) => {
            machine.isolation.kernel = kernel.chars().filter(|c| !c.is_control()).take(128).collect();
            Ok(())
        }
        Ok(_) => Err(lost(&"it answers what it was not asked")),
        Err(error) => Err(Error::from(error)),
    }
}

/// Waits for the answer to the setup.
fn answer(machine: &mut Machine) -> Result<Outcome> {
    let deadline = Instant::now() + SETUP_TIMEOUT;
    let mut chunk = [0; 4096];
    loop {
        while let Some(frame) = machine.decoder.next_frame().map_err(|error| lost(&error))? {
            match (frame.stream, frame.kind) {
                (0, FrameKind::Hello) => {}
                (SETUP_STREAM, FrameKind::End) => return frame.decode().map_err(|error| lost(&error)),
                _ => return Err(lost(&"it speaks out of turn")),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !wait_readable(machine.agent.as_fd(), left) {
            return Err(Error::new(ErrorCode::Timeout, "the machine did not set up its root in time"));
        }
        match machine.agent.read(&mut chunk) {
            Ok(0) => return Err(lost(&"the connection ended")),
            Ok(length) => machine.decoder.push(&chunk[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(lost(&error)),
        }
    }
}

/// Returns the machine id of the box, the same at each start; `None` at the first.
fn kept_machine_id(directory: &OwnedFd) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(directory, MACHINE_ID_FILE, flags, Mode::empty()).ok()?;
    let mut kept = String::new();
    let _ = File::from(file).take(64).read_to_string(&mut kept);
    (kept.len() == 32 && kept.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(kept)
}

/// Makes up the machine id of a box.
fn new_machine_id() -> Result<String> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
        .map_err(|error| storage("get entropy", error))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn lost(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::Engine, format!("the agent of the machine cannot be set up: {reason}"))
}

fn storage(action: &str, error: rustix::io::Errno) -> Error {
    Error::new(ErrorCode::Engine, format!("cannot {action}: {error}"))
}
