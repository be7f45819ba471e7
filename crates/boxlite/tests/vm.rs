//! The library over machines that really run: what the fake engine cannot answer for.
//!
//! All tests share one home, so that kernel and template are made once: `BOXLITE_TEST_HOME`, or one below the target
//! directory. They need QEMU, and the distribution's package client for the kernel.

use std::path::PathBuf;
use std::time::Duration;

use boxlite::{
    AcceleratorChoice, BoxHandle, BoxSpec, BoxState, CopyOptions, EngineOptions, ErrorCode, ExecSpec,
    LogOptions, Options, PullOptions, Resources, Runtime,
};
use boxlite_testkit::images::busybox;
use boxlite_testkit::registry::Registry;
use tokio::io::AsyncReadExt;

/// A name for the image that stays the same, however the port of the registry changes.
const IMAGE: &str = "localhost/boxlite-library-test:busybox";

/// Machines in software emulation on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open() -> Runtime {
    let home = std::env::var_os("BOXLITE_TEST_HOME")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("vm-home"), PathBuf::from);
    let engine = EngineOptions { accelerator: AcceleratorChoice::Tcg, ..EngineOptions::default() };
    let runtime = Runtime::open(Options { home: Some(home), engine, ..Options::default() }).await.unwrap();
    if runtime.images().get(IMAGE, None).await.is_err() {
        let registry = Registry::start();
        registry.push("busybox", "1", &busybox().build());
        let reference = registry.reference("busybox:1");
        runtime.images().pull(&reference, PullOptions::default()).await.unwrap();
        runtime.images().tag(&reference, IMAGE).await.unwrap();
    }
    runtime
}

fn spec() -> BoxSpec {
    let resources = Resources { memory_mib: 256, ..Resources::default() };
    BoxSpec { image: IMAGE.into(), resources, ..BoxSpec::default() }
}

fn shell(script: &str) -> ExecSpec {
    ExecSpec { argv: ["sh", "-c", script].map(str::to_owned).into(), ..ExecSpec::default() }
}

