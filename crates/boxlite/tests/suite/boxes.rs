//! Life of boxes: create, start, stop, remove, what is refused when.

use std::collections::BTreeSet;
use std::time::Duration;

use boxlite::{BoxSpec, BoxState, Context, ErrorCode, Event, ExecSpec, LogOptions, StartStage};

use crate::world::{World, code, error, exec, soon, stdout};

#[tokio::test]
async fn a_box_goes_through_its_life() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let mut events = runtime.events();
    let made = runtime.create(BoxSpec { name: Some("web".into()), ..world.spec() }).await.unwrap();
    let info = made.info().await.unwrap();
    assert_eq!((info.state, info.name.as_deref(), info.pid), (BoxState::Created, Some("web"), None));
    assert_eq!(info.image, world.image());
    assert_eq!(info.image_id, world.artifact.digest());

    made.start().await.unwrap();
    let info = made.info().await.unwrap();
    assert_eq!((info.state, info.pid), (BoxState::Running, Some(std::process::id())));
    assert_eq!(info.isolation.unwrap().engine, "fake");
    assert!(info.started_at.is_some());
    assert_eq!(stdout(&made, "hostname").await, format!("{}\n", made.id()));

    made.stop(Duration::from_secs(5)).await.unwrap();
    let info = made.info().await.unwrap();
    assert_eq!((info.state, info.exit_code, info.pid), (BoxState::Stopped, Some(0), None));
    assert_eq!(info.isolation, None);
    made.stop(Duration::from_secs(5)).await.unwrap();

    made.start().await.unwrap();
    made.kill().await.unwrap();
    assert_eq!(made.wait().await.unwrap(), 137);
    runtime.remove("web", false).await.unwrap();
    assert_eq!(code(made.info().await), ErrorCode::NotFound);
    assert!(!world.home.path().join("boxes").join(made.id().as_str()).exists());

    runtime.shutdown(Duration::from_secs(5)).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = soon(events.next()).await {
        seen.push(match event {
            Event::BoxCreated { .. } => "created",
            Event::BoxStarted { .. } => "started",
            Event::BoxStopped { exit_code: Some(0), .. } => "stopped",
            Event::BoxStopped { .. } => "killed",
            Event::BoxRemoved { .. } => "removed",
            Event::BoxStarting { .. } | Event::BoxStage { .. } => continue,
            Event::ExecStarted { .. } | Event::ExecCompleted { .. } => continue,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["created", "started", "stopped", "started", "killed", "removed"]);
}

#[tokio::test]
async fn every_stage_of_a_start_is_told_with_its_duration() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let mut events = runtime.events();
    let made = world.running(&runtime).await;
    let mut begun = Vec::<StartStage>::new();
    loop {
        match soon(events.next()).await.unwrap() {
            Event::BoxStarting { id, stage } => {
                assert_eq!(id, *made.id());
                begun.push(stage);
            }
            Event::BoxStage { stage, elapsed_us, .. } => {
                assert_eq!(begun.last(), Some(&stage));
                assert!(elapsed_us > 0);
            }
            Event::BoxStarted { elapsed_us, .. } => break assert!(elapsed_us > 0),
            _ => {}
        }
    }
    assert_eq!(begun, boxlite_testkit::engine::STAGES);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_made() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let missing =
        error(runtime.create(BoxSpec { image: world.registry.reference("app:2"), ..world.spec() }).await);
    assert_eq!(missing.code(), ErrorCode::NotFound);
    assert_eq!(missing.operation(), Some("runtime.create"));
    assert!(missing.hint_text().unwrap().contains("boxlite pull"));
    let bad_name = BoxSpec { name: Some("-".into()), ..world.spec() };
    assert_eq!(code(runtime.create(bad_name).await), ErrorCode::InvalidArgument);
    let bad_main = BoxSpec { main: Some(ExecSpec { timeout_ms: Some(0), ..exec("x") }), ..world.spec() };
    assert_eq!(code(runtime.create(bad_main).await), ErrorCode::InvalidArgument);
    let loose_main = BoxSpec { main: Some(ExecSpec { detach: true, ..exec("x") }), ..world.spec() };
    assert_eq!(code(runtime.create(loose_main).await), ErrorCode::InvalidArgument);
    assert_eq!(runtime.list().await.unwrap(), []);

    let named = BoxSpec { name: Some("web".into()), ..world.spec() };
    let first = runtime.create(named.clone()).await.unwrap();
    let taken = error(runtime.create(named).await);
    assert_eq!(taken.code(), ErrorCode::AlreadyExists);
    assert!(taken.message().contains(first.id().as_str()));
    let metrics = runtime.metrics().await.unwrap();
    assert_eq!((metrics.boxes_created_total, metrics.boxes_failed_total), (1, 5));
}

