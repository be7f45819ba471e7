//! What the tests of shims share: an agent to run as a stand-in for a machine, and boxes made of it.
#![allow(dead_code)]

pub mod vm;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use boxlite_engine::shim::{Launcher, MachineKind, RunJob};
use boxlite_engine::{ExitRecord, Session, StageSink};
use boxlite_protocol::Exec;
use boxlite_types::{BoxId, Result, StartStage};

/// Longest wait for anything in a test; what hangs fails instead.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Path of the shim of this build.
pub const SHIM: &str = env!("CARGO_BIN_EXE_boxlite-shim");

/// A path that a test hands to another process of itself.
pub fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Builds the agent as `boxlite-helpers` does, in the same place, and returns its path.
pub fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        if let Some(agent) = from_environment("BOXLITE_TEST_AGENT") {
            return agent;
        }
        let target = Path::new(SHIM).ancestors().nth(2).unwrap().join("helpers");
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let status = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--release", "--target", &triple, "--target-dir"])
            .arg(&target)
            .args(["--package", "boxlite-agent", "--bin", "boxlite-agent"])
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .unwrap();
        assert!(status.success(), "the agent cannot be built");
        target.join(triple).join("release/boxlite-agent")
    })
}

/// A box whose machine is an agent on the host.
pub struct TestBox {
    directory: PathBuf,
    _home: Option<tempfile::TempDir>,
    pub launcher: Launcher,
}

impl TestBox {
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("boxlite-shim-").tempdir().unwrap();
        let mut test_box = Self::at(home.path());
        test_box._home = Some(home);
        test_box
    }

    pub fn at(directory: &Path) -> Self {
        TestBox { directory: directory.to_owned(), _home: None, launcher: Launcher::new(SHIM) }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn job(&self, detach: bool) -> RunJob {
        RunJob {
            id: BoxId::from_random([7; 12]),
            directory: self.directory.clone(),
            hostname: "box".into(),
            detach,
            machine: MachineKind::Process {
                program: agent().to_owned(),
                arguments: vec!["--fd".into(), "0".into()],
            },
        }
    }

    pub async fn try_start(&self, detach: bool) -> Result<Session> {
        let silent: StageSink = Arc::new(|_, _| {});
        patiently(self.launcher.run(self.job(detach), None, &silent)).await
    }

    pub async fn start(&self, detach: bool) -> Session {
        self.try_start(detach).await.unwrap()
    }

    /// Waits until the box has ended, and returns how.
    pub async fn ended(&self) -> ExitRecord {
        let gone = async {
            while boxlite_engine::shim::supervisor(&self.directory).unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        patiently(gone).await;
        boxlite_engine::shim::reap(&self.directory).unwrap().expect("an ended box has a record")
    }

    /// Files of a running box that must be gone when it does not run.
    pub fn leftovers(&self) -> Vec<&'static str> {
        ["shim.sock", "shim.json"].into_iter().filter(|name| self.directory.join(name).exists()).collect()
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        // A failed test leaves no detached box behind.
        if let Ok(Some(process)) = boxlite_engine::shim::supervisor(&self.directory) {
            kill(process.pid);
        }
    }
}

/// Stages in the order in which they began and ended.
pub type Stages = Arc<Mutex<Vec<(StartStage, Option<Duration>)>>>;

pub fn recording() -> (Stages, StageSink) {
    let stages = Stages::default();
    let sink = Arc::clone(&stages);
    (stages, Arc::new(move |stage, elapsed| sink.lock().unwrap().push((stage, elapsed))))
}

pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// A shell command as it is run in a box.
pub fn shell(script: &str) -> Exec {
    Exec {
        argv: ["/bin/sh", "-c", script].map(|part| part.as_bytes().to_vec()).to_vec(),
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

pub fn main_command(script: &str) -> Exec {
    Exec { main: true, ..shell(script) }
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// The processes that a process has started and that still run.
pub fn children_of(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let numbers =
        |list: String| -> Vec<u32> { list.split_whitespace().map(|child| child.parse().unwrap()).collect() };
    lists.flat_map(numbers).filter(|child| runs(*child)).collect()
}

pub fn runs(pid: u32) -> bool {
    // A zombie has no command line; it has ended.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Waits until a process has ended.
pub async fn gone(pid: u32) {
    patiently(async {
        while runs(pid) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Runs a command to its end and returns what it printed.
pub async fn output(session: &Session, script: &str) -> String {
    let mut process = session.exec(shell(script)).await.unwrap();
    let mut bytes = Vec::new();
    patiently(tokio::io::AsyncReadExt::read_to_end(&mut process.stdout, &mut bytes)).await.unwrap();
    let mut complaint = Vec::new();
    patiently(tokio::io::AsyncReadExt::read_to_end(&mut process.stderr, &mut complaint)).await.unwrap();
    let status = patiently(process.wait()).await.unwrap();
    assert!(status.success(), "`{script}`: {status:?}: {}", String::from_utf8_lossy(&complaint));
    String::from_utf8(bytes).unwrap()
}

/// Whether any process runs a program.
pub fn is_run(program: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut programs = processes.filter_map(|process| std::fs::read_link(process.path().join("exe")).ok());
    programs.any(|found| found == program)
}
