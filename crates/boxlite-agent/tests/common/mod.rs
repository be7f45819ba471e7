//! An agent as an ordinary process on a socket pair, and a session with it: what every test here starts from.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use boxlite_engine::Session;
use boxlite_engine::session::RemoteProcess;
use boxlite_protocol::{AgentRequest, Answer, Exec, Setup};
use boxlite_types::ExitStatus;

/// An agent and the session with it.
pub struct Box {
    pub session: Session,
    pub agent: Agent,
}

/// The agent's process.
pub struct Agent(pub Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// Memory the agent itself has taken, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

/// Starts an agent with more arguments than `--fd`, and returns the other end of its socket.
pub fn start_agent(arguments: &[&str]) -> (Agent, std::os::unix::net::UnixStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let fd = theirs.as_raw_fd();
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxlite-agent"));
    command.args(["--fd", "3"]).args(arguments);
    // SAFETY: one system call in the child.
    unsafe {
        command.pre_exec(move || {
            if fd == 3 {
                libc::fcntl(3, libc::F_SETFD, 0);
            } else if libc::dup2(fd, 3) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    (Agent(command.spawn().unwrap()), ours)
}

/// Starts an agent that is set up.
pub async fn start() -> Box {
    start_with(&[]).await
}

/// As [`start`], with more arguments.
pub async fn start_with(arguments: &[&str]) -> Box {
    let (agent, socket) = start_agent(arguments);
    let session = Session::connect(tokio::net::UnixStream::from_std(socket).unwrap()).await.unwrap();
    let answer = session.request(AgentRequest::Setup(setup())).await.unwrap();
    assert!(matches!(answer, Answer::Ready { .. }), "{answer:?}");
    Box { session, agent }
}

pub fn setup() -> Setup {
    Setup {
        entropy: vec![7; 32],
        realtime_ns: 0,
        hostname: "box".into(),
        machine_id: "0".repeat(32),
        root: None,
    }
}

/// A command with a `PATH` and nothing else.
pub fn command(argv: &[&str]) -> Exec {
    Exec {
        argv: argv.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
        env: vec![b"PATH=/usr/bin:/bin".to_vec()],
        cwd: b"/".to_vec(),
        user: String::new(),
        tty: None,
        stdin: false,
        timeout_ms: None,
        main: false,
        detach: false,
    }
}

pub fn shell(script: &str) -> Exec {
    command(&["sh", "-c", script])
}

/// How a command ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs a command to its end.
pub async fn run(session: &Session, exec: Exec) -> boxlite_types::Result<Ended> {
    finish(session.exec(exec).await?).await
}

/// Collects what a running command says until it ends.
pub async fn finish(process: RemoteProcess) -> boxlite_types::Result<Ended> {
    let RemoteProcess { mut stdout, mut stderr, control, stdin, .. } = process;
    drop(stdin);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let gather_stdout = async {
        while let Some(chunk) = stdout.next_chunk().await {
            out.extend_from_slice(&chunk);
        }
    };
    let gather_stderr = async {
        while let Some(chunk) = stderr.next_chunk().await {
            err.extend_from_slice(&chunk);
        }
    };
    tokio::join!(gather_stdout, gather_stderr);
    let status = control.wait().await?;
    Ok(Ended { status, stdout: out, stderr: err })
}

/// Runs a shell script that must succeed, and returns what it printed.
pub async fn output_of(session: &Session, script: &str) -> String {
    let ended = run(session, shell(script)).await.unwrap();
    assert!(ended.status.success(), "{script}: {ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}
