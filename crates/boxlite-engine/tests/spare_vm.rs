//! The spare machine of an engine: a box can have it and cannot tell, and nothing of it outlives who keeps it.

mod common;

use std::sync::Arc;

use boxlite_engine::vm::VmEngine;
use boxlite_engine::{Engine, Session};
use boxlite_protocol::{Answer, ShimRequest};
use common::vm::{VmBox, engine_with};
use common::{children_of, gone, output, patiently};

/// Waits until the engine has its spare, and returns the process of its shim: the only child of ours that supervises no box.
async fn spare_of(engine: &VmEngine, vm_box: &VmBox, shims: &[u32]) -> u32 {
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    let others: Vec<u32> = children().into_iter().filter(|child| !shims.contains(child)).collect();
    let [spare] = others[..] else { panic!("{others:?}") };
    spare
}

/// The processes this one has started and that still run; the tests of this file take turns, so they are this test's.
fn children() -> Vec<u32> {
    children_of(std::process::id())
}

async fn start(engine: &VmEngine, vm_box: &VmBox) -> Session {
    patiently(engine.start(vm_box.request(false), Arc::new(|_, _| {}))).await.unwrap()
}

/// A box that ran and was stopped, and the spare for its next start.
async fn stopped_beside_a_spare() -> (VmEngine, VmBox, u32) {
    let (engine, vm_box) = (engine_with(true), VmBox::new());
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    let session = start(&engine, &vm_box).await;
    let spare = spare_of(&engine, &vm_box, &[shim_of(&session).await]).await;
    stop(&session).await;
    (engine, vm_box, spare)
}

async fn shim_of(session: &Session) -> u32 {
    let Answer::Status(status) = session.shim(ShimRequest::Status).await.unwrap() else { panic!() };
    status.pid
}

/// Stops a box, and waits for the end of its shim, which goes on for a moment: it is a child that would be counted.
async fn stop(session: &Session) {
    let shim = shim_of(session).await;
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 20_000 })).await.unwrap();
    gone(shim).await;
}

/// One at a time: a test counts the children of this process.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_new_box_can_have_it_and_one_that_ran_and_neither_can_tell() {
    let _turn = TURN.lock().await;
    let engine = engine_with(true);
    let boxes = [VmBox::new(), VmBox::new()];
    engine.prepare(&boxes[0].resources, Arc::new(|_, _| {})).await.unwrap();
    let first = start(&engine, &boxes[0]).await;
    let own = shim_of(&first).await;
    assert_eq!(output(&first, "echo kept > /kept; cat /etc/machine-id").await.len(), 33);
    let spare = spare_of(&engine, &boxes[0], &[own]).await;

    // One that never ran: a blank disk, names of its own.
    let second = start(&engine, &boxes[1]).await;
    assert_eq!(shim_of(&second).await, spare);
    let said =
        output(&second, "ls /kept 2>&1; cat /etc/hostname; hostname; cat /proc/sys/kernel/hostname").await;
    let id = boxes[1].id.as_str();
    assert_eq!(said, format!("ls: /kept: No such file or directory\n{id}\n{id}\n{id}\n"));
    // What the rehearsal left: no process, no mount, no cgroup.
    let count = "for process in /proc/[0-9]*; do readlink $process/exe; done | wc -l; \
                 grep -c . /proc/self/mountinfo; ls -d /sys/fs/cgroup/boxlite/*/ | wc -l";
    assert_eq!(output(&second, count).await, output(&first, count).await);

    // One that did: its disk, its machine id, and random numbers that are nobody else's.
    let random = "head -c 16 /dev/urandom | od -An -tx1";
    let identity = output(&first, "cat /etc/machine-id").await;
    stop(&first).await;
    let spare = spare_of(&engine, &boxes[0], &[spare]).await;
    let again = start(&engine, &boxes[0]).await;
    assert_eq!(shim_of(&again).await, spare);
    assert_eq!(output(&again, "cat /kept /etc/machine-id").await, format!("kept\n{identity}"));
    assert_ne!(output(&again, random).await, output(&second, random).await);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let clock: u64 = output(&again, "date +%s").await.trim().parse().unwrap();
    assert!(clock.abs_diff(now) < 30, "{clock} {now}");

    // Its disk is a whole one, also after a stop.
    output(&again, "dd if=/dev/zero of=/big-file bs=1M count=20 2>/dev/null; sync").await;
    stop(&again).await;
    let checked =
        std::process::Command::new("e2fsck").arg("-fn").arg(boxes[0].directory.join("disk")).output();
    assert!(checked.unwrap().status.success());
    engine.close().await;
}

