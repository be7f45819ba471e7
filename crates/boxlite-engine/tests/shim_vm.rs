//! Real machines under shims: what makes a clone of a template a box of its own, its disks, and its jail.

mod common;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use boxlite_engine::shim::reap;
use boxlite_engine::{Engine, Session};
use boxlite_protocol::{Answer, ShimRequest, ShimStatus};
use boxlite_types::{ErrorCode, StartStage};
use common::vm::{VmBox, engine};
use common::{gone, kill, main_command, output, patiently, recording, runs, shell};

async fn status(session: &Session) -> ShimStatus {
    match session.shim(ShimRequest::Status).await.unwrap() {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

async fn stop(session: &Session) {
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 20_000 })).await.unwrap();
}

#[tokio::test]
async fn two_clones_of_a_template_differ_where_they_must() {
    let engine = engine();
    let (one, two) = (VmBox::new(), VmBox::new());
    let sessions = [one.start(&engine).await, two.start(&engine).await];
    for session in &sessions {
        assert!(status(session).await.isolation.from_template);
    }
    let script =
        "cat /etc/machine-id /proc/sys/kernel/random/uuid; hostname; head -c 32 /dev/urandom | od -An -tx1";
    let said = [output(&sessions[0], script).await, output(&sessions[1], script).await];
    let lines = said.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    assert_eq!((lines[0].len(), lines[1].len()), (5, 5), "{said:?}");
    for (one, two) in lines[0].iter().zip(&lines[1]) {
        assert_ne!(one, two);
    }
    assert_eq!((lines[0][2], lines[1][2]), (one.id.as_str(), two.id.as_str()));
}

#[tokio::test]
async fn the_clock_is_right() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let inside: u64 = output(&session, "date +%s").await.trim().parse().unwrap();
    // The time was right when it was sent; on its way into the machine it may have missed the turn of a second.
    assert!((before - 1..=now()).contains(&inside), "{inside} is not within {before}..={}", now());
}

#[tokio::test]
async fn a_disk_survives_a_stop_and_so_does_the_machine_id() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let id = output(&session, "echo kept > /root/file; rm /bin/wget; cat /etc/machine-id").await;
    stop(&session).await;
    let session = vm_box.start(&engine).await;
    assert_eq!(output(&session, "cat /root/file; test -e /bin/wget || echo gone").await, "kept\ngone\n");
    assert_eq!(output(&session, "cat /etc/machine-id").await, id);
}

#[tokio::test]
async fn what_was_synced_survives_a_kill() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    output(&session, "echo kept > /root/file; sync").await;
    patiently(session.shim(ShimRequest::Kill)).await.unwrap();
    let session = vm_box.start(&engine).await;
    assert_eq!(output(&session, "cat /root/file").await, "kept\n");
}

#[tokio::test]
async fn the_size_of_the_disk_is_enforced() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    // 128 MiB were asked for.
    let process = session.exec(shell("dd if=/dev/zero of=/root/big bs=1M count=200")).await.unwrap();
    assert_ne!(patiently(process.wait()).await.unwrap().code, Some(0));
    let size: u64 = output(&session, "stat -c %s /root/big").await.trim().parse().unwrap();
    assert!((60 << 20..128 << 20).contains(&size), "{size}");
}

#[tokio::test]
async fn a_big_file_of_the_image_reads_exactly() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let inside = output(&session, "sha256sum /big").await;
    let bytes: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    let expect: String = sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(inside.split(' ').next(), Some(&*expect));
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

#[tokio::test]
async fn the_vmm_is_in_its_jail() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let status = status(&session).await;
    for measure in
        ["seccomp", "landlock", "no-new-privileges", "no-capabilities", "user-namespace", "mount-namespace"]
    {
        assert!(status.isolation.confinement.iter().any(|found| found == measure), "{measure}: {status:?}");
    }
    let proc = Path::new("/proc").join(status.vmm_pid.to_string());
    let own = std::fs::read_to_string(proc.join("status")).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(own.contains(line), "{line}: {own}");
    }
    let mounts = std::fs::read_to_string(proc.join("mountinfo")).unwrap();
    let writable: Vec<&str> = mounts
        .lines()
        .filter(|line| line.split(' ').nth(5).unwrap().split(',').any(|option| option == "rw"))
        .map(|line| line.split(' ').nth(4).unwrap())
        .collect();
    let disk = vm_box.directory.join("disk");
    for path in &writable {
        assert!(*path == "/dev/null" || Path::new(path) == disk, "{path} is writable");
    }
    assert!(!mounts.contains("/proc ") && !mounts.contains("/sys "), "{mounts}");
    assert_eq!(std::fs::read_to_string(proc.join("net/dev")).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn a_machine_that_powers_off_by_itself_has_died() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let _process = session.exec(shell("poweroff -f")).await;
    patiently(session.closed()).await;
    let record = patiently(engine.reap(&vm_box.directory)).await.unwrap().unwrap();
    assert_eq!(record.code, 137);
    assert!(record.reason.starts_with("machine died"), "{}", record.reason);
}

