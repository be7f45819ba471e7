//! One connection to a fake box: what the real shim and agent would answer.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use boxlite_protocol::{
    AgentRequest, Answer, Channel, Control, Exec, Frame, FrameDecoder, FrameKind, GENERATION, GetArchive,
    GuestMetrics, Hello, Outcome, PutArchive, ShimRequest, WireError,
};
use boxlite_types::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::log::Log;
use super::machine::{Machine, Main};
use super::program;
use super::stream::{FrameSender, Process};

static NEXT_PID: AtomicU32 = AtomicU32::new(100);

/// Speaks with one client until it, or the box, is gone.
pub(super) async fn serve(machine: Arc<Machine>, stream: UnixStream, number: u64) {
    let (mut reader, writer) = stream.into_split();
    let (frames, outgoing) = mpsc::unbounded_channel();
    let hello = Hello { generation: GENERATION, build: "fake".into() };
    let _ = frames.send(Frame::message(0, FrameKind::Hello, &hello));
    let writing = tokio::spawn(write(writer, outgoing));
    let mut client = Client {
        machine: machine.clone(),
        number,
        frames,
        processes: HashMap::new(),
        detached: HashSet::new(),
    };
    let mut decoder = FrameDecoder::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = reader.read(&mut buffer) => read,
            () = machine.gone.cancelled() => break,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => decoder.push(&buffer[..count]),
        }
        while let Ok(Some(frame)) = decoder.next_frame() {
            client.receive(frame);
        }
    }
    client.leave();
    machine.disconnected(number);
    drop(client);
    // What was answered before the end still goes out: every sender is gone soon, and with the last one the queue ends.
    let _ = writing.await;
}

