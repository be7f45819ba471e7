//! Commands in boxes: what goes in, what comes out, how they end.

use std::collections::BTreeMap;
use std::time::Duration;

use boxlite::{BoxSpec, ErrorCode, Event, ExecSpec, ExitStatus, LogOptions, LogSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, code, exec, soon, stdout};

#[tokio::test]
async fn bytes_and_exit_codes_come_back_exactly() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    assert_eq!(stdout(&made, "echo hello world").await, "hello world\n");
    let failed = made.exec(exec("exit 42")).await.unwrap().output().await.unwrap();
    assert_eq!(failed.status, ExitStatus::exited(42));
    let output = made.exec(exec("stderr oops")).await.unwrap().output().await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b""[..], &b"oops\n"[..]));
    // Several windows of the protocol's flow control.
    let output = made.exec(exec("yes 3000000")).await.unwrap().output().await.unwrap();
    assert_eq!(output.stdout.len(), 3_000_000);

    let metrics = runtime.metrics().await.unwrap();
    assert_eq!(
        (metrics.total_commands_executed, metrics.total_exec_errors, metrics.num_running_boxes),
        (4, 0, 1)
    );
}

#[tokio::test]
async fn input_is_streamed_and_ends_when_it_is_closed() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let mut cat = made.exec(ExecSpec { stdin: true, ..exec("cat") }).await.unwrap();
    let (mut stdin, mut output) = (cat.take_stdin().unwrap(), cat.take_stdout().unwrap());
    assert!(cat.take_stdin().is_none() && cat.take_stdout().is_none());
    stdin.write_all(b"one").await.unwrap();
    let mut buffer = [0; 3];
    soon(output.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"one");

    let sent = vec![7; 1_000_000];
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move { stdin.write_all(&sent).await }
    });
    let mut received = Vec::new();
    soon(output.read_to_end(&mut received)).await.unwrap();
    assert!(received == sent);
    writing.await.unwrap().unwrap();
    assert!(soon(cat.wait()).await.unwrap().success());
    assert!(soon(cat.wait()).await.unwrap().success(), "it may be asked again");
}

#[tokio::test]
async fn environment_directory_and_user_reach_the_command() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let spec = BoxSpec { env: vec!["FROM=box".into()], user: Some("app".into()), ..world.spec() };
    let made = runtime.create(spec).await.unwrap();
    made.start().await.unwrap();
    assert_eq!(stdout(&made, "printenv").await, "PATH=/bin\nFROM=box\n");
    assert_eq!(stdout(&made, "pwd").await, "/srv\n");
    assert_eq!(stdout(&made, "whoami").await, "app\n");
    let near = ExecSpec { env: BTreeMap::from([("FROM".into(), "exec".into())]), ..exec("printenv FROM") };
    assert_eq!(made.exec(near).await.unwrap().output().await.unwrap().stdout, b"exec\n");
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    assert_eq!(code(made.exec(exec("no-such-program")).await), ErrorCode::NotFound);
    assert_eq!(code(made.exec(exec("")).await), ErrorCode::InvalidArgument);
    let nobody = ExecSpec { user: Some("nobody-knows".into()), ..exec("true") };
    assert_eq!(code(made.exec(nobody).await), ErrorCode::InvalidArgument);
    let fed = ExecSpec { detach: true, stdin: true, ..exec("cat") };
    assert_eq!(code(made.exec(fed).await), ErrorCode::InvalidArgument);
    let metrics = runtime.metrics().await.unwrap();
    assert_eq!((metrics.total_commands_executed, metrics.total_exec_errors), (0, 4));
}

#[tokio::test]
async fn signals_kills_timeouts_and_drops_end_a_command() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let mut events = runtime.events();
    let mut sleep = made.exec(exec("sleep")).await.unwrap();
    sleep.signal(15).await.unwrap();
    assert_eq!(soon(sleep.wait()).await.unwrap().signal, Some(15));
    assert_eq!(code(made.exec(exec("sleep")).await.unwrap().signal(65).await), ErrorCode::InvalidArgument);
    let mut sleep = made.exec(exec("sleep")).await.unwrap();
    sleep.kill().await.unwrap();
    assert_eq!(soon(sleep.wait()).await.unwrap().signal, Some(9));
    let mut sleep = made.exec(ExecSpec { timeout_ms: Some(1), ..exec("sleep") }).await.unwrap();
    assert!(soon(sleep.wait()).await.unwrap().timed_out);

    // Dropped: killed, once the last part of it is gone.
    let mut sleep = made.exec(exec("ready-then-sleep")).await.unwrap();
    let mut output = sleep.take_stdout().unwrap();
    drop(sleep);
    let mut ready = [0; 6];
    soon(output.read_exact(&mut ready)).await.unwrap();
    drop(output);
    let mut ends = Vec::new();
    while ends.len() < 5 {
        if let Event::ExecCompleted { id, status } = soon(events.next()).await.unwrap() {
            assert_eq!(id, *made.id());
            ends.push(status.signal);
        }
    }
    // The second was dropped by the statement that made it.
    assert_eq!(ends, [Some(15), Some(9), Some(9), Some(9), Some(9)]);
}

#[tokio::test]
async fn the_main_command_is_attached_to_let_go_of_and_attached_to_again() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let spec = BoxSpec { main: Some(ExecSpec { stdin: true, ..exec("cat") }), ..world.spec() };
    let made = runtime.create(spec).await.unwrap();
    let mut main = made.start_attached().await.unwrap();
    assert_eq!(code(made.attach().await), ErrorCode::InUse);
    main.take_stdin().unwrap().write_all(b"").await.unwrap();
    drop(main);

    let spec = BoxSpec { main: Some(exec("ready-then-sleep")), ..world.spec() };
    let made = runtime.create(spec).await.unwrap();
    let mut main = made.start_attached().await.unwrap();
    let mut ready = [0; 6];
    soon(main.take_stdout().unwrap().read_exact(&mut ready)).await.unwrap();
    drop(main);
    let mut main = loop {
        // The connection of the first client closes behind its back.
        match made.attach().await {
            Ok(main) => break main,
            Err(error) => assert_eq!(error.code(), ErrorCode::InUse),
        }
    };
    main.signal(10).await.unwrap();
    assert_eq!(soon(main.wait()).await.unwrap().signal, Some(10));
    assert_eq!(soon(made.wait()).await.unwrap(), 138);
    let mut log = made.logs(LogOptions { tail: Some(1), ..LogOptions::default() }).await.unwrap();
    let entry = soon(log.next()).await.unwrap().unwrap();
    assert_eq!((entry.source, entry.bytes.as_slice()), (LogSource::Stdout, &b"ready\n"[..]));
    assert!(entry.at_ns > 0);
}

#[tokio::test]
async fn a_stopped_box_ends_its_commands_with_that() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let mut sleep = made.exec(exec("ready-then-sleep")).await.unwrap();
    let mut output = sleep.take_stdout().unwrap();
    made.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(code(soon(sleep.wait()).await), ErrorCode::Stopped);
    let mut bytes = Vec::new();
    let broken = soon(output.read_to_end(&mut bytes)).await.unwrap_err();
    let broken = broken.downcast::<boxlite::Error>().unwrap();
    assert_eq!(broken.code(), ErrorCode::Stopped);
}

#[tokio::test]
async fn a_box_says_what_it_uses() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let metrics = made.metrics().await.unwrap();
    assert_eq!((metrics.memory_total_bytes, metrics.processes), (1 << 30, 1));
    assert_eq!(metrics.disk_total_bytes, 10240 << 20);
    assert_eq!(metrics.host_memory_bytes, 1 << 20);
}
