//! The bytes of generation 2, one example of every message and every variant.
//!
//! A failure here means that programs built from this tree cannot talk to those that are out. Either the change was not
//! meant, or [`boxlite_protocol::GENERATION`] goes up and this table is made anew.

use boxlite_protocol::*;
use boxlite_types::{ErrorCode, ExitStatus, IsolationInfo, TerminalSize};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that a message has these bytes, and that they are the message again.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: T, expect: &str) {
    let frame = Frame::message(0, FrameKind::Control, &message);
    assert_eq!(hex(&frame.payload), expect, "{message:?}");
    assert_eq!(frame.decode::<T>().unwrap(), message);
}

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 300 };

#[test]
fn frames() {
    assert_eq!((GENERATION, HEADER_BYTES), (2, 12));
    let check = |frame: Frame, expect: &str| {
        let mut bytes = Vec::new();
        frame.encode_into(&mut bytes);
        assert_eq!(hex(&bytes), expect);
    };
    check(Frame::data(1, Channel::Stdin, b"ab".to_vec()), "0200000001000000050000006162");
    check(Frame::eof(0x0102_0304, Channel::Stdout), "000000000403020106010000");
    check(Frame::credit(2, Channel::Stderr, 65536), "04000000020000000702000000000100");
    let kinds = [
        FrameKind::Hello,
        FrameKind::AgentRequest,
        FrameKind::ShimRequest,
        FrameKind::Opened,
        FrameKind::Data,
        FrameKind::Eof,
        FrameKind::Credit,
        FrameKind::Control,
        FrameKind::End,
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        check(
            Frame { stream: 0, kind, channel: Channel::Stdin, payload: vec![] },
            &format!("0000000000000000{:02x}000000", index + 1),
        );
    }
}

#[test]
fn greetings_and_progress() {
    check(Hello { generation: 2, build: "0.1".into() }, "0203302e31");
    check(Opened { pid: 300 }, "ac02");
    check(Control::Signal(-15), "001d");
    check(Control::Kill, "01");
    check(Control::Resize(SIZE), "0218ac02");
}

#[test]
fn requests_to_the_agent() {
    let setup = Setup {
        entropy: vec![1, 2],
        realtime_ns: 1_700_000_000_000_000_000,
        hostname: "h".into(),
        machine_id: "0f".into(),
        root: Some(Root { image_serial: "i".into(), disk_serial: "d".into() }),
    };
    check(AgentRequest::Setup(setup.clone()), "000201028080a8b1e39fe7cb1701680230660101690164");
    check(AgentRequest::Setup(Setup { root: None, ..setup }), "000201028080a8b1e39fe7cb17016802306600");
    let exec = Exec {
        argv: vec![b"a".to_vec(), b"\xff".to_vec()],
        env: vec![b"E=1".to_vec()],
        cwd: b"/".to_vec(),
        user: "u:g".into(),
        tty: Some(SIZE),
        stdin: true,
        timeout_ms: Some(500),
        main: false,
        detach: false,
    };
    check(AgentRequest::Exec(exec.clone()), "0102016101ff0103453d31012f03753a670118ac020101f4030000");
    let main = Exec { tty: None, timeout_ms: None, main: true, ..exec.clone() };
    check(AgentRequest::Exec(main), "0102016101ff0103453d31012f03753a670001000100");
    let detached = Exec { tty: None, timeout_ms: None, stdin: false, detach: true, ..exec };
    check(AgentRequest::Exec(detached), "0102016101ff0103453d31012f03753a670000000001");
    let put = PutArchive { path: b"/p".to_vec(), overwrite: true, owner: Some((1000, 7)) };
    check(AgentRequest::PutArchive(put), "02022f700101e80707");
    check(
        AgentRequest::GetArchive(GetArchive { path: b"/p".to_vec(), follow_symlinks: false }),
        "03022f7000",
    );
    check(AgentRequest::Stat { path: b"/p".to_vec(), follow: true }, "04022f7001");
    check(AgentRequest::Metrics, "05");
    check(AgentRequest::Shutdown { grace_ms: 1000 }, "06e807");
    check(AgentRequest::Mount(Root { image_serial: "i".into(), disk_serial: "d".into() }), "0701690164");
    check(AgentRequest::Rehearse(Root { image_serial: "i".into(), disk_serial: "d".into() }), "0801690164");
}