#[tokio::test]
async fn a_killed_shim_takes_its_machine_along() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let status = status(&session).await;
    kill(status.pid);
    gone(status.vmm_pid).await;
    patiently(session.closed()).await;
    let record = engine.reap(&vm_box.directory).await.unwrap().unwrap();
    assert_eq!((record.code, record.reason.as_str()), (137, "machine died: its shim was killed"));
    assert!(vm_box.start(&engine).await.shim(ShimRequest::Status).await.is_ok());
}

#[tokio::test]
async fn a_killed_machine_is_noticed() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let process = session.exec(shell("sleep 1000")).await.unwrap();
    kill(status(&session).await.vmm_pid);
    assert_eq!(patiently(process.wait()).await.unwrap_err().code(), ErrorCode::Stopped);
    patiently(session.closed()).await;
    let record = engine.reap(&vm_box.directory).await.unwrap().unwrap();
    assert!(record.reason.contains("killed by signal 9"), "{}", record.reason);
}

#[tokio::test]
async fn the_main_command_of_a_machine_stops_it_and_its_disk_is_clean() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let main = session.exec(main_command("echo kept > /root/file; echo said; exit 9")).await.unwrap();
    assert_eq!(patiently(main.wait()).await.unwrap().code, Some(9));
    patiently(session.closed()).await;
    let record = engine.reap(&vm_box.directory).await.unwrap().unwrap();
    assert_eq!((record.code, record.reason.as_str()), (9, "main command exited"));
    let log = boxlite_engine::shim::log::read_log(&vm_box.directory, None).unwrap();
    assert_eq!(log[0].bytes, b"said\n");
    let session = vm_box.start(&engine).await;
    assert_eq!(output(&session, "cat /root/file").await, "kept\n");
}

#[tokio::test]
async fn a_start_that_is_dropped_at_any_stage_leaves_nothing() {
    let engine = engine();
    engine.prepare(&VmBox::new().resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
    for stage in [StartStage::Shim, StartStage::Machine, StartStage::Root] {
        for over in [false, true] {
            let vm_box = VmBox::new();
            let reached = std::sync::Arc::new(tokio::sync::Notify::new());
            let notify = reached.clone();
            let sink: boxlite_engine::StageSink = std::sync::Arc::new(move |at, elapsed| {
                if at == stage && elapsed.is_some() == over {
                    notify.notify_one();
                }
            });
            let start = engine.start(vm_box.request(false), sink);
            tokio::select! {
                biased;
                () = reached.notified() => {}
                _ = start => {}
            }
            patiently(vm_box.stopped()).await;
            patiently(vm_box.disk_closed()).await;
            for name in ["shim.sock", "shim.json"] {
                assert!(!vm_box.directory.join(name).exists(), "{name} is left at {stage:?} {over}");
            }
            assert!(vm_box.start(&engine).await.shim(ShimRequest::Status).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_start_reports_its_stages() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let (stages, sink) = recording();
    let session = vm_box.try_start(&engine, &sink).await.unwrap();
    let over: Vec<_> =
        stages.lock().unwrap().iter().filter(|stage| stage.1.is_some()).map(|stage| stage.0).collect();
    assert_eq!(over, [StartStage::Shim, StartStage::Machine, StartStage::Root]);
    assert!(runs(status(&session).await.vmm_pid));
    stop(&session).await;
    assert_eq!(reap(&vm_box.directory).unwrap().unwrap().code, 0);
}

#[tokio::test]
async fn ten_machines_started_at_once_all_run() {
    let engine = std::sync::Arc::new(engine());
    engine.prepare(&VmBox::new().resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
    let mut started = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let engine = engine.clone();
        started.spawn(async move {
            let vm_box = VmBox::new();
            let session = vm_box.start(&engine).await;
            assert_eq!(output(&session, "hostname").await, format!("{}\n", vm_box.id));
        });
    }
    assert_eq!(started.join_all().await.len(), 10);
}