#[tokio::test]
async fn the_wrong_state_is_named_together_with_the_way_out() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(BoxSpec { name: Some("web".into()), ..world.spec() }).await.unwrap();
    let refused = error(made.exec(exec("true")).await);
    assert_eq!(refused.code(), ErrorCode::InvalidState);
    assert_eq!(refused.message(), "box `web` is created");
    assert_eq!(refused.hint_text(), Some("start it first"));
    assert_eq!(refused.context()[&Context::Box], made.id().as_str());
    assert_eq!(code(made.wait().await), ErrorCode::InvalidState);
    assert_eq!(code(made.metrics().await), ErrorCode::InvalidState);
    assert_eq!(code(made.attach().await), ErrorCode::InvalidState);
    assert_eq!(code(made.start_attached().await), ErrorCode::InvalidState);

    made.start().await.unwrap();
    assert_eq!(error(made.start().await).message(), "box `web` is running");
    assert_eq!(code(made.remove(false).await), ErrorCode::InvalidState);
    assert_eq!(code(made.attach().await), ErrorCode::NotFound);
    made.remove(true).await.unwrap();
    assert_eq!(code(made.start().await), ErrorCode::NotFound);
    assert!(!world.home.path().join("boxes").join(made.id().as_str()).exists());
}

#[tokio::test]
async fn a_box_is_found_by_name_id_and_unique_prefix() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let mut ids = BTreeSet::new();
    for _ in 0..40 {
        ids.insert(runtime.create(world.spec()).await.unwrap().id().to_string());
    }
    for id in &ids {
        assert_eq!(runtime.get(id).await.unwrap().id().as_str(), id);
        let unique = (1..12)
            .map(|length| &id[..length])
            .find(|prefix| ids.iter().filter(|other| other.starts_with(prefix)).count() == 1);
        assert_eq!(runtime.get(unique.unwrap()).await.unwrap().id().as_str(), id);
    }
    // 40 ids begin with 26 letters.
    let shared = ids.iter().zip(ids.iter().skip(1)).find(|(a, b)| a[..1] == b[..1]).unwrap().0;
    assert_eq!(code(runtime.get(&shared[..1]).await), ErrorCode::InvalidArgument);
    for nothing in ["", "*", "nothing", "a*"] {
        assert_eq!(code(runtime.get(nothing).await), ErrorCode::NotFound, "{nothing}");
    }
    let listed = runtime.list().await.unwrap();
    assert_eq!(listed.len(), 40);
    assert!(listed.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at));
}

#[tokio::test]
async fn a_start_that_fails_leaves_the_box_as_it_was() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(world.spec()).await.unwrap();
    for stage in boxlite_testkit::engine::STAGES {
        world.engine.fail_at(stage, ErrorCode::Engine);
        let failed = error(made.start().await);
        assert_eq!((failed.code(), failed.operation()), (ErrorCode::Engine, Some("box.start")));
        assert_eq!(made.info().await.unwrap().state, BoxState::Created);
        assert_eq!(world.engine.running(), []);
        world.engine.heal();
    }
    made.start().await.unwrap();
    made.kill().await.unwrap();
    world.engine.fail_at(StartStage::Root, ErrorCode::Engine);
    assert_eq!(code(made.start().await), ErrorCode::Engine);
    let info = made.info().await.unwrap();
    assert_eq!((info.state, info.exit_code), (BoxState::Stopped, Some(137)));
    assert_eq!(runtime.metrics().await.unwrap().boxes_failed_total, 7);
}

