//! Two-phase shutdown: what it promises to those who hold handles, and to the home.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use boxlite::{
    BoxSpec, BoxState, CopyOptions, Engine, ErrorCode, LogOptions, Options, PullOptions, Resources, Result,
    Runtime,
};
use boxlite_engine::{ExitRecord, ProcessIdentity, Session, StageSink, StartRequest};
use boxlite_testkit::engine::FakeEngine;
use boxlite_testkit::images::{Entry, Image, Layer};
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_testkit::tree::Tree;
use boxlite_types::StartStage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{PATIENCE, World, code, error, exec, rounds, soon, stdout};

/// What a shutdown may take beyond its timeout.
const GRACE: Duration = Duration::from_millis(250);

/// Returns the open files of this process that lie in a home.
fn open_files(home: &Path) -> Vec<std::path::PathBuf> {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    fds.flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter(|target| target.starts_with(home))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_pulls_in_flight_all_end_and_the_home_is_let_go_at_once() {
    let world = World::new();
    for number in 0..10 {
        let content = format!("{number}").repeat(20_000);
        let layer = Layer::from_entries([Entry::file("f", content)]);
        world.registry.push(&format!("many{number}"), "1", &Image::new([layer]).build());
    }
    let started = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for round in 0..rounds() {
        let home = tempfile::tempdir().unwrap();
        let runtime =
            Runtime::open(Options { home: Some(home.path().into()), ..world.options() }).await.unwrap();
        let gate = Gate::new();
        world.registry.heal();
        // Rounds differ in how far the pulls have come: manifests held, bodies held at some byte, or nothing held.
        match round % 3 {
            // At one of the first bytes: every blob has as many, however many rounds there are.
            0 => world
                .registry
                .script(Rule::on(Target::Blobs).with(Fault::HoldAfter(round as u64 % 64, gate.clone()))),
            1 => world.registry.script(Rule::on(Target::Manifests).with(Fault::HoldAfter(0, gate.clone()))),
            _ => gate.open(),
        }
        let pulls: Vec<_> = (0..100)
            .map(|number| {
                let (images, started) = (runtime.images().clone(), started.clone());
                let reference = world.registry.reference(&format!("many{}:1", number % 10));
                tokio::spawn(async move {
                    started.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    images.pull(&reference, PullOptions::default()).await
                })
            })
            .collect();
        if round % 3 != 2 {
            soon(gate.reached()).await;
        }
        let begun = Instant::now();
        runtime.shutdown(PATIENCE).await.unwrap();
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(open_files(home.path()), Vec::<std::path::PathBuf>::new());
        let before = Tree::of(home.path());
        gate.open();
        for pull in pulls {
            if let Err(error) = soon(pull).await.unwrap() {
                assert_eq!(error.code(), ErrorCode::Stopped, "{error:?}");
            }
        }
        assert_eq!(before.difference(&Tree::of(home.path())), Vec::<String>::new());

        // The home can be used again while all the old handles are held.
        let again =
            Runtime::open(Options { home: Some(home.path().into()), ..world.options() }).await.unwrap();
        world.registry.heal();
        let reference = world.registry.reference("many0:1");
        again.images().pull(&reference, PullOptions::default()).await.unwrap();
        assert_eq!(again.check(false).await.unwrap().findings, []);
        again.shutdown(PATIENCE).await.unwrap();
        std::fs::remove_dir_all(home.path()).unwrap();
        assert_eq!(code(runtime.images().list().await), ErrorCode::Stopped);
        assert!(!home.path().exists(), "something made it again");
    }
}

#[tokio::test]
async fn every_handle_of_a_runtime_that_is_shut_down_answers_stopped() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let (images, kernels) = (runtime.images().clone(), runtime.kernels().clone());
    let made = world.running(&runtime).await;
    let mut cat = made.exec(boxlite::ExecSpec { stdin: true, ..exec("cat") }).await.unwrap();
    let (mut stdin, mut output) = (cat.take_stdin().unwrap(), cat.take_stdout().unwrap());
    let mut archive = made.get_archive("/etc", CopyOptions::default()).await.unwrap();
    let mut events = runtime.events();
    runtime.shutdown(PATIENCE).await.unwrap();

    let image = world.image();
    let host = world.home.path().join("file");
    let codes = [
        ("pull", code(images.pull(&image, PullOptions::default()).await)),
        ("list", code(images.list().await)),
        ("get", code(images.get(&image, None).await)),
        ("inspect", code(images.inspect(&image, None).await)),
        ("tag", code(images.tag(&image, "x").await)),
        ("remove", code(images.remove(&image, true).await)),
        ("export", code(images.export_erofs(&image, None, &host).await)),
        ("kernels", code(kernels.list().await)),
        ("create", code(runtime.create(world.spec()).await)),
        ("get box", code(runtime.get(made.id().as_str()).await)),
        ("list boxes", code(runtime.list().await)),
        ("remove box", code(runtime.remove(made.id().as_str(), true).await)),
        ("usage", code(runtime.usage().await)),
        ("check", code(runtime.check(true).await)),
        ("prepare", code(runtime.prepare(&Resources::default(), None).await)),
        ("doctor", code(runtime.doctor().await)),
        ("metrics", code(runtime.metrics().await)),
        ("info", code(made.info().await)),
        ("start", code(made.start().await)),
        ("start attached", code(made.start_attached().await)),
        ("restart", code(made.restart(PATIENCE).await)),
        ("exec", code(made.exec(exec("true")).await)),
        ("attach", code(made.attach().await)),
        ("stop", code(made.stop(PATIENCE).await)),
        ("kill", code(made.kill().await)),
        ("signal", code(made.signal(15).await)),
        ("wait", code(made.wait().await)),
        ("copy in", code(made.copy_in("/etc/passwd", "/tmp", CopyOptions::default()).await)),
        ("copy out", code(made.copy_out("/etc", &host, CopyOptions::default()).await)),
        ("put", code(made.put_archive("/tmp", tokio::io::empty(), CopyOptions::default()).await)),
        ("get archive", code(made.get_archive("/etc", CopyOptions::default()).await.map(|_| ()))),
        ("stat", code(made.stat("/etc", true).await)),
        ("box metrics", code(made.metrics().await)),
        ("logs", code(made.logs(LogOptions::default()).await.map(|_| ()))),
        ("remove handle", code(made.remove(true).await)),
        ("wait exec", code(cat.wait().await)),
        ("signal exec", code(cat.signal(15).await)),
        ("kill exec", code(cat.kill().await)),
    ];
    for (operation, code) in codes {
        assert_eq!(code, ErrorCode::Stopped, "{operation}");
    }
    let stopped = |error: std::io::Error| error.downcast::<boxlite::Error>().unwrap().code();
    assert_eq!(stopped(stdin.write_all(b"x").await.unwrap_err()), ErrorCode::Stopped);
    assert_eq!(stopped(output.read_u8().await.unwrap_err()), ErrorCode::Stopped);
    assert_eq!(stopped(archive.read_u8().await.unwrap_err()), ErrorCode::Stopped);
    while soon(events.next()).await.is_some() {}
    // An ended stream that was asked once more used to panic.
    assert_eq!(soon(events.next()).await, None);
    assert!(runtime.events().next().await.is_none());
    assert!(!host.exists());
}

