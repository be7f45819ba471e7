//! From the first word to the last: greetings, setup, shutdown, and what a lost box means for whoever waits for it.

mod common;

use std::io::{Read, Write};

use boxlite_engine::Session;
use boxlite_protocol::{
    AgentRequest, Answer, Frame, FrameDecoder, FrameKind, GENERATION, Hello, MAX_DATA_BYTES, Root,
};
use boxlite_types::{ErrorCode, ExitStatus};
use common::{command, finish, run, setup, shell, start, start_agent};
use tokio::net::UnixStream;

fn hello(generation: u32) -> Frame {
    Frame::message(0, FrameKind::Hello, &Hello { generation, build: "test".into() })
}

/// Sends frames as bytes and returns the next `count` greetings and ends that come.
fn exchange(socket: &mut std::os::unix::net::UnixStream, frames: &[Frame], count: usize) -> Vec<Frame> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode_into(&mut bytes));
    socket.write_all(&bytes).unwrap();
    let (mut decoder, mut seen) = (FrameDecoder::default(), Vec::new());
    while seen.len() < count {
        while let Some(frame) = decoder.next_frame().unwrap() {
            if matches!(frame.kind, FrameKind::Hello | FrameKind::End) {
                seen.push(frame);
            }
        }
        if seen.len() < count {
            let mut buffer = [0; 4096];
            let read = socket.read(&mut buffer).unwrap();
            assert!(read > 0, "the agent is gone");
            decoder.push(&buffer[..read]);
        }
    }
    seen
}

#[test]
fn every_hello_is_answered_also_late_and_twice() {
    let (_agent, mut socket) = start_agent(&[]);
    socket.set_nonblocking(false).unwrap();
    let ready = Frame::message(1, FrameKind::AgentRequest, &AgentRequest::Setup(setup()));
    let seen = exchange(&mut socket, &[hello(1), hello(99), ready, hello(1)], 4);
    let kinds: Vec<_> = seen.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [FrameKind::Hello, FrameKind::Hello, FrameKind::End, FrameKind::Hello]);
    assert_eq!(seen[3].decode::<Hello>().unwrap().generation, GENERATION);
}

