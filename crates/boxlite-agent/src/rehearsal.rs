//! A start and a first command, played through in a machine that is to become a box later.
//!
//! The emulator keeps what it has translated, so what runs for the second time runs many times as fast. A child, in mounts and
//! with a host name of its own, is an agent like this one: it is set up with the root it is given and runs one command, over a
//! socket. Then it is killed, and the kernel takes apart whatever it has mounted. Being a fork it shares the pages of its
//! program with this process, and translations belong to pages.
//!
//! Nothing of the image is run: the command is this program, which then says that it was called wrongly.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use boxlite_protocol::{AgentRequest, Exec, Frame, FrameDecoder, FrameKind, Outcome, Root, Setup};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use crate::Place;
use crate::failure::{failed, failed_io};
use crate::port::Port;
use crate::process;
use crate::root::groundwork;

/// Longest time the kernel may take to let go of a disk after the last process that saw it mounted.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Plays it through. This process must have a single thread.
pub(crate) fn play(root: &Root) -> Result<()> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed_io("make a channel", &error))?;
    // SAFETY: there is one thread, so the child is a whole copy of this process.
    let child = match unsafe { libc::fork() } {
        0 => {
            drop(ours);
            let _ = act(theirs.into());
            process::give_up()
        }
        pid => Pid::from_raw(pid).ok_or_else(|| failed("start a rehearsal", process::last_errno()))?,
    };
    drop(theirs);
    let directed = direct(ours, root);
    let _ = rustix::process::kill_process(child, Signal::KILL);
    while matches!(rustix::process::waitpid(Some(child), WaitOptions::empty()), Err(Errno::INTR)) {}
    directed?;
    [&root.image_serial, &root.disk_serial].into_iter().try_for_each(|serial| wait_released(serial))
}

/// The child's part.
fn act(channel: OwnedFd) -> Result<()> {
    // SAFETY: none of these flags makes this process share less memory with anything than it thinks.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWUTS) }
        .map_err(|errno| failed("have mounts of its own", errno))?;
    crate::serve(Port::new(channel, false)?, Place::Machine, None)
}

/// The host's part.
fn direct(mut channel: UnixStream, root: &Root) -> Result<()> {
    let setup = Setup {
        // The box's own comes when there is one, and starts the generator anew.
        entropy: vec![0; 64],
        realtime_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
        hostname: "rehearsal".into(),
        machine_id: "0".repeat(32),
        root: Some(root.clone()),
    };
    let command = Exec {
        argv: vec![b"/proc/self/exe".to_vec(), b"--help".to_vec()],
        env: vec![b"PATH=/bin".to_vec()],
        cwd: b"/".to_vec(),
        user: String::new(),
        tty: None,
        stdin: false,
        timeout_ms: None,
        main: false,
        detach: false,
    };
    let mut decoder = FrameDecoder::default();
    for (stream, request) in [(1, AgentRequest::Setup(setup)), (2, AgentRequest::Exec(command))] {
        let mut bytes = Vec::new();
        Frame::message(stream, FrameKind::AgentRequest, &request).encode_into(&mut bytes);
        channel.write_all(&bytes).map_err(|error| failed_io("direct a rehearsal", &error))?;
        loop {
            let nonsense =
                |what: String| Error::new(ErrorCode::Internal, format!("a rehearsal went wrong: {what}"));
            if let Some(frame) = decoder.next_frame().map_err(|error| nonsense(error.to_string()))? {
                if (frame.stream, frame.kind) == (stream, FrameKind::End) {
                    let outcome: Outcome = frame.decode().map_err(|error| nonsense(error.to_string()))?;
                    outcome?;
                    break;
                }
                continue;
            }
            let mut chunk = [0; 4096];
            match channel.read(&mut chunk).map_err(|error| failed_io("direct a rehearsal", &error))? {
                0 => return Err(nonsense("it ended early".into())),
                count => decoder.push(&chunk[..count]),
            }
        }
    }
    Ok(())
}

/// Waits until a disk is nobody's, and nothing of it is remembered: a filesystem is taken apart some time after the last
/// process that saw it is gone, and a device's content is forgotten when its last user closes it.
fn wait_released(serial: &str) -> Result<()> {
    let device = groundwork::disk(serial)?;
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    loop {
        match rustix::fs::open(&device, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::BUSY) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Err(errno) => return Err(failed(format!("have the disk `{serial}` back"), errno)),
        }
    }
}
