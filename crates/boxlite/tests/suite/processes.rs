//! Several processes on one home, processes that are killed, processes that fork.
//!
//! A child is this test program again, running the one test [`child`] with a role in its environment. It says a line when
//! it has come where the parent wants it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boxlite::{BoxSpec, BoxState, ErrorCode, Options, PullOptions, Runtime};
use boxlite_testkit::engine::FakeEngine;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_types::StartStage;

use crate::world::{PATIENCE, World, code, exec, options, soon, stdout};

const ROLE: &str = "BOXLITE_TEST_ROLE";
const HOME: &str = "BOXLITE_TEST_HOME";
const REGISTRY: &str = "BOXLITE_TEST_REGISTRY";
const READY: &str = "the child is ready";

/// A child that is killed at the latest when it is dropped.
struct Process(Child);

impl Process {
    /// Starts a child in a role, and waits until it says that it is ready.
    fn start(role: &str, world: &World) -> Self {
        let mut process = Self::spawn(role, world);
        let lines = BufReader::new(process.0.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains(READY)), "{role} did not get ready");
        process
    }

    fn spawn(role: &str, world: &World) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(HOME, world.home.path())
            .env(REGISTRY, world.registry.host())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Process(child)
    }

    /// Ends the child with `SIGKILL`.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for a child that ends by itself, and expects that it is content.
    fn finish(mut self) {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "{text}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "run by the other tests, as a process of its own"]
async fn child() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (role, home, registry) = (variable(ROLE), variable(HOME), variable(REGISTRY));
    let engine = FakeEngine::new();
    let options = options(home.as_ref(), &registry, Some(engine.clone()));
    let spec = BoxSpec { name: Some("web".into()), image: format!("{registry}/app:1"), ..BoxSpec::default() };
    match role.as_str() {
        "running" => {
            let runtime = Runtime::open(options).await.unwrap();
            let made = runtime.create(spec).await.unwrap();
            made.start().await.unwrap();
            stay().await;
        }
        "starting" => {
            let runtime = Runtime::open(options).await.unwrap();
            let made = runtime.create(spec).await.unwrap();
            let hold = engine.hold_at(StartStage::Machine);
            let start = tokio::spawn(async move { made.start().await });
            hold.reached(1).await;
            println!("{READY}");
            start.await.unwrap().unwrap();
        }
        "pulling" => {
            let runtime = Runtime::open(options).await.unwrap();
            println!("{READY}");
            runtime.images().pull(&spec.image, PullOptions::default()).await.unwrap();
        }
        "leaking" => {
            let runtime = Runtime::open(options).await.unwrap();
            let made = runtime.create(spec).await.unwrap();
            made.start().await.unwrap();
            std::mem::forget(runtime);
        }
        "forking" => forking(options).await,
        "quiet" => quiet(options, spec).await,
        other => panic!("there is no role `{other}`"),
    }
}