#[tokio::test]
async fn of_two_starts_at_once_one_wins() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(world.spec()).await.unwrap();
    let hold = world.engine.hold_at(StartStage::Machine);
    let first = tokio::spawn({
        let made = made.clone();
        async move { made.start().await }
    });
    soon(hold.reached(1)).await;
    assert_eq!(made.info().await.unwrap().state, BoxState::Starting);
    assert_eq!(code(made.start().await), ErrorCode::InUse);
    assert_eq!(code(made.stop(Duration::ZERO).await), ErrorCode::InvalidState);
    assert_eq!(code(made.exec(exec("true")).await), ErrorCode::InvalidState);
    // Another runtime on the same home is as much somebody else as another process.
    let other = world.open().await;
    let same = other.get(made.id().as_str()).await.unwrap();
    assert_eq!(same.info().await.unwrap().state, BoxState::Starting);
    assert_eq!(code(same.start().await), ErrorCode::InUse);
    hold.release();
    soon(first).await.unwrap().unwrap();
    assert_eq!(code(same.start().await), ErrorCode::InvalidState);
    assert_eq!(stdout(&same, "echo from the other runtime").await, "from the other runtime\n");
}

#[tokio::test]
async fn the_main_command_runs_at_each_start_and_ends_the_box() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let main = |words| BoxSpec { main: Some(exec(words)), ..world.spec() };
    let made = runtime.create(main("exit 7")).await.unwrap();
    for _ in 0..2 {
        made.start().await.unwrap();
        assert_eq!(soon(made.wait()).await.unwrap(), 7);
        assert_eq!(made.info().await.unwrap().exit_code, Some(7));
    }
    let from_image = runtime.create(main("")).await.unwrap();
    from_image.start().await.unwrap();
    assert_eq!(soon(from_image.wait()).await.unwrap(), 0);
    let mut log = from_image.logs(LogOptions::default()).await.unwrap();
    assert_eq!(soon(log.next()).await.unwrap().unwrap().bytes, b"from the image\n");
    assert!(soon(log.next()).await.is_none());

    let missing = runtime.create(main("no-such-program")).await.unwrap();
    assert_eq!(code(missing.start().await), ErrorCode::NotFound);
    assert_eq!(missing.info().await.unwrap().state, BoxState::Created);
    assert_eq!(world.engine.running(), []);
}

#[tokio::test]
async fn a_box_that_removes_itself_leaves_nothing() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let spec = BoxSpec { main: Some(exec("exit 3")), auto_remove: true, ..world.spec() };
    let made = runtime.create(spec).await.unwrap();
    let mut main = made.start_attached().await.unwrap();
    assert_eq!(soon(main.wait()).await.unwrap().code, Some(3));
    let mut events = runtime.events();
    if made.info().await.is_ok() {
        while !matches!(soon(events.next()).await, Some(Event::BoxRemoved { .. })) {}
    }
    assert_eq!(code(made.info().await), ErrorCode::NotFound);
    assert_eq!(runtime.list().await.unwrap(), []);
    runtime.shutdown(Duration::from_secs(5)).await.unwrap();
    assert!(!world.home.path().join("boxes").join(made.id().as_str()).exists());
}

#[tokio::test]
async fn a_box_that_removes_itself_is_not_restarted_to_its_end() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(BoxSpec { auto_remove: true, ..world.spec() }).await.unwrap();
    made.restart(Duration::from_secs(5)).await.unwrap();
    assert_eq!(code(made.restart(Duration::from_secs(5)).await), ErrorCode::InvalidState);
    assert_eq!(made.info().await.unwrap().state, BoxState::Running);
}

