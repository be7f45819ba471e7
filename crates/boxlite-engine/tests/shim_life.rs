//! Life and death of a box: who may die when, and what is left.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boxlite_engine::shim::{connect, reap, supervisor};
use boxlite_protocol::{Answer, Frame, FrameKind, ShimRequest};
use boxlite_types::{ErrorCode, StartStage};
use common::{TestBox, gone, kill, main_command, patiently, recording, runs, shell};

async fn vmm(session: &boxlite_engine::Session) -> u32 {
    match session.shim(ShimRequest::Status).await.unwrap() {
        Answer::Status(status) => status.vmm_pid,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_start_reports_its_stages_in_order() {
    let test_box = TestBox::new();
    let (stages, sink) = recording();
    let _session = patiently(test_box.launcher.run(test_box.job(false), None, &sink)).await.unwrap();
    let stages: Vec<_> =
        stages.lock().unwrap().iter().map(|(stage, over)| (*stage, over.is_some())).collect();
    let expect = [StartStage::Shim, StartStage::Machine, StartStage::Root];
    assert_eq!(stages, expect.iter().flat_map(|stage| [(*stage, false), (*stage, true)]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stop_is_graceful_and_recorded() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let (shim, vmm) = (supervisor(test_box.directory()).unwrap().unwrap().pid, vmm(&session).await);
    let stop = ShimRequest::Stop { timeout_ms: 10_000 };
    assert_eq!(patiently(session.shim(stop)).await.unwrap(), Answer::Done);
    // Once it is answered, everything holds.
    assert!(!runs(vmm));
    assert_eq!(supervisor(test_box.directory()).unwrap(), None);
    assert_eq!(test_box.leftovers(), [""; 0]);
    let record = reap(test_box.directory()).unwrap().unwrap();
    assert_eq!((record.code, record.reason.as_str()), (0, "stopped"));
    assert!(connect(test_box.directory()).await.unwrap().is_none());
    gone(shim).await;
}

#[tokio::test]
async fn a_box_that_does_not_stop_in_time_is_killed() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let stubborn = session.exec(shell("trap '' TERM; echo ready; while :; do sleep 1000; done")).await;
    let mut stubborn = stubborn.unwrap();
    assert!(stubborn.stdout.next_chunk().await.is_some());
    // The agent itself is stopped, so that it cannot even begin.
    let agent = rustix::process::Pid::from_raw(vmm(&session).await as i32).unwrap();
    rustix::process::kill_process(agent, rustix::process::Signal::STOP).unwrap();
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 100 })).await.unwrap();
    let record = test_box.ended().await;
    assert_eq!(record.code, 137);
    assert!(record.reason.starts_with("killed"), "{}", record.reason);
}

#[tokio::test]
async fn a_kill_needs_nobody_inside() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    assert_eq!(patiently(session.shim(ShimRequest::Kill)).await.unwrap(), Answer::Done);
    let record = test_box.ended().await;
    assert_eq!((record.code, record.reason.as_str()), (137, "killed"));
}

#[tokio::test]
async fn requests_end_with_stopped_when_the_machine_dies() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let process = session.exec(shell("sleep 1000")).await.unwrap();
    kill(vmm(&session).await);
    assert_eq!(patiently(process.wait()).await.unwrap_err().code(), ErrorCode::Stopped);
    patiently(session.closed()).await;
    let record = test_box.ended().await;
    assert_eq!(record.code, 137);
    assert!(record.reason.starts_with("machine died: it was killed by signal 9"), "{}", record.reason);
    assert_eq!(test_box.leftovers(), [""; 0]);
}

#[tokio::test]
async fn the_machine_dies_with_its_shim() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let vmm = vmm(&session).await;
    kill(supervisor(test_box.directory()).unwrap().unwrap().pid);
    gone(vmm).await;
    patiently(session.closed()).await;
    let record = test_box.ended().await;
    assert_eq!((record.code, record.reason.as_str()), (137, "machine died: its shim was killed"));
    assert_eq!(test_box.leftovers(), [""; 0]);
    // And the box can be started again.
    test_box.start(false).await;
}

#[tokio::test]
async fn an_owned_box_dies_with_its_last_session() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let vmm = vmm(&session).await;
    let bystander = connect(test_box.directory()).await.unwrap().unwrap();
    drop(session);
    gone(vmm).await;
    patiently(bystander.closed()).await;
    let record = test_box.ended().await;
    assert_eq!((record.code, record.reason.as_str()), (137, "owner died"));
}

#[tokio::test]
async fn a_box_set_free_lives_on() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    session.shim(ShimRequest::Disown).await.unwrap();
    drop(session);
    let session = connect(test_box.directory()).await.unwrap().unwrap();
    let process = session.exec(shell("exit 4")).await.unwrap();
    assert_eq!(patiently(process.wait()).await.unwrap().code, Some(4));
    // It can be owned again, by one connection at a time.
    session.shim(ShimRequest::Own).await.unwrap();
    let other = connect(test_box.directory()).await.unwrap().unwrap();
    assert_eq!(other.shim(ShimRequest::Own).await.unwrap_err().code(), ErrorCode::InUse);
}