#[test]
fn requests_to_the_shim() {
    check(ShimRequest::Own, "00");
    check(ShimRequest::Disown, "01");
    check(ShimRequest::Status, "02");
    check(ShimRequest::Stop { timeout_ms: 10_000 }, "03904e");
    check(ShimRequest::Kill, "04");
    check(ShimRequest::Attach, "05");
}

#[test]
fn outcomes() {
    let check = |outcome: Outcome, expect: &str| check(outcome, expect);
    check(Ok(Answer::Done), "0000");
    check(Ok(Answer::Ready { kernel: "6.1".into() }), "000103362e31");
    check(Ok(Answer::Exited(ExitStatus::exited(3))), "00020106000000");
    let killed = ExitStatus { code: None, signal: Some(9), oom_killed: true, timed_out: true };
    check(Ok(Answer::Exited(killed)), "00020001120101");
    let stat = FileStat {
        mode: 0o120_777,
        size_bytes: 5,
        uid: 1,
        gid: 2,
        modified_ns: -1,
        link_target: Some(b"t".to_vec()),
    };
    check(Ok(Answer::Stat(stat)), "0003ffc30205010201010174");
    let metrics = GuestMetrics {
        cpu_usec: 1,
        memory_used_bytes: 2,
        memory_total_bytes: 3,
        disk_used_bytes: 4,
        disk_total_bytes: 5,
        processes: 6,
    };
    check(Ok(Answer::Metrics(metrics)), "0004010203040506");
    let status = ShimStatus {
        pid: 1,
        vmm_pid: 2,
        started_ns: 3,
        isolation: IsolationInfo {
            engine: "vm".into(),
            accelerator: "tcg".into(),
            kernel: "6.1".into(),
            confinement: vec!["seccomp".into()],
            from_template: true,
        },
        owned: true,
        host_memory_bytes: 4,
    };
    check(Ok(Answer::Status(status)), "000501020302766d0374636703362e310107736563636f6d70010104");
    check(Err(WireError::new(ErrorCode::NotFound, "no")), "0104026e6f");
}

#[test]
fn errors_keep_their_code_and_message_on_the_way() {
    for code in ErrorCode::ALL {
        let sent = WireError::from(&boxlite_types::Error::new(*code, "what"));
        let received = boxlite_types::Error::from(sent);
        assert_eq!((received.code(), received.message()), (*code, "what"));
    }
    let unknown = WireError { code: 12345, message: "of a later release".into() };
    assert_eq!(boxlite_types::Error::from(unknown).code(), ErrorCode::Internal);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..40) {
        let mut decoder = FrameDecoder::default();
        'bytes: for chunk in bytes.chunks(cut) {
            decoder.push(chunk);
            loop {
                match decoder.next_frame() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'bytes,
                }
            }
        }
        let frame = Frame { stream: 0, kind: FrameKind::End, channel: Channel::Stdin, payload: bytes };
        let _ = frame.decode::<Hello>();
        let _ = frame.decode::<AgentRequest>();
        let _ = frame.decode::<ShimRequest>();
        let _ = frame.decode::<Control>();
        let _ = frame.decode::<Opened>();
        let _ = frame.decode::<Outcome>();
        let _ = frame.credit_bytes();
    }

    #[test]
    fn a_cut_off_message_is_refused(cut in 0usize..20) {
        let setup = Hello { generation: 1, build: "a build with a name".into() };
        let mut frame = Frame::message(0, FrameKind::Hello, &setup);
        frame.payload.truncate(cut);
        prop_assert_eq!(frame.decode::<Hello>(), Err(FrameError::Undecodable(FrameKind::Hello)));
    }
}