#[tokio::test]
async fn an_end_before_the_start_was_noted_is_settled() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    for round in 0..20 {
        let spec = BoxSpec { main: Some(exec("exit 3")), ..world.spec() };
        let made = runtime.create(spec).await.unwrap();
        let mut events = runtime.events();
        made.start().await.unwrap();
        // Told without anybody looking at the box.
        let stopped = async {
            while !matches!(events.next().await, Some(Event::BoxStopped { exit_code: Some(3), .. })) {}
        };
        tokio::time::timeout(Duration::from_secs(30), stopped)
            .await
            .unwrap_or_else(|_| panic!("round {round}"));
    }
}

#[tokio::test]
async fn a_box_that_dies_is_found_out_by_whoever_looks() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let other = world.open().await;
    let made = world.running(&runtime).await;
    let mut waiting = tokio::spawn({
        let made = made.clone();
        async move { made.wait().await }
    });
    assert!(futures::poll!(&mut waiting).is_pending());
    world.engine.crash(made.id());
    assert_eq!(soon(waiting).await.unwrap().unwrap(), 137);
    assert_eq!(other.list().await.unwrap()[0].state, BoxState::Stopped);
    assert_eq!(other.list().await.unwrap()[0].exit_code, Some(137));
}

#[tokio::test]
async fn an_image_that_a_box_needs_is_not_removed() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(world.spec()).await.unwrap();
    let refused = error(runtime.images().remove(&world.image(), false).await);
    assert_eq!(refused.code(), ErrorCode::InUse);
    assert!(refused.message().contains(made.id().as_str()), "{refused}");
    made.start().await.unwrap();
    made.remove(true).await.unwrap();
    runtime.images().remove(&world.image(), false).await.unwrap();
    assert_eq!(runtime.images().list().await.unwrap(), []);
}

#[tokio::test]
async fn an_image_without_a_name_goes_with_its_last_box() {
    for auto_remove in [false, true] {
        let world = World::new();
        let runtime = world.open_with_image().await;
        let made = runtime.create(BoxSpec { auto_remove, ..world.spec() }).await.unwrap();
        assert_eq!(code(runtime.images().remove(&world.image(), false).await), ErrorCode::InUse);
        runtime.images().remove(&world.image(), true).await.unwrap();
        assert!(runtime.images().list().await.unwrap().is_empty());

        made.start().await.unwrap();
        assert!(runtime.usage().await.unwrap().blob_bytes > 0, "the box still needs it");
        made.stop(Duration::from_secs(5)).await.unwrap();
        if !auto_remove {
            made.remove(false).await.unwrap();
        }
        let usage = runtime.usage().await.unwrap();
        assert_eq!((usage.blob_bytes, usage.layer_bytes), (0, 0));
        assert!(runtime.check(false).await.unwrap().findings.is_empty());
        runtime.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_kept_ready_to_start_an_image_goes_with_it() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let rootfs = std::fs::read_dir(world.home.path().join("rootfs")).unwrap().next().unwrap().unwrap().path();
    let template = world.home.path().join("templates/key.name");
    std::fs::create_dir_all(&template).unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let meta = serde_json::json!({
        "spec": {
            "qemu": "", "accelerator": "tcg", "kernel": "", "kernel_release": "", "initramfs": "",
            "tsc_khz": 1, "cpus": 1, "memory_mib": 128, "template": null,
        },
        "qemu_version": "", "memory_bytes": 0, "state_bytes": 0, "state_digest": digest,
        "root": { "size_bytes": 4096, "extents": [
            { "path": rootfs, "file_offset": 0, "disk_offset": 0, "length": 4096 },
        ] },
    });
    std::fs::write(template.join("meta.json"), meta.to_string()).unwrap();
    let made = runtime.create(world.spec()).await.unwrap();
    runtime.images().remove(&world.image(), true).await.unwrap();
    assert!(template.exists(), "the box can still be started");
    made.remove(false).await.unwrap();
    assert!(!template.exists());
}