#[tokio::test]
async fn one_that_died_is_not_missed() {
    let _turn = TURN.lock().await;
    let (engine, vm_box, spare) = stopped_beside_a_spare().await;
    common::kill(spare);
    let session = start(&engine, &vm_box).await;
    assert_ne!(shim_of(&session).await, spare);
    assert_eq!(output(&session, "echo alive").await, "alive\n");
    engine.close().await;
}

#[tokio::test]
async fn one_whose_machine_died_is_not_missed_either() {
    let _turn = TURN.lock().await;
    let (engine, vm_box, spare) = stopped_beside_a_spare().await;
    children_of(spare).into_iter().for_each(common::kill);
    let session = start(&engine, &vm_box).await;
    assert_eq!(output(&session, "echo alive").await, "alive\n");
    engine.close().await;
}

#[tokio::test]
async fn a_box_of_another_size_does_not_get_it() {
    let _turn = TURN.lock().await;
    let (engine, vm_box, mut large) = (engine_with(true), VmBox::new(), VmBox::new());
    large.resources.memory_mib = 320;
    for one in [&vm_box, &large] {
        engine.prepare(&one.resources, Arc::new(|_, _| {})).await.unwrap();
    }
    let session = start(&engine, &vm_box).await;
    let own = shim_of(&session).await;
    let spare = spare_of(&engine, &vm_box, &[own]).await;
    let other = start(&engine, &large).await;
    let other_own = shim_of(&other).await;
    assert_ne!(other_own, spare);
    // The last one counts: what was kept gives way to one of its size.
    let next = spare_of(&engine, &large, &[own, other_own]).await;
    assert_ne!(next, spare);
    gone(spare).await;
    engine.close().await;
}

#[tokio::test]
async fn a_box_of_another_image_does_not_get_it() {
    let _turn = TURN.lock().await;
    let (engine, boxes) = (engine_with(true), [VmBox::new(), VmBox::new()]);
    engine.prepare(&boxes[0].resources, Arc::new(|_, _| {})).await.unwrap();
    let session = start(&engine, &boxes[0]).await;
    let own = shim_of(&session).await;
    let spare = spare_of(&engine, &boxes[0], &[own]).await;
    let scratch = tempfile::tempdir().unwrap();
    let mut request = boxes[1].request(false);
    let copy = scratch.path().join("root.erofs");
    std::fs::copy(&request.root.extents[0].path, &copy).unwrap();
    request.root.extents[0].path = copy;
    let other = patiently(engine.start(request, Arc::new(|_, _| {}))).await.unwrap();
    assert_ne!(shim_of(&other).await, spare);
    engine.close().await;
}

#[tokio::test]
async fn it_ends_with_the_engine() {
    let _turn = TURN.lock().await;
    let (engine, vm_box) = (engine_with(true), VmBox::new());
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    let session = start(&engine, &vm_box).await;
    let own = shim_of(&session).await;
    let spare = spare_of(&engine, &vm_box, &[own]).await;
    engine.close().await;
    gone(spare).await;
    stop(&session).await;
    // Closed while one is being made.
    let engine = engine_with(true);
    let session = start(&engine, &vm_box).await;
    engine.close().await;
    let own = shim_of(&session).await;
    assert_eq!(children(), [own]);
    // And there is no other.
    stop(&session).await;
    let session = start(&engine, &vm_box).await;
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    assert_eq!(children(), [shim_of(&session).await]);
}

#[tokio::test]
async fn without_being_asked_for_there_is_none() {
    let _turn = TURN.lock().await;
    let (engine, vm_box) = (engine_with(false), VmBox::new());
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    let session = start(&engine, &vm_box).await;
    engine.prepare(&vm_box.resources, Arc::new(|_, _| {})).await.unwrap();
    assert_eq!(children(), [shim_of(&session).await]);
}