async fn write(mut writer: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Frame>) {
    let mut bytes = Vec::new();
    while let Some(frame) = frames.recv().await {
        bytes.clear();
        frame.encode_into(&mut bytes);
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

struct Client {
    machine: Arc<Machine>,
    number: u64,
    frames: FrameSender,
    processes: HashMap<u32, Arc<Process>>,
    /// Streams of commands that go on without this client.
    detached: HashSet<u32>,
}

impl Client {
    fn receive(&mut self, frame: Frame) {
        match frame.kind {
            FrameKind::AgentRequest => match frame.decode() {
                Ok(request) => self.agent(frame.stream, request),
                Err(error) => self.refuse(frame.stream, ErrorCode::Internal, &error.to_string()),
            },
            FrameKind::ShimRequest => match frame.decode() {
                Ok(request) => self.shim(frame.stream, request),
                Err(error) => self.refuse(frame.stream, ErrorCode::Internal, &error.to_string()),
            },
            _ => self.pass_on(&frame),
        }
    }

    fn pass_on(&self, frame: &Frame) {
        let Some(process) = self.processes.get(&frame.stream) else { return };
        match frame.kind {
            FrameKind::Data => process.receive(&frame.payload),
            FrameKind::Eof => process.receive_eof(),
            FrameKind::Credit => process.receive_credit(frame.channel, frame.credit_bytes().unwrap_or(0)),
            FrameKind::Control => match frame.decode() {
                Ok(Control::Signal(signal)) => process.kill(signal),
                Ok(Control::Kill) => process.kill(9),
                Ok(Control::Resize(_)) | Err(_) => {}
            },
            _ => {}
        }
    }

    fn agent(&mut self, stream: u32, request: AgentRequest) {
        let machine = &self.machine;
        match request {
            AgentRequest::Exec(exec) => self.exec(stream, exec),
            AgentRequest::PutArchive(put) => self.put_archive(stream, put),
            AgentRequest::GetArchive(get) => self.get_archive(stream, get),
            AgentRequest::Stat { path, follow } => {
                let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
                let stat = machine.files.lock().unwrap().stat(&path, follow);
                self.answer(stream, stat.map(Answer::Stat));
            }
            AgentRequest::Metrics => {
                let metrics = GuestMetrics {
                    cpu_usec: 1,
                    memory_used_bytes: 1 << 20,
                    memory_total_bytes: machine.memory_bytes(),
                    disk_used_bytes: 1 << 20,
                    disk_total_bytes: machine.disk_bytes(),
                    processes: 1,
                };
                self.answer(stream, Ok(Answer::Metrics(metrics)));
            }
            AgentRequest::Mount(_)
            | AgentRequest::Rehearse(_)
            | AgentRequest::Setup(_)
            | AgentRequest::Shutdown { .. } => {
                self.refuse(stream, ErrorCode::InvalidState, "only the supervisor asks that");
            }
        }
    }

    fn shim(&mut self, stream: u32, request: ShimRequest) {
        let machine = self.machine.clone();
        match request {
            ShimRequest::Own if machine.own(self.number) => self.answer(stream, Ok(Answer::Done)),
            ShimRequest::Own => self.refuse(stream, ErrorCode::InUse, "another connection owns the box"),
            ShimRequest::Disown => {
                machine.disown(self.number);
                self.answer(stream, Ok(Answer::Done));
            }
            ShimRequest::Status => self.answer(stream, Ok(Answer::Status(machine.status()))),
            ShimRequest::Stop { .. } => {
                if !machine.knobs.ignore_stop.load(Ordering::SeqCst) {
                    machine.end(Some((0, "stopped")));
                    self.answer(stream, Ok(Answer::Done));
                }
            }
            ShimRequest::Kill => {
                if !machine.knobs.ignore_kill.load(Ordering::SeqCst) {
                    machine.end(Some((137, "killed")));
                    self.answer(stream, Ok(Answer::Done));
                }
            }
            ShimRequest::Attach => {
                let main = match &*machine.main.lock().unwrap() {
                    Main::Runs(process) => Ok(process.clone()),
                    Main::NeverAsked => Err((ErrorCode::NotFound, "the box has no main command")),
                    Main::Ended => Err((ErrorCode::Stopped, "the main command has ended")),
                };
                match main {
                    Ok(process) if process.attach(self.number, stream, &self.frames) => {
                        self.processes.insert(stream, process);
                    }
                    Ok(_) => self.refuse(stream, ErrorCode::InUse, "the main command is attached already"),
                    Err((code, message)) => self.refuse(stream, code, message),
                }
            }
        }
    }

    fn exec(&mut self, stream: u32, exec: Exec) {
        if let Err(error) = program::check(&exec) {
            return self.answer(stream, Err(error));
        }
        let log = exec.main.then(|| Log::open(&self.machine.directory).expect("the home of a test"));
        let process = self.open(stream, exec.stdin, log);
        if exec.detach {
            self.detached.insert(stream);
        }
        if exec.main {
            *self.machine.main.lock().unwrap() = Main::Runs(process.clone());
        }
        let machine = self.machine.clone();
        tokio::spawn(async move {
            let status = tokio::select! {
                status = program::run(&machine, &process, &exec) => status,
                () = machine.gone.cancelled() => return,
            };
            process.end(&Ok(Answer::Exited(status)));
            if exec.main {
                *machine.main.lock().unwrap() = Main::Ended;
                machine.end(Some((status.shell_code(), "main command exited")));
            }
        });
    }

    fn put_archive(&mut self, stream: u32, put: PutArchive) {
        let path = String::from_utf8_lossy(&put.path).into_owned();
        if !self.machine.files.lock().unwrap().is_directory(path.as_ref()) {
            return self.refuse(stream, ErrorCode::NotFound, &format!("there is no directory `{path}`"));
        }
        let process = self.open(stream, true, None);
        let machine = self.machine.clone();
        self.transfer(process.clone(), async move {
            let mut archive = Vec::new();
            loop {
                let bytes = process.read().await;
                if bytes.is_empty() {
                    break;
                }
                archive.extend_from_slice(&bytes);
            }
            machine.files.lock().unwrap().put(&put, &archive)
        });
    }

    fn get_archive(&mut self, stream: u32, get: GetArchive) {
        let path = PathBuf::from(String::from_utf8_lossy(&get.path).into_owned());
        let packed = self.machine.files.lock().unwrap().get(&path);
        let planted = self.machine.knobs.archive.lock().unwrap().clone();
        let archive = match planted.map_or(packed, Ok) {
            Ok(archive) => archive,
            Err(error) => return self.answer(stream, Err(error)),
        };
        let process = self.open(stream, false, None);
        self.transfer(process.clone(), async move {
            process.write(Channel::Stdout, &archive).await;
            Ok(())
        });
    }

    /// Runs a transfer until it is done, killed, or its box is gone.
    fn transfer(
        &self,
        process: Arc<Process>,
        work: impl Future<Output = Result<(), WireError>> + Send + 'static,
    ) {
        let machine = self.machine.clone();
        tokio::spawn(async move {
            let result = tokio::select! {
                result = work => result,
                () = process.killed.cancelled() => Err(WireError::new(ErrorCode::Cancelled, "cancelled")),
                () = machine.gone.cancelled() => return,
            };
            process.end(&result.map(|()| Answer::Done));
        });
    }

    fn open(&mut self, stream: u32, stdin: bool, log: Option<Log>) -> Arc<Process> {
        let process = Process::new(NEXT_PID.fetch_add(1, Ordering::Relaxed), stdin, log);
        process.attach(self.number, stream, &self.frames);
        self.processes.insert(stream, process.clone());
        process
    }

    /// Ends what this client began; a main command and a detached one are only let go of.
    fn leave(&mut self) {
        for (stream, process) in &self.processes {
            process.detach(self.number);
            if process.log.is_none() && !self.detached.contains(stream) {
                process.kill(9);
            }
        }
    }

    fn answer(&self, stream: u32, outcome: Outcome) {
        let _ = self.frames.send(Frame::message(stream, FrameKind::End, &outcome));
    }

    fn refuse(&self, stream: u32, code: ErrorCode, message: &str) {
        self.answer(stream, Err(WireError::new(code, message)));
    }
}
