//! Cancelling: a dropped future or a token, at every stage, leaves everything as it was.

use boxlite::{BoxState, CancellationToken, ErrorCode, PullOptions, cancelled_by};
use boxlite_testkit::engine::STAGES;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};

use crate::world::{PATIENCE, World, code, exec, soon, stdout};

#[tokio::test]
async fn a_pull_is_cancelled_at_every_stage_and_the_next_one_succeeds() {
    let world = World::new();
    let stages = [
        (Target::Manifests, 0),
        (Target::Blob(world.artifact.config_digest()), 0),
        (Target::Blob(world.artifact.layer_digest(0)), 0),
        (Target::Blob(world.artifact.layer_digest(0)), 40),
    ];
    for (target, bytes) in stages {
        for by_token in [true, false] {
            let runtime = world.open().await;
            let gate = Gate::new();
            world.registry.script(Rule::on(target.clone()).with(Fault::HoldAfter(bytes, gate.clone())));
            let (images, cancel) = (runtime.images().clone(), CancellationToken::new());
            let options = PullOptions { cancel: cancel.clone(), ..PullOptions::default() };
            let reference = world.image();
            let pull = tokio::spawn(async move { images.pull(&reference, options).await });
            soon(gate.reached()).await;
            if by_token {
                cancel.cancel();
                assert_eq!(code(soon(pull).await.unwrap()), ErrorCode::Cancelled);
            } else {
                pull.abort();
                assert!(soon(pull).await.unwrap_err().is_cancelled());
            }
            soon(gate.abandoned()).await;
            assert_eq!(runtime.images().list().await.unwrap(), []);
            world.registry.heal();
            let pulled = runtime.images().pull(&world.image(), PullOptions::default()).await.unwrap();
            assert_eq!(pulled.id, world.artifact.digest());
            assert_eq!(runtime.check(false).await.unwrap().findings, []);
            runtime.images().remove(&world.image(), false).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_operation_cancelled_by_its_callers_token_ends_when_it_has_rolled_back() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = runtime.create(world.spec()).await.unwrap();
    let (hold, cancel) = (world.engine.hold_at(STAGES[0]), CancellationToken::new());
    let start = tokio::spawn({
        let (made, cancel) = (made.clone(), cancel.clone());
        async move { cancelled_by(cancel, made.start()).await }
    });
    soon(hold.reached(1)).await;
    cancel.cancel();
    assert_eq!(code(soon(start).await.unwrap()), ErrorCode::Cancelled);
    // Nothing of the start is left at the moment it answers.
    assert_eq!(made.info().await.unwrap().state, BoxState::Created);
    hold.release();
    // A token that is cancelled already lets nothing begin, not even what would be over at once.
    assert_eq!(code(cancelled_by(cancel.clone(), made.start()).await), ErrorCode::Cancelled);
    assert_eq!(code(cancelled_by(cancel, made.remove(false)).await), ErrorCode::Cancelled);
    cancelled_by(CancellationToken::new(), made.start()).await.unwrap();
    runtime.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_start_is_cancelled_at_every_stage_and_the_next_one_succeeds() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    for stage in STAGES {
        let made = runtime.create(world.spec()).await.unwrap();
        let hold = world.engine.hold_at(stage);
        let start = tokio::spawn({
            let made = made.clone();
            async move { made.start().await }
        });
        soon(hold.reached(1)).await;
        start.abort();
        let _ = soon(start).await;
        world.engine.heal();
        // The rollback goes on by itself: the next start waits for nobody, so it may come too early.
        loop {
            match made.start().await {
                Ok(()) => break,
                Err(error) => assert_eq!(error.code(), ErrorCode::InUse, "{stage:?}: {error}"),
            }
        }
        assert_eq!(stdout(&made, "echo fine").await, "fine\n");
        made.remove(true).await.unwrap();
        assert_eq!(world.engine.running(), []);
    }
}

#[tokio::test]
async fn a_stop_that_is_given_up_goes_on_in_the_box() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    world.engine.ignore_stop(true, false);
    let stop = tokio::spawn({
        let made = made.clone();
        async move { made.stop(crate::world::PATIENCE).await }
    });
    while made.info().await.unwrap().state != BoxState::Stopping {
        tokio::task::yield_now().await;
    }
    stop.abort();
    assert_eq!(made.info().await.unwrap().state, BoxState::Stopping);
    made.kill().await.unwrap();
    assert_eq!(made.info().await.unwrap().state, BoxState::Stopped);
}

#[tokio::test]
async fn a_dropped_exec_leaves_no_command() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    for _ in 0..20 {
        let mut begun = Box::pin(made.exec(exec("sleep")));
        let _ = futures::poll!(&mut begun);
        drop(begun);
    }
    // Still in order, and nothing is left that would keep the box from ending.
    assert_eq!(stdout(&made, "echo fine").await, "fine\n");
    made.stop(crate::world::PATIENCE).await.unwrap();
}