#[tokio::test]
async fn what_waits_when_the_runtime_goes_ends_with_stopped() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let spec = BoxSpec { main: Some(exec("ready-then-sleep")), ..world.spec() };
    let made = runtime.create(spec).await.unwrap();
    made.start().await.unwrap();
    let mut sleep = made.exec(exec("ready-then-sleep")).await.unwrap();
    let mut output = sleep.take_stdout().unwrap();
    soon(output.read_u8()).await.unwrap();
    let held = runtime.create(world.spec()).await.unwrap();
    let hold = world.engine.hold_at(StartStage::Root);
    let starting = tokio::spawn({
        let held = held.clone();
        async move { held.start().await }
    });
    soon(hold.reached(1)).await;
    let waiting = tokio::spawn({
        let made = made.clone();
        async move { made.wait().await }
    });
    let ending = tokio::spawn(async move { sleep.wait().await });
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).await.unwrap_err().downcast::<boxlite::Error>().unwrap().code()
    });
    runtime.shutdown(PATIENCE).await.unwrap();
    assert_eq!(code(soon(starting).await.unwrap()), ErrorCode::Stopped);
    // It may have seen the box end, by the shutdown itself, before it was cancelled.
    if let Err(error) = soon(waiting).await.unwrap() {
        assert_eq!(error.code(), ErrorCode::Stopped);
    }
    assert_eq!(code(soon(ending).await.unwrap()), ErrorCode::Stopped);
    assert_eq!(soon(reading).await.unwrap(), ErrorCode::Stopped);
    assert_eq!(world.engine.running(), []);

    world.engine.heal();
    let again = world.open().await;
    let states: Vec<_> = again.list().await.unwrap().into_iter().map(|info| (info.id, info.state)).collect();
    assert!(states.contains(&(made.id().clone(), BoxState::Stopped)), "{states:?}");
    assert!(states.contains(&(held.id().clone(), BoxState::Created)), "{states:?}");
}

