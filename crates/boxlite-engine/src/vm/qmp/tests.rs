use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use boxlite_types::ErrorCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Qmp, QmpEvent, QmpMessage};

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// Plays a QEMU that greets, then answers each command with the next of `answers` (each one or more lines).
fn scripted(answers: &'static [&'static str]) -> (UnixStream, std::thread::JoinHandle<Vec<Value>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let qemu = std::thread::spawn(move || {
        let mut reader = BufReader::new(theirs.try_clone().unwrap());
        let mut writer = theirs;
        writeln!(writer, "{GREETING}").unwrap();
        let mut heard = Vec::new();
        for answer in answers {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            heard.push(serde_json::from_str(&line).unwrap());
            writeln!(writer, "{answer}").unwrap();
        }
        heard
    });
    (ours, qemu)
}

#[test]
fn lines_become_messages() {
    let check =
        |line: &str, expect: QmpMessage| assert_eq!(QmpMessage::parse(line.as_bytes()).unwrap(), expect);
    check(GREETING, QmpMessage::Greeting("7.2.22".into()));
    check(r#"{"return": {}}"#, QmpMessage::Return(json!({})));
    check(r#"{"return": [1]}"#, QmpMessage::Return(json!([1])));
    check(
        r#"{"error": {"class": "GenericError", "desc": "no such thing"}}"#,
        QmpMessage::Failure("no such thing".into()),
    );
    check(
        r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}"#,
        QmpMessage::Event(QmpEvent { name: "RESUME".into(), data: Value::Null }),
    );
}

#[test]
fn what_is_not_qmp_is_refused() {
    for line in ["", "{", "[]", "3", "{}", r#"{"QMP": {}}"#, r#"{"event": 3}"#, r#"{"error": {}}"#, "\u{0}"] {
        assert_eq!(QmpMessage::parse(line.as_bytes()).unwrap_err().code(), ErrorCode::Engine, "{line}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = QmpMessage::parse(&line);
    }
}

#[test]
fn events_between_command_and_answer_are_kept_for_who_waits_for_them() {
    let (ours, qemu) = scripted(&[
        r#"{"return": {}}"#,
        "{\"event\": \"STOP\"}\n{\"event\": \"RESUME\", \"data\": {\"n\": 1}}\n{\"return\": 7}",
    ]);
    let mut qmp = Qmp::open(ours, soon()).unwrap();
    assert_eq!(qmp.version(), "7.2.22");
    assert_eq!(qmp.execute("cont", json!({ "a": 1 }), soon()).unwrap(), json!(7));
    let event = qmp.wait_event("RESUME", soon(), |event| event.name == "RESUME").unwrap();
    assert_eq!(event.data, json!({ "n": 1 }));
    assert_eq!(qemu.join().unwrap()[1], json!({ "execute": "cont", "arguments": { "a": 1 } }));
}

#[test]
fn a_refused_command_says_what_qemu_said() {
    let (ours, _qemu) =
        scripted(&[r#"{"return": {}}"#, r#"{"error": {"class": "GenericError", "desc": "nope"}}"#]);
    let mut qmp = Qmp::open(ours, soon()).unwrap();
    let error = qmp.execute("migrate", Value::Null, soon()).unwrap_err();
    assert_eq!(error.message(), "QEMU refuses `migrate`: nope");
}

#[test]
fn silence_ends_at_the_deadline_and_a_closed_connection_at_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let silent = Qmp::open(ours, Instant::now() + Duration::from_millis(20)).err().unwrap();
    assert_eq!(silent.code(), ErrorCode::Timeout);
    drop(theirs);
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert_eq!(Qmp::open(ours, soon()).err().unwrap().code(), ErrorCode::Engine);
}

#[test]
fn an_endless_line_is_not_collected_for_ever() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let writer = std::thread::spawn(move || while theirs.write_all(&[b'x'; 65536]).is_ok() {});
    let error = Qmp::open(ours, soon()).err().unwrap();
    assert_eq!(error.message(), "QEMU sends an endless line of QMP");
    writer.join().unwrap();
}
