//! Streams through a shim: several clients on one agent, none in the way of another.

mod common;

use boxlite_protocol::{Answer, ShimRequest, ShimStatus};
use boxlite_types::ErrorCode;
use common::{TestBox, gone, main_command, patiently, runs, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn connect(test_box: &TestBox) -> boxlite_engine::Session {
    boxlite_engine::shim::connect(test_box.directory()).await.unwrap().expect("the box runs")
}

/// Starts a command that says its process id, and returns it running.
async fn running(session: &boxlite_engine::Session) -> (boxlite_engine::session::RemoteProcess, u32) {
    let mut process = session.exec(shell("echo $$; exec sleep 1000")).await.unwrap();
    let line = process.stdout.next_chunk().await.unwrap();
    let pid = String::from_utf8(line.to_vec()).unwrap().trim().parse().unwrap();
    (process, pid)
}

#[tokio::test]
async fn two_clients_run_commands_with_the_same_stream_numbers() {
    let test_box = TestBox::new();
    let first = test_box.start(false).await;
    let second = connect(&test_box).await;
    let run = |session: boxlite_engine::Session, word: &'static str| async move {
        let script = format!("read line; echo {word} $line; echo {word} >&2; exit 3");
        let mut process =
            session.exec(boxlite_protocol::Exec { stdin: true, ..shell(&script) }).await.unwrap();
        process.stdin.take().unwrap().write_all(b"input\n").await.unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        process.stdout.read_to_string(&mut out).await.unwrap();
        process.stderr.read_to_string(&mut err).await.unwrap();
        assert_eq!((out, err), (format!("{word} input\n"), format!("{word}\n")));
        assert_eq!(process.wait().await.unwrap().code, Some(3));
    };
    patiently(async { tokio::join!(run(first.clone(), "one"), run(second, "two")) }).await;
}

#[tokio::test]
async fn a_client_that_dies_takes_its_commands_with_it_and_no_others() {
    let test_box = TestBox::new();
    let owner = test_box.start(false).await;
    let other = connect(&test_box).await;
    let (_kept, kept) = patiently(running(&owner)).await;
    let (process, killed) = patiently(running(&other)).await;
    // Forgotten, so that nothing but the end of the connection tells the shim.
    std::mem::forget(process);
    drop(other);
    gone(killed).await;
    assert!(runs(kept));
}

#[tokio::test]
async fn a_detached_command_goes_on_without_its_client() {
    let test_box = TestBox::new();
    let owner = test_box.start(false).await;
    let other = connect(&test_box).await;
    let detached = boxlite_protocol::Exec { detach: true, ..shell("sleep 1000") };
    let process = patiently(other.exec(detached)).await.unwrap();
    let pid = process.pid;
    drop((process, other));
    // Answered after the shim has seen the other client go: a kill would be under way by now.
    let killed = patiently(running(&connect(&test_box).await)).await.1;
    gone(killed).await;
    assert!(runs(pid));
    // It belongs to the box, not to nobody.
    drop(owner);
    gone(pid).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_up_another() {
    let test_box = TestBox::new();
    let owner = test_box.start(false).await;
    let slow = connect(&test_box).await;
    let mut flood = slow.exec(shell("head -c 100000000 /dev/zero")).await.unwrap();
    assert!(patiently(flood.stdout.next_chunk()).await.is_some());
    for _ in 0..20 {
        let mut process = owner.exec(shell("head -c 300000 /dev/zero")).await.unwrap();
        let mut bytes = Vec::new();
        patiently(process.stdout.read_to_end(&mut bytes)).await.unwrap();
        assert_eq!(bytes.len(), 300_000);
    }
    let mut rest = Vec::new();
    patiently(flood.stdout.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 100_000_000 && rest.len() + 100_000 > 100_000_000 - 300_000, "{}", rest.len());
}

#[tokio::test]
async fn output_is_byte_exact_and_complete_before_the_exit() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let mut process = session.exec(shell("seq 1 400000")).await.unwrap();
    let mut text = String::new();
    patiently(process.stdout.read_to_string(&mut text)).await.unwrap();
    assert!(text.lines().map(|line| line.parse::<u32>().unwrap()).eq(1..=400_000));
    assert_eq!(process.wait().await.unwrap().code, Some(0));
}

#[tokio::test]
async fn status_says_what_runs() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let Answer::Status(status) = session.shim(ShimRequest::Status).await.unwrap() else { panic!() };
    let ShimStatus { pid, vmm_pid, started_ns, isolation, owned, host_memory_bytes } = status;
    assert_eq!(pid, boxlite_engine::shim::supervisor(test_box.directory()).unwrap().unwrap().pid);
    assert!(runs(vmm_pid) && owned && host_memory_bytes > 0 && started_ns > 0);
    assert_eq!(isolation.engine, "process");
}

#[tokio::test]
async fn the_main_command_can_be_left_and_attached_to_again() {
    let test_box = TestBox::new();
    let owner = test_box.start(false).await;
    let first = connect(&test_box).await;
    let script = "read a; echo got $a; read b; echo got $b; exit 7";
    let mut main = first.exec(boxlite_protocol::Exec { stdin: true, ..main_command(script) }).await.unwrap();
    main.stdin.as_mut().unwrap().write_all(b"one\n").await.unwrap();
    assert_eq!(&patiently(main.stdout.next_chunk()).await.unwrap()[..], b"got one\n");
    let taken = owner.attach().await.err().unwrap();
    assert_eq!(taken.code(), ErrorCode::InUse);
    std::mem::forget(main);
    drop(first);

    // The shim has yet to notice; nothing but trying tells when.
    let mut again = patiently(async {
        loop {
            match owner.attach().await {
                Ok(process) => return process,
                Err(error) => assert_eq!(error.code(), ErrorCode::InUse),
            }
        }
    })
    .await;
    again.stdin.as_mut().unwrap().write_all(b"two\n").await.unwrap();
    let mut text = String::new();
    patiently(again.stdout.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "got two\n");
    assert_eq!(patiently(again.wait()).await.unwrap().code, Some(7));
    assert_eq!(test_box.ended().await.code, 7);
}

#[tokio::test]
async fn attaching_without_a_main_command_is_not_found() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    assert_eq!(session.attach().await.err().unwrap().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn only_one_main_command_is_taken() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let _main = session.exec(main_command("sleep 1000")).await.unwrap();
    let second = session.exec(main_command("sleep 1000")).await.err().unwrap();
    assert_eq!(second.code(), ErrorCode::InvalidState);
}
