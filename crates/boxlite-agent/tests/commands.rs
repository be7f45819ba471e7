//! Commands through a real session and a real agent: what goes in, what comes out, how they end.

mod common;

use boxlite_types::{ErrorCode, ExitStatus};
use common::{command, output_of, run, shell, start};

#[tokio::test]
async fn a_command_runs_and_its_output_comes_before_its_status() {
    let fixture = start().await;
    let ended = run(&fixture.session, shell("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(ended.status, ExitStatus::exited(3));
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
}

#[tokio::test]
async fn arguments_and_environment_arrive_byte_for_byte() {
    let fixture = start().await;
    let mut exec = command(&["printf", "%s|"]);
    exec.argv.extend([b"a b".to_vec(), b"".to_vec(), b"\xff\x01\n".to_vec()]);
    assert_eq!(run(&fixture.session, exec).await.unwrap().stdout, b"a b||\xff\x01\n|");
    let mut exec = command(&["env", "-0"]);
    exec.env.extend([b"A=1".to_vec(), b"B=\xfe".to_vec()]);
    assert_eq!(run(&fixture.session, exec).await.unwrap().stdout, b"PATH=/usr/bin:/bin\0A=1\0B=\xfe\0");
}

#[tokio::test]
async fn what_cannot_run_says_which_way() {
    let fixture = start().await;
    let check = async |argv: &[&str], expect: ErrorCode, message: &str| {
        let error = run(&fixture.session, command(argv)).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (expect, message));
    };
    check(&["no-such-program"], ErrorCode::NotFound, "no program `no-such-program` in the box").await;
    check(&["/etc"], ErrorCode::Execution, "cannot execute `/etc`: permission denied").await;
    check(&["/etc/passwd"], ErrorCode::Execution, "cannot execute `/etc/passwd`: permission denied").await;
    check(&[], ErrorCode::InvalidArgument, "no program to run was named").await;
    assert_eq!(output_of(&fixture.session, "echo on").await, "on\n");
}
