//! How commands end: exit codes, signals, kills of whole trees, deadlines, and what is left running.

mod common;

use std::time::{Duration, Instant};

use boxlite_protocol::Exec;
use boxlite_types::{ErrorCode, ExitStatus, TerminalSize};
use common::{Ended, command, finish, output_of, run, shell, start};

/// Prints its own pid after escaping from its parent, session and group, then waits for ever.
const ESCAPE: &str = "setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exit' & wait; sleep 1000";

/// Waits, with a deadline, until a process is gone or a zombie.
async fn gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} lives on");
        tokio::task::yield_now().await;
    }
}

async fn escaped_pid(process: &mut boxlite_engine::session::RemoteProcess) -> u32 {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.extend_from_slice(&process.stdout.next_chunk().await.expect("the escapee prints its pid"));
    }
    String::from_utf8(line).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn codes_and_signals_are_told_apart() {
    let fixture = start().await;
    let check = async |script: &str, expect: ExitStatus| {
        assert_eq!(run(&fixture.session, shell(script)).await.unwrap().status, expect, "{script}");
    };
    check("exit 0", ExitStatus::exited(0)).await;
    check("exit 255", ExitStatus::exited(255)).await;
    check("kill -TERM $$", ExitStatus { signal: Some(15), ..ExitStatus::default() }).await;
    check("kill -KILL $$", ExitStatus { signal: Some(9), ..ExitStatus::default() }).await;
}

#[tokio::test]
async fn signals_reach_the_group_and_only_real_ones_are_sent() {
    let fixture = start().await;
    let mut process = fixture
        .session
        .exec(shell("trap 'echo got; exit 7' USR1; echo on; while :; do sleep 0.01; done"))
        .await
        .unwrap();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "on\n");
    for number in [0, -1, 65] {
        assert_eq!(process.control.signal(number).await.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    process.control.signal(10).await.unwrap();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "got\n");
    assert_eq!(finish(process).await.unwrap().status, ExitStatus::exited(7));
}

#[tokio::test]
async fn a_command_starts_with_nothing_blocked_ignored_or_open() {
    let fixture = start().await;
    let masks = output_of(&fixture.session, "grep -E '^Sig(Blk|Ign)' /proc/self/status").await;
    assert_eq!(masks, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_eq!(output_of(&fixture.session, "ls /proc/$$/fd; true").await, "0\n1\n2\n");
    assert_eq!(output_of(&fixture.session, "umask").await, "0022\n");
    let ids = output_of(&fixture.session, "cut -d' ' -f1,5,6 /proc/$$/stat").await;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "leads no session of its own: {ids:?}");
}

#[tokio::test]
async fn a_deadline_kills_the_tree_with_its_escapees() {
    let fixture = start().await;
    let mut exec = shell(ESCAPE);
    exec.timeout_ms = Some(300);
    let mut process = fixture.session.exec(exec).await.unwrap();
    let escapee = escaped_pid(&mut process).await;
    let status = finish(process).await.unwrap().status;
    assert_eq!(status, ExitStatus { signal: Some(9), timed_out: true, ..ExitStatus::default() });
    gone(escapee).await;
}

#[tokio::test]
async fn a_command_that_ends_in_time_is_not_timed_out() {
    let fixture = start().await;
    let mut exec = command(&["true"]);
    exec.timeout_ms = Some(60_000);
    assert_eq!(run(&fixture.session, exec).await.unwrap().status, ExitStatus::exited(0));
}

#[tokio::test]
async fn a_kill_reaches_processes_that_cut_themselves_loose() {
    let fixture = start().await;
    let mut process = fixture.session.exec(shell(ESCAPE)).await.unwrap();
    let escapee = escaped_pid(&mut process).await;
    process.kill().await.unwrap();
    assert_eq!(finish(process).await.unwrap().status.signal, Some(9));
    gone(escapee).await;
}

#[tokio::test]
async fn dropping_every_part_of_a_process_kills_its_tree() {
    let fixture = start().await;
    let mut process = fixture.session.exec(shell(ESCAPE)).await.unwrap();
    let (pid, escapee) = (process.pid, escaped_pid(&mut process).await);
    let control = process.control.clone();
    drop(process);
    // One part is left: it lives on.
    assert_eq!(output_of(&fixture.session, &format!("kill -0 {escapee} && echo alive")).await, "alive\n");
    drop(control);
    gone(escapee).await;
    gone(pid).await;
}