#[test]
fn an_agent_that_hears_nonsense_ends() {
    let (mut agent, mut socket) = start_agent(&[]);
    socket.set_nonblocking(false).unwrap();
    socket.write_all(&[0xff; 64]).unwrap();
    assert_eq!(socket.read(&mut [0; 16]).unwrap_or(0), 0);
    assert_eq!(agent.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_host_that_sends_more_than_its_window_loses_the_stream_only() {
    let (_agent, mut socket) = start_agent(&[]);
    socket.set_nonblocking(false).unwrap();
    let mut exec = command(&["sleep", "1000"]);
    exec.stdin = true;
    let mut frames = vec![
        hello(1),
        Frame::message(1, FrameKind::AgentRequest, &AgentRequest::Setup(setup())),
        Frame::message(2, FrameKind::AgentRequest, &AgentRequest::Exec(exec)),
    ];
    for _ in 0..8 {
        frames.push(Frame::data(2, boxlite_protocol::Channel::Stdin, vec![0; MAX_DATA_BYTES]));
    }
    frames.push(Frame::message(
        3,
        FrameKind::AgentRequest,
        &AgentRequest::Stat { path: b"/".to_vec(), follow: true },
    ));
    let seen = exchange(&mut socket, &frames, 4);
    let ends: Vec<(u32, bool)> = seen[1..]
        .iter()
        .map(|frame| (frame.stream, frame.decode::<boxlite_protocol::Outcome>().unwrap().is_ok()))
        .collect();
    assert_eq!(ends, [(1, true), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_box_is_set_up_once_and_before_anything_else() {
    let (_agent, socket) = start_agent(&[]);
    let session = Session::connect(UnixStream::from_std(socket).unwrap()).await.unwrap();
    let early = run(&session, command(&["true"])).await.unwrap_err();
    assert_eq!((early.code(), early.message()), (ErrorCode::InvalidState, "the box is not set up"));
    let refused = async |change: fn(&mut boxlite_protocol::Setup), code: ErrorCode| {
        let mut wrong = setup();
        change(&mut wrong);
        assert_eq!(session.request(AgentRequest::Setup(wrong)).await.unwrap_err().code(), code);
    };
    refused(|setup| setup.hostname = "a b".into(), ErrorCode::InvalidArgument).await;
    refused(|setup| setup.machine_id = "xyz".into(), ErrorCode::InvalidArgument).await;
    let root = |setup: &mut boxlite_protocol::Setup| {
        setup.root = Some(Root { image_serial: "i".into(), disk_serial: "d".into() });
    };
    refused(root, ErrorCode::Unsupported).await;
    let answer = session.request(AgentRequest::Setup(setup())).await.unwrap();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(answer, Answer::Ready { kernel: kernel.trim().into() });
    refused(|_| {}, ErrorCode::InvalidState).await;
}

#[tokio::test]
async fn another_generation_is_refused() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut theirs = theirs.into_std().unwrap();
    let mut bytes = Vec::new();
    hello(GENERATION + 1).encode_into(&mut bytes);
    theirs.write_all(&bytes).unwrap();
    let error = Session::connect(ours).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("restart")));
}

#[tokio::test]
async fn a_lost_box_ends_everything_that_waits_for_it() {
    let mut fixture = start().await;
    let session = fixture.session.clone();
    let mut process = session.exec(shell("echo last words; sleep 1000")).await.unwrap();
    let control = process.control.clone();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let control = control.clone();
            tokio::spawn(async move { control.wait().await })
        })
        .collect();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "last words\n");
    fixture.agent.0.kill().unwrap();
    session.closed().await;
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.message()), (ErrorCode::Stopped, "the box stopped"));
    }
    assert_eq!(process.stdout.next_chunk().await, None);
    let mut rest = Vec::new();
    let broken = tokio::io::AsyncReadExt::read_to_end(&mut process.stderr, &mut rest).await;
    assert!(broken.is_err(), "an output that was cut off must not look complete");
    let late = session.exec(command(&["true"])).await.err().unwrap();
    assert_eq!(late.code(), ErrorCode::Stopped);
}

#[tokio::test]
async fn dropping_the_last_session_ends_the_agent_and_what_it_ran() {
    let fixture = start().await;
    let process = fixture.session.exec(shell("sleep 1000 & sleep 1000")).await.unwrap();
    let (control, pid) = (process.control.clone(), process.pid);
    let common::Box { session, mut agent } = fixture;
    drop(session);
    assert_eq!(control.wait().await.unwrap_err().code(), ErrorCode::Stopped);
    let status = tokio::task::spawn_blocking(move || agent.0.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status:?}");
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shutdown_asks_first_then_kills_then_answers() {
    let mut fixture = start().await;
    let polite =
        fixture.session.exec(shell("trap 'echo bye; exit 5' TERM; echo on; while :; do sleep 0.01; done"));
    let mut polite = polite.await.unwrap();
    let deaf = fixture.session.exec(shell("trap '' TERM; echo on; while :; do sleep 0.01; done"));
    let mut deaf = deaf.await.unwrap();
    for process in [&mut polite, &mut deaf] {
        assert_eq!(process.stdout.next_chunk().await.unwrap(), "on\n");
    }
    let session = fixture.session.clone();
    let shutdown =
        tokio::spawn(async move { session.request(AgentRequest::Shutdown { grace_ms: 300 }).await });
    let polite = finish(polite).await.unwrap();
    assert_eq!((polite.status, &polite.stdout[..]), (ExitStatus::exited(5), &b"bye\n"[..]));
    let refused = run(&fixture.session, command(&["true"])).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Stopped);
    assert_eq!(finish(deaf).await.unwrap().status.signal, Some(9));
    assert_eq!(shutdown.await.unwrap().unwrap(), Answer::Done);
    fixture.session.closed().await;
    assert!(fixture.agent.0.wait().unwrap().success());
}
