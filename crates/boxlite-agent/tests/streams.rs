//! Bytes through a session and an agent: exact, bounded, independent of each other.

mod common;

use std::time::{Duration, Instant};

use boxlite_engine::session::RemoteProcess;
use boxlite_types::{ExitStatus, TerminalSize};
use common::{command, finish, output_of, run, shell, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: u64 = 1024 * 1024;

/// A sequence of bytes in which every eight differ from every other eight.
fn fill(buffer: &mut [u8], offset: u64) {
    for (index, word) in buffer.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(offset / 8 + index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
}

/// Memory this process has taken, in bytes.
fn own_memory_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_mib_go_through_both_ways_byte_for_byte_in_flat_memory() {
    let fixture = start().await;
    let mut exec = command(&["cat"]);
    exec.stdin = true;
    let RemoteProcess { stdin, mut stdout, stderr, control, .. } = fixture.session.exec(exec).await.unwrap();
    drop(stderr);
    let (before, own_before) = (fixture.agent.memory_bytes(), own_memory_bytes());
    let mut stdin = stdin.unwrap();
    const TOTAL: u64 = 200 * MIB;
    let writer = tokio::spawn(async move {
        let mut buffer = vec![0; 1024 * 1024];
        for offset in (0..TOTAL).step_by(buffer.len()) {
            fill(&mut buffer, offset);
            stdin.write_all(&buffer).await.unwrap();
        }
        stdin.shutdown().await.unwrap();
    });
    let started = Instant::now();
    let (mut buffer, mut expect, mut offset, mut most) = (vec![0; 65536], vec![0; 65536], 0, 0);
    while offset < TOTAL {
        stdout.read_exact(&mut buffer).await.unwrap();
        fill(&mut expect, offset);
        assert!(buffer == expect, "bytes differ within 64 KiB of {offset}");
        offset += buffer.len() as u64;
        if offset % (8 * MIB) == 0 {
            most = most.max(fixture.agent.memory_bytes());
        }
    }
    assert_eq!(stdout.read(&mut buffer).await.unwrap(), 0);
    writer.await.unwrap();
    assert_eq!(control.wait().await.unwrap(), ExitStatus::exited(0));
    println!("both ways: {:.0} MB/s", TOTAL as f64 / 1e6 / started.elapsed().as_secs_f64());
    assert!(most < before + 4 * MIB, "the agent grew from {before} to {most} bytes");
    let own = own_memory_bytes();
    assert!(own < own_before + 32 * MIB, "the session grew from {own_before} to {own} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_alone_is_counted_to_the_byte() {
    let fixture = start().await;
    let mut process = fixture.session.exec(shell("head -c 400000001 /dev/zero")).await.unwrap();
    let (started, mut total) = (Instant::now(), 0);
    while let Some(chunk) = process.stdout.next_chunk().await {
        total += chunk.len();
    }
    println!("stdout: {:.0} MB/s", total as f64 / 1e6 / started.elapsed().as_secs_f64());
    assert_eq!(total, 400_000_001);
    assert_eq!(process.wait().await.unwrap(), ExitStatus::exited(0));
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_nobody_and_loses_nothing() {
    let fixture = start().await;
    let mut stalled = fixture.session.exec(shell("head -c 3000000 /dev/zero; echo end")).await.unwrap();
    assert!(stalled.stdout.next_chunk().await.is_some());
    for _ in 0..20 {
        assert_eq!(output_of(&fixture.session, "head -c 300000 /dev/zero | wc -c").await, "300000\n");
        assert_eq!(
            run(&fixture.session, shell("head -c 300000 /dev/zero")).await.unwrap().stdout.len(),
            300_000
        );
    }
    // Its status waits for its output.
    let ended = tokio::time::timeout(Duration::from_millis(1), stalled.wait()).await;
    assert!(ended.is_err());
    let ended = finish(stalled).await.unwrap();
    assert!(ended.stdout.ends_with(b"\0end\n"));
}

#[tokio::test]
async fn input_nobody_reads_blocks_only_its_writer() {
    let fixture = start().await;
    let mut exec = command(&["sleep", "1000"]);
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let writer = tokio::spawn(async move { stdin.write_all(&vec![1; 4_000_000]).await });
    assert_eq!(output_of(&fixture.session, "echo on").await, "on\n");
    process.kill().await.unwrap();
    // What comes between the kill and its being told is thrown away; what comes later is refused.
    if let Err(error) = writer.await.unwrap() {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    assert_eq!(finish(process).await.unwrap().status.signal, Some(9));
}

#[tokio::test]
async fn input_after_its_reader_closed_it_is_thrown_away() {
    let fixture = start().await;
    let mut exec = shell("exec 0<&-; sleep 0.05; echo done");
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // More than all windows and pipes together: it returns only because somebody takes it.
    let _ = stdin.write_all(&vec![1; 4_000_000]).await;
    assert_eq!(finish(process).await.unwrap().stdout, b"done\n");
}

#[tokio::test]
async fn a_writer_that_reads_later_is_not_held_up_by_a_command_that_ended_early() {
    let fixture = start().await;
    let mut exec = shell("head -c 1 | wc -c; head -c 50000 /dev/zero; head -c 400000 /dev/zero & exit 3");
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let _ = stdin.write_all(&vec![1; 4_000_000]).await;
    drop(stdin);
    let ended = finish(process).await.unwrap();
    assert_eq!((ended.status, &ended.stdout[..2]), (ExitStatus::exited(3), &b"1\n"[..]));
}

#[tokio::test]
async fn without_input_a_command_reads_an_empty_one() {
    let fixture = start().await;
    assert_eq!(output_of(&fixture.session, "cat; echo over").await, "over\n");
}

#[tokio::test]
async fn dropping_one_output_leaves_the_command_and_the_other_alone() {
    let fixture = start().await;
    let script = "head -c 2000000 /dev/zero; echo half >&2; head -c 2000000 /dev/zero; echo whole >&2";
    let RemoteProcess { stdout, mut stderr, control, .. } =
        fixture.session.exec(shell(script)).await.unwrap();
    drop(stdout);
    let mut text = String::new();
    stderr.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "half\nwhole\n");
    assert_eq!(control.wait().await.unwrap(), ExitStatus::exited(0));
}

#[tokio::test]
async fn a_terminal_is_one_and_changes_its_size() {
    let fixture = start().await;
    let mut exec = shell("tty >/dev/null && stty size; read line; stty size; echo \"<$line>\" >&2");
    exec.tty = Some(TerminalSize { rows: 30, columns: 90 });
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "30 90\r\n");
    process.control.resize(TerminalSize { rows: 11, columns: 22 }).await.unwrap();
    stdin.write_all(b"hello\n").await.unwrap();
    let ended = finish(process).await.unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "hello\r\n11 22\r\n<hello>\r\n");
    assert_eq!(ended.stderr, b"");
    assert_eq!(ended.status, ExitStatus::exited(0));
}

#[tokio::test]
async fn the_end_of_input_ends_what_reads_a_terminal() {
    let fixture = start().await;
    let mut exec = command(&["cat"]);
    exec.tty = Some(TerminalSize { rows: 24, columns: 80 });
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    process.stdin.take().unwrap().shutdown().await.unwrap();
    assert_eq!(finish(process).await.unwrap().status, ExitStatus::exited(0));
}

#[tokio::test]
async fn an_interrupt_typed_into_a_terminal_arrives() {
    let fixture = start().await;
    let mut exec = command(&["cat"]);
    exec.tty = Some(TerminalSize { rows: 24, columns: 80 });
    exec.stdin = true;
    let mut process = fixture.session.exec(exec).await.unwrap();
    process.stdin.as_mut().unwrap().write_all(b"\x03").await.unwrap();
    assert_eq!(finish(process).await.unwrap().status.signal, Some(2));
}