#[tokio::test]
async fn a_running_box_is_in_use() {
    let test_box = TestBox::new();
    let _session = test_box.start(false).await;
    let error = test_box.try_start(false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InUse);
    assert_eq!(reap(test_box.directory()).unwrap_err().code(), ErrorCode::InUse);
    assert!(connect(test_box.directory()).await.unwrap().is_some(), "the running box is left alone");
}

#[tokio::test]
async fn the_main_command_ends_the_box_with_its_code() {
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let test_box = TestBox::new();
        let session = test_box.start(true).await;
        let main = session.exec(main_command(script)).await.unwrap();
        patiently(main.wait()).await.unwrap();
        let record = test_box.ended().await;
        assert_eq!((record.code, record.reason.as_str()), (code, "main command exited"), "{script}");
    }
}

#[tokio::test]
async fn a_main_command_that_cannot_be_run_ends_the_box_and_says_so() {
    let test_box = TestBox::new();
    let session = test_box.start(false).await;
    let exec = boxlite_protocol::Exec { argv: vec![b"/nowhere".to_vec()], ..main_command("") };
    let error = session.exec(exec).await.err().unwrap();
    assert_eq!(error.code(), ErrorCode::NotFound);
    let record = test_box.ended().await;
    assert_eq!(record.code, 126);
    assert!(record.reason.contains("could not be run"), "{}", record.reason);
}

#[tokio::test]
async fn sigterm_stops_the_box_gracefully() {
    let test_box = TestBox::new();
    let session = test_box.start(true).await;
    let shim = supervisor(test_box.directory()).unwrap().unwrap().pid as i32;
    let pid = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    patiently(session.closed()).await;
    assert_eq!(test_box.ended().await.code, 0);
}

#[tokio::test]
async fn a_failed_start_says_why_and_leaves_nothing() {
    let test_box = TestBox::new();
    let mut job = test_box.job(false);
    job.machine = boxlite_engine::shim::MachineKind::Process {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "echo 'no such device' >&2; exit 3".into()],
    };
    let (_, sink) = recording();
    let error = patiently(test_box.launcher.run(job, None, &sink)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Engine);
    assert!(error.message().contains("exited with code 3: no such device"), "{error}");
    assert_eq!(supervisor(test_box.directory()).unwrap(), None);
    assert_eq!(test_box.leftovers(), [""; 0]);
}

/// A machine that answers its setup as it should and says `bytes` when it is asked for anything else.
fn hostile(bytes: &[u8], directory: &Path) -> boxlite_engine::shim::MachineKind {
    let ready = boxlite_protocol::Outcome::Ok(Answer::Ready { kernel: "none".into() });
    let mut answer = Vec::new();
    Frame::message(1, FrameKind::End, &ready).encode_into(&mut answer);
    let (first, second) = (directory.join("first"), directory.join("second"));
    std::fs::write(&first, answer).unwrap();
    std::fs::write(&second, bytes).unwrap();
    // Hello and setup arrive together; whatever comes after them is a request of a client.
    let script = format!(
        "dd bs=65536 count=1 of=/dev/null; cat {} >&0; dd bs=65536 count=1 of=/dev/null; cat {} >&0; sleep 1000",
        first.display(),
        second.display()
    );
    boxlite_engine::shim::MachineKind::Process {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script],
    }
}

