//! Real machines under shims.

mod common;

use boxlite_protocol::{Answer, ShimRequest, ShimStatus};
use common::vm::{VmBox, engine};
use common::{output, patiently, recording};

async fn status(session: &boxlite_engine::Session) -> ShimStatus {
    match session.shim(ShimRequest::Status).await.unwrap() {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_machine_runs_a_command() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let (stages, sink) = recording();
    let session = vm_box.try_start(&engine, &sink).await.unwrap();
    println!("{:?}", stages.lock().unwrap());
    println!("{:?}", status(&session).await);
    assert_eq!(output(&session, "echo hello").await, "hello\n");
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 10_000 })).await.unwrap();
}