async fn stdout(made: &BoxHandle, script: &str) -> String {
    let output = made.exec(shell(script)).await.unwrap().output().await.unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_box_lives_through_the_library_and_keeps_its_disk() {
    let runtime = open().await;
    let made = runtime.create(spec()).await.unwrap();
    made.start().await.unwrap();
    let info = made.info().await.unwrap();
    assert_eq!(info.state, BoxState::Running);
    let isolation = info.isolation.unwrap();
    assert_eq!((isolation.engine.as_str(), isolation.accelerator.as_str()), ("vm", "tcg"));
    assert_eq!(stdout(&made, "uname -r").await.trim(), isolation.kernel);
    assert_eq!(stdout(&made, "hostname; echo kept > /kept").await.trim(), made.id().as_str());
    let large = made.exec(shell("head -c 20000000 /dev/zero; exit 3")).await.unwrap().output().await.unwrap();
    assert_eq!((large.stdout.len(), large.status.code), (20_000_000, Some(3)));
    let metrics = made.metrics().await.unwrap();
    assert!(metrics.memory_total_bytes > 100 << 20 && metrics.host_memory_bytes > 0, "{metrics:?}");

    made.restart(PATIENCE).await.unwrap();
    assert_eq!(stdout(&made, "cat /kept").await, "kept\n");
    runtime.shutdown(PATIENCE).await.unwrap();
    let again = open().await;
    let same = again.get(made.id().as_str()).await.unwrap();
    let info = same.info().await.unwrap();
    assert_eq!((info.state, info.exit_code), (BoxState::Stopped, Some(0)));
    same.remove(false).await.unwrap();
    again.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn the_log_of_a_main_command_is_followed_until_the_box_stops() {
    let runtime = open().await;
    let script = "echo one; until [ -e /go ]; do sleep 0.05; done; echo two >&2; exit 5";
    let made = runtime.create(BoxSpec { main: Some(shell(script)), ..spec() }).await.unwrap();
    made.start().await.unwrap();
    let mut log = made.logs(LogOptions { follow: true, ..LogOptions::default() }).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().bytes, b"one\n");
    stdout(&made, "touch /go").await;
    assert_eq!(log.next().await.unwrap().unwrap().bytes, b"two\n");
    assert!(log.next().await.is_none());
    assert_eq!(made.wait().await.unwrap(), 5);
    let mut log = made.logs(LogOptions { tail: Some(1), ..LogOptions::default() }).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().bytes, b"two\n");
    assert!(log.next().await.is_none());
    made.remove(false).await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn trees_are_copied_in_and_out_with_their_modes_and_links() {
    let runtime = open().await;
    let made = runtime.create(spec()).await.unwrap();
    made.start().await.unwrap();
    let host = tempfile::tempdir().unwrap();
    let tree = host.path().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("sub/large"), vec![7; 3_000_000]).unwrap();
    std::os::unix::fs::symlink("sub/large", tree.join("link")).unwrap();
    made.copy_in(&tree, "/tmp", CopyOptions::default()).await.unwrap();
    assert_eq!(
        stdout(&made, "stat -c '%u %s' /tmp/tree/sub/large; readlink /tmp/tree/link").await,
        "0 3000000\nsub/large\n"
    );
    stdout(&made, "ln -s /tmp/tree /tmp/way; mknod /tmp/tree/zero c 1 5 2>/dev/null; true").await;
    let device = made.copy_out("/tmp/tree", host.path().join("refused"), CopyOptions::default()).await;
    assert_eq!(device.unwrap_err().code(), ErrorCode::Unsupported);
    stdout(&made, "rm /tmp/tree/zero").await;
    let follow = CopyOptions { follow_symlinks: true, ..CopyOptions::default() };
    made.copy_out("/tmp/way", host.path().join("back"), follow).await.unwrap();
    assert_eq!(std::fs::read(host.path().join("back/link")).unwrap(), vec![7; 3_000_000]);
    made.copy_out("/tmp/way", host.path().join("way"), CopyOptions::default()).await.unwrap();
    assert!(host.path().join("way").symlink_metadata().unwrap().is_symlink());
    let missing = made.copy_out("/nothing", host.path().join("x"), CopyOptions::default()).await;
    assert_eq!(missing.unwrap_err().code(), ErrorCode::NotFound);
    made.remove(true).await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_detached_box_is_adopted_and_its_main_command_attached_to() {
    let runtime = open().await;
    let main = shell("trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done");
    let made = runtime.create(BoxSpec { main: Some(main), detach: true, ..spec() }).await.unwrap();
    let mut first = made.start_attached().await.unwrap();
    let mut ready = [0; 6];
    first.take_stdout().unwrap().read_exact(&mut ready).await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
    assert_eq!(first.wait().await.unwrap_err().code(), ErrorCode::Stopped);

    let again = open().await;
    let same = again.get(made.id().as_str()).await.unwrap();
    assert_eq!(same.info().await.unwrap().state, BoxState::Running);
    let mut main = same.attach().await.unwrap();
    main.signal(10).await.unwrap();
    assert_eq!(main.wait().await.unwrap().code, Some(9));
    assert_eq!(same.wait().await.unwrap(), 9);
    same.remove(false).await.unwrap();
    again.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_detached_command_goes_on_without_its_handle_and_its_runtime() {
    let runtime = open().await;
    let made = runtime.create(BoxSpec { detach: true, ..spec() }).await.unwrap();
    made.start().await.unwrap();
    let waits =
        ExecSpec { detach: true, ..shell("until [ -e /tmp/go ]; do sleep 0.01; done; echo gone >/tmp/said") };
    let pid = made.exec(waits).await.unwrap().pid();
    // A command that is not is killed at this point; a question on the same connection arrives later.
    assert_eq!(stdout(&made, &format!("kill -0 {pid} && echo alive")).await, "alive\n");
    runtime.shutdown(PATIENCE).await.unwrap();

    let again = open().await;
    let same = again.get(made.id().as_str()).await.unwrap();
    let rest = format!("touch /tmp/go; while kill -0 {pid} 2>/dev/null; do sleep 0.01; done; cat /tmp/said");
    assert_eq!(stdout(&same, &rest).await, "gone\n");
    same.remove(true).await.unwrap();
    again.shutdown(PATIENCE).await.unwrap();
}