#[tokio::test]
async fn a_detached_command_goes_on_with_nothing_to_read_and_nobody_to_write_to() {
    let fixture = start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("streams");
    let script = format!(
        "said=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$said\" > {0}.part; mv {0}.part {0}; \
         exec sleep 1000",
        file.display()
    );
    let process = fixture.session.exec(Exec { detach: true, ..shell(&script) }).await.unwrap();
    let pid = process.pid;
    drop(process);
    // Asked on the same connection, so a kill would have arrived before.
    let wait = format!("until [ -e {} ]; do :; done; kill -0 {pid} && cat {0}", file.display());
    assert_eq!(output_of(&fixture.session, &wait).await, "/dev/null\n".repeat(3));
    drop(fixture);
    gone(pid).await;
}

#[tokio::test]
async fn whoever_keeps_a_detached_command_hears_of_its_end() {
    let fixture = start().await;
    // More than a terminal holds: it is read, though nobody wants it.
    let flood = "head -c 1000000 /dev/zero; exit 5";
    let tty = Some(TerminalSize { rows: 24, columns: 80 });
    for tty in [None, tty] {
        let exec = Exec { detach: true, tty, ..shell(flood) };
        let ended = run(&fixture.session, exec).await.unwrap();
        assert_eq!(ended, Ended { status: ExitStatus::exited(5), stdout: vec![], stderr: vec![] });
    }
    let exec = Exec { detach: true, timeout_ms: Some(1), ..shell("sleep 1000") };
    assert!(run(&fixture.session, exec).await.unwrap().status.timed_out);
}

#[tokio::test]
async fn dropping_the_future_of_an_exec_kills_what_it_began() {
    let fixture = start().await;
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let script = format!("mkfifo {0}; echo $$ > {0}; sleep 1000", fifo.display());
    // Polled once, it has sent its request; then it is dropped.
    let mut future = Box::pin(fixture.session.exec(shell(&script)));
    let waker = std::task::Waker::noop();
    let _ = std::future::Future::poll(future.as_mut(), &mut std::task::Context::from_waker(waker));
    drop(future);
    // The agent answers in order: by now it has seen request and kill.
    output_of(&fixture.session, "true").await;
    let alive = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&line).into_owned();
        text.contains(&fifo.display().to_string())
    });
    for entry in alive {
        gone(entry.file_name().to_str().unwrap().parse().unwrap()).await;
    }
}

#[tokio::test]
async fn a_daemon_left_behind_neither_holds_the_end_back_nor_is_killed() {
    let fixture = start().await;
    let script =
        "(trap '' PIPE; while echo still here; do sleep 0.01; done; exec sleep 1000) & echo $!; exit 4";
    let started = Instant::now();
    let ended = run(&fixture.session, shell(script)).await.unwrap();
    assert_eq!(ended.status, ExitStatus::exited(4));
    assert!(started.elapsed() < Duration::from_secs(10));
    let text = String::from_utf8(ended.stdout).unwrap();
    let pid: u32 = text.lines().find_map(|line| line.parse().ok()).expect("the pid was printed");
    // It still can write: a closed pipe would have ended its loop.
    let check =
        format!("for i in 1 2 3 4 5; do sleep 0.02; ls -l /proc/{pid}/exe | grep -c sleep; done; true");
    assert_eq!(output_of(&fixture.session, &check).await, "0\n".repeat(5));
    output_of(&fixture.session, &format!("kill -9 {pid}")).await;
}

#[tokio::test]
async fn last_words_of_a_grandchild_are_delivered() {
    let fixture = start().await;
    let ended = run(&fixture.session, shell("(sleep 0.02; echo last) & echo first")).await.unwrap();
    assert_eq!(ended.stdout, b"first\nlast\n");
}

#[tokio::test]
async fn output_is_complete_before_the_end_a_thousand_times() {
    let fixture = start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let session = fixture.session.clone();
        tasks.spawn(async move {
            for round in 0..125 {
                let text = format!("{worker} {round}");
                let ended = run(&session, command(&["echo", &text])).await.unwrap();
                assert_eq!(ended.stdout, format!("{text}\n").into_bytes());
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn two_hundred_commands_run_at_once() {
    let fixture = start().await;
    let mut running = Vec::new();
    for _ in 0..200 {
        let mut exec = shell("read line; echo $line");
        exec.stdin = true;
        running.push(fixture.session.exec(exec).await.unwrap());
    }
    for (index, process) in running.iter_mut().enumerate() {
        use tokio::io::AsyncWriteExt;
        process.stdin.as_mut().unwrap().write_all(format!("{index}\n").as_bytes()).await.unwrap();
    }
    for (index, process) in running.into_iter().enumerate() {
        assert_eq!(finish(process).await.unwrap().stdout, format!("{index}\n").into_bytes());
    }
}
