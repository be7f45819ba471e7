//! What the next open makes of what earlier ones left.

use boxlite::{BoxSpec, BoxState, ErrorCode};

use crate::world::{PATIENCE, World, code, exec, soon};

#[tokio::test]
async fn boxes_that_died_while_nobody_looked_are_settled_at_open() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let detached = |auto_remove| BoxSpec { detach: true, auto_remove, ..world.spec() };
    let kept = runtime.create(detached(false)).await.unwrap();
    let removed = runtime.create(detached(true)).await.unwrap();
    kept.start().await.unwrap();
    removed.start().await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
    world.engine.crash(kept.id());
    world.engine.crash(removed.id());

    let again = world.open().await;
    let boxes = again.list().await.unwrap();
    assert_eq!(boxes.len(), 1);
    assert_eq!((&boxes[0].id, boxes[0].state, boxes[0].exit_code), (kept.id(), BoxState::Stopped, Some(137)));
    assert!(!world.home.path().join("boxes").join(removed.id().as_str()).exists());
    assert_eq!(again.check(false).await.unwrap().findings, []);
    again.get(kept.id().as_str()).await.unwrap().start().await.unwrap();
}

#[tokio::test]
async fn the_exit_of_a_main_command_that_nobody_watched_is_not_lost() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let spec = BoxSpec { detach: true, main: Some(exec("cat")), ..world.spec() };
    let spec = BoxSpec { main: spec.main.map(|main| boxlite::ExecSpec { stdin: true, ..main }), ..spec };
    let made = runtime.create(spec).await.unwrap();
    made.start().await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
    let between = world.open().await;
    let same = between.get(made.id().as_str()).await.unwrap();
    let mut main = loop {
        match same.attach().await {
            Ok(main) => break main,
            Err(error) => assert_eq!(error.code(), ErrorCode::InUse),
        }
    };
    drop(main.take_stdin());
    assert!(soon(main.wait()).await.unwrap().success());
    drop(main);
    between.shutdown(PATIENCE).await.unwrap();
    let last = world.open().await;
    let info = last.get(made.id().as_str()).await.unwrap().info().await.unwrap();
    assert_eq!((info.state, info.exit_code), (BoxState::Stopped, Some(0)));
}

#[tokio::test]
async fn a_directory_without_a_box_is_found_and_removed() {
    let world = World::new();
    world.open().await.shutdown(PATIENCE).await.unwrap();
    let orphan = world.home.path().join("boxes/abcdefghijkl");
    let plant = || {
        std::fs::create_dir_all(&orphan).unwrap();
        std::fs::write(orphan.join("disk"), "x").unwrap();
    };
    plant();
    let runtime = world.open().await;
    assert!(!orphan.exists());
    plant();
    let report = runtime.check(false).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    let finding = &report.findings[0];
    assert_eq!((finding.kind.as_str(), finding.subject.as_str()), ("orphan-directory", "boxes/abcdefghijkl"));
    assert!(!finding.repaired && orphan.exists());
    assert!(runtime.check(true).await.unwrap().findings[0].repaired);
    assert!(!orphan.exists());
    assert_eq!(runtime.check(false).await.unwrap().findings, []);
}

/// A sweep of another process that clears away what is left of a box has its lock for that long.
#[tokio::test]
async fn a_box_that_was_removed_is_not_found_while_it_is_swept() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(world.spec()).await.unwrap();
    made.remove(false).await.unwrap();
    let directory = world.home.path().join("boxes").join(made.id().as_str());
    std::fs::create_dir_all(&directory).unwrap();
    let lock = std::fs::File::create(directory.join("transition.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(code(made.start().await), ErrorCode::NotFound);
    assert_eq!(code(made.remove(false).await), ErrorCode::NotFound);
    assert_eq!(code(made.remove(true).await), ErrorCode::NotFound);
    assert!(directory.exists());
}

#[tokio::test]
async fn a_machine_that_runs_without_leave_is_found_and_ended() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(BoxSpec { detach: true, ..world.spec() }).await.unwrap();
    made.start().await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
    let database = boxlite_state::Database::open(&world.home.path().join("boxlite.db")).unwrap();
    database.write(|rows| rows.execute("UPDATE boxes SET state = 'stopped', shim_pid = NULL", ())).unwrap();
    database.close();
    let again = world.open().await;
    let kinds = |report: boxlite::CheckReport| -> Vec<_> {
        report.findings.into_iter().map(|finding| (finding.kind, finding.repaired)).collect()
    };
    assert_eq!(kinds(again.check(false).await.unwrap()), [("stray-machine".to_owned(), false)]);
    assert_eq!(kinds(again.check(true).await.unwrap()), [("stray-machine".to_owned(), true)]);
    assert_eq!(world.engine.running(), []);
    assert_eq!(again.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn two_runtimes_of_one_process_share_a_home() {
    let world = World::new();
    let (one, two) = (world.open_with_image().await, world.open().await);
    assert_eq!(two.images().list().await.unwrap().len(), 1);
    let made = two.create(BoxSpec { name: Some("web".into()), ..world.spec() }).await.unwrap();
    let taken = one.create(BoxSpec { name: Some("web".into()), ..world.spec() }).await;
    assert_eq!(code(taken), ErrorCode::AlreadyExists);
    made.start().await.unwrap();
    let same = one.get("web").await.unwrap();
    assert_eq!(same.info().await.unwrap().state, BoxState::Running);
    assert_eq!(code(same.remove(false).await), ErrorCode::InvalidState);
    one.shutdown(PATIENCE).await.unwrap();
    assert_eq!(made.info().await.unwrap().state, BoxState::Running, "the box belongs to the other runtime");
    two.shutdown(PATIENCE).await.unwrap();
    assert_eq!(world.engine.running(), []);
}

#[tokio::test]
async fn usage_counts_boxes() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    std::fs::write(world.home.path().join("boxes").join(made.id().as_str()).join("disk"), [1; 20_000])
        .unwrap();
    let usage = runtime.usage().await.unwrap();
    assert_eq!((usage.images, usage.boxes), (1, 1));
    assert!(usage.box_bytes >= 20_000 && usage.blob_bytes > 0, "{usage:?}");
}