/// Says that this is the place, and stays there until the parent goes or kills.
async fn stay() {
    println!("{READY}");
    tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_killed_process_leaves_what_the_next_open_puts_right() {
    for (role, state) in [("running", BoxState::Stopped), ("starting", BoxState::Stopped)] {
        let world = World::new();
        let runtime = world.open_with_image().await;
        let process = Process::start(role, &world);
        process.kill();
        // Whoever is there already finds out as well as whoever opens later.
        let seen = runtime.get("web").await.unwrap().info().await.unwrap();
        assert_eq!((seen.state, seen.exit_code), (state, Some(137)), "{role}");
        runtime.shutdown(PATIENCE).await.unwrap();
        let again = world.open().await;
        assert_eq!(again.check(false).await.unwrap().findings, [], "{role}");
        let made = again.get("web").await.unwrap();
        made.start().await.unwrap();
        assert_eq!(stdout(&made, "echo again").await, "again\n");
    }
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_pull_leaves_a_sound_home() {
    let world = World::new();
    let stages = [
        (Target::Manifests, 10),
        (Target::Blob(world.artifact.config_digest()), 5),
        (Target::Blob(world.artifact.layer_digest(0)), 40),
    ];
    for (target, bytes) in stages {
        let gate = Gate::new();
        world.registry.script(Rule::on(target).with(Fault::HoldAfter(bytes, gate.clone())));
        let process = Process::start("pulling", &world);
        soon(gate.reached()).await;
        process.kill();
        world.registry.heal();
        let runtime = world.open().await;
        assert_eq!(runtime.images().list().await.unwrap(), []);
        assert_eq!(runtime.check(false).await.unwrap().findings, []);
        let pulled = runtime.images().pull(&world.image(), PullOptions::default()).await.unwrap();
        assert_eq!(pulled.id, world.artifact.digest());
        runtime.images().remove(&world.image(), false).await.unwrap();
        runtime.shutdown(PATIENCE).await.unwrap();
    }
}

#[tokio::test]
async fn two_processes_share_a_home() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let starting = Process::start("starting", &world);
    let made = runtime.get("web").await.unwrap();
    assert_eq!(made.info().await.unwrap().state, BoxState::Starting);
    assert_eq!(code(made.start().await), ErrorCode::InUse);
    starting.kill();
    // Nobody has looked at it since, and whoever starts or removes it need not have.
    made.start().await.unwrap();
    made.stop(PATIENCE).await.unwrap();
    made.remove(false).await.unwrap();
    let starting = Process::start("starting", &world);
    let made = runtime.get("web").await.unwrap();
    starting.kill();
    made.remove(false).await.unwrap();

    let running = Process::start("running", &world);
    let made = runtime.get("web").await.unwrap();
    let info = made.info().await.unwrap();
    assert_eq!((info.state, info.pid), (BoxState::Running, Some(running.0.id())));
    assert_eq!(code(made.start().await), ErrorCode::InvalidState);
    assert_eq!(stdout(&made, "echo across processes").await, "across processes\n");
    let mut sleep = made.exec(exec("sleep")).await.unwrap();
    running.kill();
    assert_eq!(code(soon(sleep.wait()).await), ErrorCode::Stopped);
    assert_eq!(soon(made.wait()).await.unwrap(), 137);
}

#[tokio::test]
async fn a_process_that_exits_without_closing_leaves_nothing_that_the_next_open_does_not_clean_up() {
    let world = World::new();
    world.open_with_image().await.shutdown(PATIENCE).await.unwrap();
    Process::spawn("leaking", &world).finish();
    let runtime = world.open().await;
    assert_eq!(runtime.get("web").await.unwrap().info().await.unwrap().state, BoxState::Stopped);
    assert_eq!(runtime.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn a_forked_child_is_refused_and_does_not_disturb_its_parent() {
    let world = World::new();
    world.open_with_image().await.shutdown(PATIENCE).await.unwrap();
    Process::spawn("forking", &world).finish();
}

async fn forking(options: Options) {
    let runtime = Runtime::open(options.clone()).await.unwrap();
    let images = runtime.images().clone();
    // SAFETY: the child calls only the library under test, and leaves by `_exit`; that it has no other threads is what is
    // being tested.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = [
            futures::executor::block_on(images.list()).unwrap_err().code(),
            futures::executor::block_on(runtime.list()).unwrap_err().code(),
            futures::executor::block_on(runtime.shutdown(Duration::ZERO)).unwrap_err().code(),
            futures::executor::block_on(Runtime::open(options)).unwrap_err().code(),
        ];
        drop((runtime, images));
        // SAFETY: ends the process and nothing else.
        unsafe { libc::_exit(i32::from(refused != [ErrorCode::ForkedProcess; 4])) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made; `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child was not refused as it should be");
    assert_eq!(images.list().await.unwrap().len(), 1);
    runtime.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_library_leaves_its_process_as_it_found_it() {
    let world = World::new();
    world.open_with_image().await.shutdown(PATIENCE).await.unwrap();
    Process::spawn("quiet", &world).finish();
}

/// What a process has that a library may not change.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings {
    signals_caught: String,
    signals_ignored: String,
    umask: String,
    directory: std::path::PathBuf,
    environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    children: String,
}

impl Surroundings {
    fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).expect("proc(5) has it").trim().to_owned()
        };
        Surroundings {
            signals_caught: field("SigCgt:"),
            signals_ignored: field("SigIgn:"),
            umask: field("Umask:"),
            directory: std::env::current_dir().unwrap(),
            environment: std::env::vars_os().collect(),
            children: std::fs::read_dir("/proc/self/task")
                .unwrap()
                .map(|thread| {
                    std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
                })
                .collect(),
        }
    }
}

/// Returns what every open descriptor is, without the numbers that differ each time.
fn open_files() -> Vec<String> {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut open: Vec<_> = fds
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .map(|target| {
            target
                .to_string_lossy()
                .split_once(":[")
                .map_or_else(|| target.display().to_string(), |(kind, _)| kind.to_owned())
        })
        .collect();
    open.sort();
    open
}

async fn quiet(options: Options, spec: BoxSpec) {
    let before = Surroundings::look();
    let files = open_files();
    let runtime = Runtime::open(options).await.unwrap();
    runtime.images().pull(&spec.image, PullOptions::default()).await.unwrap();
    let made = runtime.create(spec).await.unwrap();
    made.start().await.unwrap();
    assert_eq!(stdout(&made, "echo fine").await, "fine\n");
    let during = Surroundings::look();
    assert_eq!(before, during);
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name =
            |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        tasks.flatten().map(name).filter(|name| name.starts_with("boxlite")).collect::<Vec<_>>()
    };
    assert!(threads().len() >= 3, "the names of its threads have changed: {:?}", threads());
    runtime.shutdown(PATIENCE).await.unwrap();
    // The keeper ends right after it has given its answer.
    while !threads().is_empty() {
        assert_eq!(threads(), ["boxlite-keeper\n"]);
        std::thread::yield_now();
    }
    assert_eq!(open_files(), files, "files, sockets, pipes and the like");
    drop(made);
    assert_eq!(before, Surroundings::look());
}
