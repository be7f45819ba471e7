use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;

use super::*;
use crate::images::{Entry, Image, Layer};

/// Sends one request on a fresh connection and reads until the end, or until an error, which is returned as `Err` with
/// what had arrived.
fn ask(registry: &Registry, head: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(length) => bytes.extend(&buffer[..length]),
            Err(_) => return Err(String::from_utf8_lossy(&bytes).into_owned()),
        }
        if bytes.len() > 1 << 20 {
            return Ok("endless".into());
        }
    }
}

fn get(registry: &Registry, path: &str) -> Result<String, String> {
    ask(registry, &format!("GET {path} HTTP/1.1"))
}

/// A registry with the blob `0123456789` in repository `r`.
fn with_blob() -> (Registry, Digest, String) {
    let registry = Registry::start();
    let digest = crate::images::sha256(b"0123456789");
    registry.put_blob("r", &digest, &b"0123456789"[..]);
    let path = format!("/v2/r/blobs/{digest}");
    (registry, digest, path)
}

fn check_fault(fault: Fault, range: &str, expect: impl Fn(Result<String, String>) -> bool) {
    let (registry, digest, path) = with_blob();
    registry.script(Rule::on(Target::Blob(digest)).nth(1).with(fault.clone()));
    let answer = ask(&registry, &format!("GET {path} HTTP/1.1{range}"));
    assert!(expect(answer.clone()), "{fault:?}: {answer:?}");
    let healed = get(&registry, &path).unwrap();
    assert!(healed.ends_with("\r\n\r\n0123456789"), "{healed}");
}

#[test]
fn it_serves_what_was_pushed_and_remembers_who_asked() {
    let registry = Registry::start();
    let artifact = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
    registry.push("library/app", "1", &artifact);
    assert!(get(&registry, "/v2/").unwrap().starts_with("HTTP/1.1 200"));
    let manifest = get(&registry, "/v2/library/app/manifests/1").unwrap();
    assert!(manifest.contains(&format!("Docker-Content-Digest: {}\r\n", artifact.digest())));
    assert!(manifest.ends_with(std::str::from_utf8(&artifact.manifest).unwrap()));
    assert_eq!(get(&registry, &format!("/v2/library/app/manifests/{}", artifact.digest())), Ok(manifest));
    assert!(get(&registry, "/v2/library/app/manifests/2").unwrap().contains("MANIFEST_UNKNOWN"));
    let tags = get(&registry, "/v2/library/app/tags/list").unwrap();
    assert!(tags.ends_with(r#"{"name":"library/app","tags":["1"]}"#), "{tags}");
    let requests = registry.requests_for(&Target::Manifest("1".into()));
    assert_eq!((requests.len(), requests[0].status, requests[0].header("host")), (1, 200, Some("x")));
    assert_eq!(requests[0].bytes_sent, artifact.manifest.len() as u64);
}

#[test]
fn ranges_are_answered_as_http_says() {
    let (registry, _, path) = with_blob();
    for (range, status, body) in [
        ("bytes=4-", "206", "456789"),
        ("bytes=4-5", "206", "45"),
        ("bytes=0-99", "206", "0123456789"),
        ("bytes=10-", "416", ""),
        ("lines=1-2", "200", "0123456789"),
    ] {
        let answer = ask(&registry, &format!("GET {path} HTTP/1.1\r\nRange: {range}")).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.ends_with(body),
            "{range}: {answer}"
        );
    }
    assert_eq!(registry.requests()[0].range(), Some("bytes=4-"));
}

#[test]
fn faults_of_the_answer() {
    let contains =
        |text: &'static str| move |answer: Result<String, String>| answer.is_ok_and(|a| a.contains(text));
    check_fault(Fault::Status(503), "", contains("HTTP/1.1 503"));
    check_fault(
        Fault::Header("Content-Type", "text/html".into()),
        "",
        contains("Content-Type: text/html\r\n"),
    );
    check_fault(Fault::NoHeader("Docker-Content-Digest"), "", |a| !a.unwrap().contains("Content-Digest"));
    check_fault(Fault::Body(Bytes::from("other")), "", contains("Content-Length: 5\r\n\r\nother"));
    check_fault(Fault::Corrupt(2), "", |a| {
        a.is_ok_and(|a| a.contains("\r\n\r\n01") && a.ends_with("3456789"))
    });
    check_fault(Fault::DeclaredLength("99".into()), "", contains("Content-Length: 99\r\n\r\n0123456789"));
    check_fault(
        Fault::Chunked,
        "",
        contains("Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
    );
    check_fault(Fault::Extra(Bytes::from("more")), "", contains("Content-Length: 10\r\n\r\n0123456789more"));
    check_fault(Fault::Raw(Bytes::from("SSH-2.0-x\r\n")), "", |a| a == Ok("SSH-2.0-x\r\n".into()));
    check_fault(Fault::HangUp, "", |a| a == Ok(String::new()));
    check_fault(Fault::IgnoreRange, "\r\nRange: bytes=4-", contains("HTTP/1.1 200"));
    check_fault(Fault::RangeFrom(2), "\r\nRange: bytes=4-", contains("bytes 2-9/10"));
    check_fault(
        Fault::Header("Content-Range", "bytes 4-9/10".into()),
        "\r\nRange: bytes=4-",
        contains("bytes 4-9/10"),
    );
    check_fault(Fault::RedirectOrigin("http://h".into()), "", contains("Location: http://h/v2/r/blobs/"));
    check_fault(Fault::Redirect("/x".into()), "", contains("HTTP/1.1 307"));
    for endless in [Fault::Endless, Fault::EndlessDeclared(10), Fault::EndlessHeaders] {
        check_fault(endless, "", |a| a == Ok("endless".into()));
    }
}

#[test]
fn a_cut_ends_in_good_order_and_a_reset_does_not() {
    check_fault(Fault::CutAfter(3), "", |answer| {
        answer.is_ok_and(|a| a.contains(": 10\r\n") && a.ends_with("\r\n012"))
    });
    check_fault(Fault::ResetAfter(3), "", |answer| answer.is_err());
    check_fault(Fault::UntilClose, "", |answer| {
        answer.is_ok_and(|a| a.ends_with("Connection: close\r\n\r\n0123456789"))
    });
}

#[test]
fn a_gate_holds_the_body_until_it_opens() {
    let (registry, digest, path) = with_blob();
    let gate = Gate::new();
    registry.script(Rule::on(Target::Blob(digest)).with(Fault::HoldAfter(4, gate.clone())));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| get(&registry, &path).unwrap());
        Gate::block_on(gate.reached());
        assert_eq!(registry.requests()[0].bytes_sent, 4);
        gate.open();
        assert!(answer.join().unwrap().ends_with("\r\n\r\n0123456789"));
    });
}