#[tokio::test]
async fn concurrent_shutdowns_get_the_same_answer_and_it_can_be_asked_again() {
    let world = World::new();
    let runtime = world.open().await;
    let calls = (0..8).map(|_| {
        tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.shutdown(PATIENCE).await }
        })
    });
    for call in futures::future::join_all(calls).await {
        call.unwrap().unwrap();
    }
    runtime.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_dropped_shutdown_goes_on() {
    let world = World::new();
    let runtime = world.open().await;
    assert!(futures::poll!(std::pin::pin!(runtime.shutdown(PATIENCE))).is_pending());
    assert_eq!(code(runtime.list().await), ErrorCode::Stopped);
    soon(runtime.shutdown(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn a_box_that_ignores_everything_does_not_hold_the_deadline_up() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    world.engine.ignore_stop(true, true);
    let begun = Instant::now();
    let timeout = Duration::from_millis(300);
    runtime.shutdown(timeout).await.unwrap();
    assert!(begun.elapsed() < timeout + GRACE, "{:?}", begun.elapsed());
    world.engine.ignore_stop(false, false);
    let again = world.open().await;
    // Its owner is gone, so it dies: whoever looks says so in the end.
    let same = again.get(made.id().as_str()).await.unwrap();
    assert_eq!(soon(same.wait()).await.unwrap(), 137);
}

#[tokio::test]
async fn a_box_that_does_not_stop_is_killed_before_the_deadline() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    world.engine.ignore_stop(true, false);
    runtime.shutdown(Duration::from_millis(500)).await.unwrap();
    assert_eq!(world.engine.running(), []);
    let again = world.open().await;
    assert_eq!(again.get(made.id().as_str()).await.unwrap().info().await.unwrap().exit_code, Some(137));
}

/// An engine that blocks the thread that asks it, as a disk or a kernel may.
struct StuckEngine {
    inner: Arc<FakeEngine>,
    /// Every connect waits here until the other end is dropped.
    stuck: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
    asked: tokio::sync::watch::Sender<u32>,
}

#[async_trait]
impl Engine for StuckEngine {
    fn name(&self) -> &'static str {
        "stuck"
    }

    async fn prepare(&self, resources: &Resources, stages: StageSink) -> Result<()> {
        self.inner.prepare(resources, stages).await
    }

    async fn start(&self, request: StartRequest, stages: StageSink) -> Result<Session> {
        self.inner.start(request, stages).await
    }

    async fn connect(&self, directory: &Path) -> Result<Option<Session>> {
        self.asked.send_modify(|asked| *asked += 1);
        let _ = self.stuck.lock().unwrap().recv();
        self.inner.connect(directory).await
    }

    fn supervisor(&self, directory: &Path) -> Result<Option<ProcessIdentity>> {
        self.inner.supervisor(directory)
    }

    async fn reap(&self, directory: &Path) -> Result<Option<ExitRecord>> {
        self.inner.reap(directory).await
    }
}

#[tokio::test]
async fn operations_that_hang_in_a_system_call_are_given_up_at_the_deadline() {
    let world = World::new();
    let owner = world.open_with_image().await;
    let made = world.running(&owner).await;
    let (release, stuck) = std::sync::mpsc::channel();
    let engine = Arc::new(StuckEngine {
        inner: world.engine.clone(),
        stuck: std::sync::Mutex::new(stuck),
        asked: tokio::sync::watch::Sender::new(0),
    });
    let options = Options { custom_engine: Some(engine.clone()), ..world.options() };
    let runtime = Runtime::open(options).await.unwrap();
    let same = runtime.get(made.id().as_str()).await.unwrap();
    // As many as there are worker threads get stuck, the others behind them: nobody is left who could keep the time.
    let mut stuck: Vec<_> = (0..4).map(|_| Box::pin(same.exec(exec("true")))).collect();
    for operation in &mut stuck {
        assert!(futures::poll!(operation).is_pending());
    }
    soon(engine.asked.subscribe().wait_for(|asked| *asked == 2)).await.unwrap();
    let begun = Instant::now();
    let timeout = Duration::from_millis(200);
    let given_up = error(runtime.shutdown(timeout).await);
    assert!(begun.elapsed() < timeout + GRACE, "{:?}", begun.elapsed());
    assert_eq!(given_up.code(), ErrorCode::Timeout);
    let count: u32 = given_up.message().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((2..=4).contains(&count), "{given_up}");
    for operation in stuck {
        assert_eq!(code(soon(operation).await), ErrorCode::Stopped);
    }
    assert_eq!(code(runtime.shutdown(timeout).await), ErrorCode::Timeout);
    drop(release);
}