#[tokio::test]
async fn an_agent_that_breaks_the_protocol_costs_the_box_its_life_and_no_more() {
    let unknown = {
        let mut bytes = Vec::new();
        Frame::data(77, boxlite_protocol::Channel::Stdout, b"x".to_vec()).encode_into(&mut bytes);
        bytes
    };
    for bytes in [vec![0xff; 64], unknown] {
        let test_box = TestBox::new();
        let mut job = test_box.job(false);
        job.machine = hostile(&bytes, test_box.directory());
        let (_, sink) = recording();
        let session = patiently(test_box.launcher.run(job, None, &sink)).await.unwrap();
        let refused = patiently(session.exec(shell("true"))).await.err().unwrap();
        assert_eq!(refused.code(), ErrorCode::Stopped);
        let record = test_box.ended().await;
        assert_eq!(record.code, 137);
        assert!(record.reason.starts_with("machine died: its agent broke the protocol"), "{}", record.reason);
    }
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_nothing_at_any_stage() {
    for stage in [StartStage::Shim, StartStage::Machine, StartStage::Root] {
        for over in [false, true] {
            for detach in [false, true] {
                let test_box = TestBox::new();
                let reached = std::sync::Arc::new(tokio::sync::Notify::new());
                let notify = reached.clone();
                let sink: boxlite_engine::StageSink = std::sync::Arc::new(move |at, elapsed| {
                    if at == stage && elapsed.is_some() == over {
                        notify.notify_one();
                    }
                });
                // An agent of its own, to be told from those of other tests.
                let agent = test_box.directory().join("agent");
                std::fs::copy(common::agent(), &agent).unwrap();
                let mut job = test_box.job(detach);
                let arguments = vec!["--fd".into(), "0".into()];
                job.machine =
                    boxlite_engine::shim::MachineKind::Process { program: agent.clone(), arguments };
                let start = test_box.launcher.run(job, None, &sink);
                tokio::select! {
                    biased;
                    () = reached.notified() => {}
                    _ = start => {}
                }
                patiently(async {
                    while supervisor(test_box.directory()).unwrap().is_some() {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
                assert_eq!(test_box.leftovers(), [""; 0], "{stage:?} {over} {detach}");
                patiently(async {
                    while common::is_run(&agent) {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            }
        }
    }
}

/// Not a test: the process that owns a box in the tests of dying owners, started by them.
#[tokio::test]
#[ignore = "started by other tests in a process of its own"]
async fn owner_process() {
    let Some(directory) = std::env::var_os("BOXLITE_TEST_BOX") else { return };
    let detach = std::env::var_os("BOXLITE_TEST_DETACH").is_some();
    let test_box = TestBox::at(Path::new(&directory));
    let session = test_box.start(detach).await;
    let vmm = vmm(&session).await;
    // SAFETY: the child only reads, and ends; that another thread may hold a lock of libc is nothing to it.
    if std::env::var_os("BOXLITE_TEST_FORK").is_some() && unsafe { libc::fork() } == 0 {
        // With everything open that its parent has, until the test lets go of the other end.
        // SAFETY: reads into a local, then ends without running anything of the parent's.
        unsafe {
            libc::read(0, [0u8].as_mut_ptr().cast(), 1);
            libc::_exit(0)
        }
    }
    println!("vmm {vmm}");
    let () = std::future::pending().await;
}

/// Returns the command of a process that starts a box in `directory`.
fn owner_command(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "owner_process", "--ignored", "--nocapture"])
        .env("BOXLITE_TEST_BOX", directory)
        .env("BOXLITE_TEST_AGENT", common::agent())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Starts one, and returns it with the id of its box's machine.
fn started(command: &mut Command) -> (std::process::Child, u32) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let vmm = lines
        .map(|line| line.unwrap())
        .find_map(|line| Some(line.split_once("vmm ")?.1.to_owned()))
        .expect("the owner starts its box");
    (child, vmm.trim().parse().unwrap())
}

#[tokio::test]
async fn a_box_dies_within_a_second_of_its_killed_owner() {
    let test_box = TestBox::new();
    let (mut child, vmm) = started(&mut owner_command(test_box.directory()));
    assert!(runs(vmm));
    child.kill().unwrap();
    let killed = Instant::now();
    child.wait().unwrap();
    gone(vmm).await;
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    assert_eq!(test_box.ended().await.reason, "owner died");
}

#[tokio::test]
async fn a_child_that_the_owner_had_forked_does_not_keep_its_box() {
    let test_box = TestBox::new();
    let (mut command, (reader, writer)) = (owner_command(test_box.directory()), std::io::pipe().unwrap());
    let (mut child, vmm) = started(command.env("BOXLITE_TEST_FORK", "1").stdin(reader));
    child.kill().unwrap();
    child.wait().unwrap();
    gone(vmm).await;
    assert_eq!(test_box.ended().await.reason, "owner died");
    drop(writer);
}

#[tokio::test]
async fn a_detached_box_outlives_its_killed_starter() {
    let test_box = TestBox::new();
    let (mut child, vmm) = started(owner_command(test_box.directory()).env("BOXLITE_TEST_DETACH", "1"));
    child.kill().unwrap();
    child.wait().unwrap();
    let session = connect(test_box.directory()).await.unwrap().expect("it lives on");
    let process = session.exec(shell("exit 6")).await.unwrap();
    assert_eq!(patiently(process.wait()).await.unwrap().code, Some(6));
    assert!(runs(vmm));
    patiently(session.shim(ShimRequest::Kill)).await.unwrap();
    gone(vmm).await;
}

#[tokio::test]
async fn no_zombie_stays_of_a_box_that_ended() {
    let test_box = TestBox::new();
    for detach in [false, true] {
        let session = test_box.start(detach).await;
        let shim = supervisor(test_box.directory()).unwrap().unwrap().pid;
        patiently(session.shim(ShimRequest::Kill)).await.unwrap();
        patiently(async {
            while Path::new("/proc").join(shim.to_string()).exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_home_with_a_long_path_works() {
    let home = tempfile::Builder::new().prefix("boxlite-shim-").tempdir().unwrap();
    let directory = home.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&directory).unwrap();
    let test_box = TestBox::at(&directory);
    let session = test_box.start(false).await;
    patiently(session.shim(ShimRequest::Kill)).await.unwrap();
}