#[test]
fn a_client_that_hangs_up_at_a_gate_is_noticed() {
    let (registry, digest, path) = with_blob();
    let gate = Gate::new();
    registry.script(Rule::on(Target::Blob(digest)).with(Fault::HoldHead(gate.clone())));
    let mut stream = TcpStream::connect(registry.host()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
    Gate::block_on(gate.reached());
    drop(stream);
    Gate::block_on(gate.abandoned());
}

#[test]
fn tokens_are_checked_for_scope_and_uses() {
    let (registry, _, path) = with_blob();
    let tokens = Tokens::new().user("ann", "secret").uses(1).fields(&["access_token"]);
    registry.require(Auth::bearer(&tokens));
    let challenge = get(&registry, &path).unwrap();
    let expected = format!(
        r#"Bearer realm="http://{}/token",service="test registry",scope="repository:r:pull""#,
        registry.host()
    );
    assert!(challenge.contains(&expected), "{challenge}");
    assert!(get(&registry, "/token").unwrap().starts_with("HTTP/1.1 401"), "nothing for the anonymous");

    let basic = "Authorization: Basic YW5uOnNlY3JldA==";
    let token = |scope: &str| {
        let answer = ask(&registry, &format!("GET /token?scope={scope} HTTP/1.1\r\n{basic}")).unwrap();
        answer.split('"').nth(3).expect("a token").to_owned()
    };
    let with = |token: &str| {
        let answer = ask(&registry, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}"));
        answer.unwrap()[9..12].to_owned()
    };
    let (good, other) = (token("repository%3Ar%3Apull"), token("repository:other:pull"));
    assert_eq!([with(&good), with(&good), with(&other), with("made-up")], ["200", "401", "401", "401"]);
    assert_eq!(tokens.issued(), 2);
}

#[test]
fn basic_credentials_open_everything_or_nothing() {
    let (registry, _, path) = with_blob();
    registry.require(Auth::basic("ann", "secret").only_at_resource());
    assert!(get(&registry, "/v2/").unwrap().starts_with("HTTP/1.1 200"));
    assert!(get(&registry, &path).unwrap().contains("WWW-Authenticate: Basic"));
    let answer = ask(&registry, &format!("GET {path} HTTP/1.1\r\nAuthorization: Basic YW5uOnNlY3JldA=="));
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
}
