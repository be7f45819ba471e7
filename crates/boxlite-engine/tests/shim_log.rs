//! The log of a box: its main command's output, byte for byte, whoever listens.

mod common;

use boxlite_engine::shim::log::{LogFollower, read_log};
use boxlite_protocol::Channel;
use common::{TestBox, main_command, patiently};

fn text(test_box: &TestBox, channel: Channel) -> Vec<u8> {
    let records = read_log(test_box.directory(), None).unwrap();
    records.into_iter().filter(|record| record.channel == channel).flat_map(|record| record.bytes).collect()
}

#[tokio::test]
async fn the_log_is_exact_although_nobody_reads_the_command() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let main = session.exec(main_command("seq 1 100000; echo oops >&2; exit 5")).await.unwrap();
    drop(main);
    let ended = test_box.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (5, "main command exited"));
    let expect: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(text(&test_box, Channel::Stdout) == expect.as_bytes());
    assert_eq!(text(&test_box, Channel::Stderr), b"oops\n");
}

#[tokio::test]
async fn other_commands_are_not_logged() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let process = session.exec(common::shell("echo private")).await.unwrap();
    patiently(process.wait()).await.unwrap();
    assert_eq!(read_log(test_box.directory(), None).unwrap(), []);
}

#[tokio::test]
async fn a_follower_hears_the_command_as_it_speaks_and_ends_with_the_box() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let mut follower = LogFollower::new(test_box.directory(), None).unwrap();
    let exec =
        boxlite_protocol::Exec { stdin: true, ..main_command("read line; echo first; read line; echo last") };
    let mut main = session.exec(exec).await.unwrap();
    let stdin = main.stdin.as_mut().unwrap();
    tokio::io::AsyncWriteExt::write_all(stdin, b"go\n").await.unwrap();
    assert_eq!(patiently(follower.next()).await.unwrap().unwrap().bytes, b"first\n");
    tokio::io::AsyncWriteExt::write_all(stdin, b"go\n").await.unwrap();
    assert_eq!(patiently(follower.next()).await.unwrap().unwrap().bytes, b"last\n");
    assert_eq!(patiently(follower.next()).await.unwrap(), None);
}

#[tokio::test]
async fn a_follower_of_a_killed_shim_ends_too() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let mut follower = LogFollower::new(test_box.directory(), None).unwrap();
    let _main = session.exec(main_command("echo here; sleep 1000")).await.unwrap();
    assert_eq!(patiently(follower.next()).await.unwrap().unwrap().bytes, b"here\n");
    common::kill(boxlite_engine::shim::supervisor(test_box.directory()).unwrap().unwrap().pid);
    assert_eq!(patiently(follower.next()).await.unwrap(), None);
}