#[tokio::test]
async fn a_detached_box_outlives_its_runtime_and_is_adopted_by_the_next() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let detached = runtime.create(BoxSpec { detach: true, ..world.spec() }).await.unwrap();
    detached.start().await.unwrap();
    let attached = world.running(&runtime).await;
    let mut sleep = detached.exec(exec("sleep")).await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
    assert_eq!(code(sleep.wait().await), ErrorCode::Stopped);
    assert_eq!(world.engine.running(), [detached.id().clone()]);
    assert_eq!(open_files(&world.home.path().join("blobs")), Vec::<std::path::PathBuf>::new());

    let again = world.open().await;
    let adopted = again.get(detached.id().as_str()).await.unwrap();
    assert_eq!(adopted.info().await.unwrap().state, BoxState::Running);
    assert_eq!(stdout(&adopted, "echo still here").await, "still here\n");
    let stopped = again.get(attached.id().as_str()).await.unwrap().info().await.unwrap();
    assert_eq!((stopped.state, stopped.exit_code), (BoxState::Stopped, Some(0)));
    again.shutdown(PATIENCE).await.unwrap();
    assert_eq!(world.engine.running(), [detached.id().clone()]);
    let last = world.open().await;
    last.get(detached.id().as_str()).await.unwrap().stop(PATIENCE).await.unwrap();
    assert_eq!(world.engine.running(), []);
}

#[test]
fn dropping_the_last_runtime_is_a_shutdown_inside_and_outside_of_an_executor() {
    let world = World::new();
    let check = |runtime: Runtime| {
        let images = runtime.images().clone();
        let clone = runtime.clone();
        drop(runtime);
        futures::executor::block_on(images.list()).unwrap();
        drop(clone);
        assert_eq!(code(futures::executor::block_on(images.list())), ErrorCode::Stopped);
        assert_eq!(open_files(world.home.path()), Vec::<std::path::PathBuf>::new());
    };
    check(futures::executor::block_on(world.open()));
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = executor.block_on(world.open());
    executor.block_on(async { check_in_async(&world, runtime).await });
}

async fn check_in_async(world: &World, runtime: Runtime) {
    let images = runtime.images().clone();
    drop(runtime);
    assert_eq!(code(images.list().await), ErrorCode::Stopped);
    assert_eq!(open_files(world.home.path()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn the_last_runtime_may_be_dropped_by_its_own_work() {
    let world = World::new();
    let runtime = world.open().await;
    let images = runtime.images().clone();
    let (sender, told) = std::sync::mpsc::channel();
    let own = std::sync::Mutex::new(Some(runtime));
    let progress = move |_event| {
        if let Some(runtime) = own.lock().unwrap().take() {
            let begun = Instant::now();
            drop(runtime);
            sender.send(begun.elapsed()).unwrap();
        }
    };
    let options = PullOptions { progress: Some(Arc::new(progress)), ..PullOptions::default() };
    let pulled = soon(images.pull(&world.image(), options)).await;
    if let Err(error) = pulled {
        assert_eq!(error.code(), ErrorCode::Stopped);
    }
    assert!(told.recv().unwrap() < Duration::from_secs(1), "it waited for itself");
}

#[test]
fn any_executor_will_do() {
    let world = World::new();
    let life = async {
        let runtime = world.open_with_image().await;
        let made = world.running(&runtime).await;
        let printed = stdout(&made, "echo without tokio").await;
        runtime.shutdown(PATIENCE).await.unwrap();
        printed
    };
    assert_eq!(futures::executor::block_on(life), "without tokio\n");
}

#[tokio::test]
async fn the_image_handle_is_one_object() {
    let world = World::new();
    let runtime = world.open().await;
    assert!(std::ptr::eq(runtime.images(), runtime.images()));
    assert!(std::ptr::eq(runtime.images(), runtime.clone().images()));
}
