//! Pulls that do not come to their end: cancelled, dropped, or killed with their process, at every stage.
//!
//! The stages are made by the registry, which stops at one point of one answer; killed ones run in a child process, which
//! is this very test binary. After each: no lock, nothing but what can be resumed, and a pull that then succeeds.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use boxlite_image::PullOptions;
use boxlite_testkit::images::{Artifact, Entry, Image, Layer, library_like};
use boxlite_testkit::registry::{Fault, Gate, Registry, Rule, Target};
use boxlite_types::ErrorCode;
use common::TestHome;
use tokio_util::sync::CancellationToken;

const LAYER_BYTES: usize = 3_000_000;
/// Set for a child: the home to pull into, and the reference.
const CHILD_HOME: &str = "BOXLITE_TEST_CHILD_HOME";
const CHILD_REFERENCE: &str = "BOXLITE_TEST_CHILD_REFERENCE";

fn image() -> Artifact {
    let layer =
        |seed| Layer::from_entries([Entry::file(format!("file{seed}"), library_like(LAYER_BYTES, seed))]);
    Image::new([layer(1), layer(2)]).build()
}

/// Where a pull is stopped, and whether some of a layer is there by then.
fn stages(image: &Artifact) -> Vec<(&'static str, Rule, Gate)> {
    let blob = |number| Target::Blob(image.layer_digest(number));
    let stage = |name, target, fault: fn(Gate) -> Fault| {
        let gate = Gate::new();
        (name, Rule::on(target).with(fault(gate.clone())), gate)
    };
    vec![
        stage("ping", Target::Ping, Fault::HoldHead),
        stage("manifest", Target::Manifests, Fault::HoldHead),
        stage("half a manifest", Target::Manifests, |gate| Fault::HoldAfter(50, gate)),
        stage("configuration", Target::Blob(image.config_digest()), Fault::HoldHead),
        stage("first byte of a layer", blob(0), |gate| Fault::HoldAfter(0, gate)),
        stage("half a layer", blob(1), |gate| Fault::HoldAfter(700_000, gate)),
    ]
}

/// What has to be true after an interruption, and that the next pull goes on from there.
async fn check_interrupted(home: &TestHome, registry: &Registry, image: &Artifact, stage: &str) {
    registry.heal();
    assert_eq!(home.locked(), Vec::<String>::new(), "{stage}");
    assert_eq!(home.rows().iter().filter(|row| row.starts_with("image")).count(), 0, "{stage}");
    let store = home.store();
    for path in home.files().paths().filter(|path| path.starts_with("ingest/") && *path != "ingest") {
        assert!(path.ends_with(".partial") || path.ends_with(".made"), "{stage} leaves {path}");
    }
    assert_eq!(store.check(false).await.unwrap().findings, [], "{stage}");
    registry.clear_requests();
    store.pull(&registry.reference("app:1"), PullOptions::default()).await.unwrap();
    if stage == "half a layer" {
        let ranges = registry.requests_for(&Target::Blob(image.layer_digest(1)));
        assert!(ranges[0].range().is_some(), "{stage}: the partial was not resumed");
        assert!(
            registry.requests_for(&Target::Blob(image.layer_digest(0))).is_empty(),
            "{stage}: fetched twice"
        );
    }
    assert_eq!(store.check(false).await.unwrap().findings, [], "{stage}");
    assert_eq!(home.home().ingest().read_dir().unwrap().count(), 0, "{stage}");
}

/// Waits until `other` layers than the one that is held are in place, so that every run stops at the same point.
async fn wait_for_layers(home: &TestHome, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while home.home().layers().read_dir().map_or(0, Iterator::count) < count {
        assert!(Instant::now() < deadline, "the other layer never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_token_cancels_at_every_stage() {
    let image = image();
    for (stage, rule, gate) in stages(&image) {
        let (home, registry) = (TestHome::new(), Registry::start());
        registry.push("app", "1", &image);
        registry.script(rule);
        let store = home.store();
        let cancel = CancellationToken::new();
        let options = PullOptions { cancel: cancel.clone(), ..PullOptions::default() };
        let reference = registry.reference("app:1");
        let pull = tokio::spawn(async move { store.pull(&reference, options).await });
        gate.reached().await;
        if stage == "half a layer" {
            wait_for_layers(&home, 1).await;
        }
        let asked = Instant::now();
        cancel.cancel();
        let error = pull.await.unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled, "{stage}: {error}");
        assert!(asked.elapsed() < Duration::from_secs(2), "{stage} took {:?}", asked.elapsed());
        check_interrupted(&home, &registry, &image, stage).await;
    }
}

#[tokio::test]
async fn dropping_the_future_cancels_at_every_stage() {
    let image = image();
    for (stage, rule, gate) in stages(&image) {
        let (home, registry) = (TestHome::new(), Registry::start());
        registry.push("app", "1", &image);
        registry.script(rule);
        let store = home.store();
        let reference = registry.reference("app:1");
        tokio::select! {
            _ = store.pull(&reference, PullOptions::default()) => panic!("{stage}: the gate is shut"),
            _ = async {
                gate.reached().await;
                if stage == "half a layer" {
                    wait_for_layers(&home, 1).await;
                }
            } => {}
        }
        store.settled().await;
        check_interrupted(&home, &registry, &image, stage).await;
    }
}

#[tokio::test]
async fn a_token_that_is_cancelled_already_stops_everything() {
    let (home, registry) = (TestHome::new(), Registry::start());
    registry.push("app", "1", &image());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let options = PullOptions { cancel, ..PullOptions::default() };
    let error = home.store().pull(&registry.reference("app:1"), options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled);
    assert!(registry.requests_for(&Target::Blobs).is_empty());
}

#[tokio::test]
async fn a_process_killed_at_any_stage_leaves_a_sound_home() {
    let image = image();
    for (stage, rule, gate) in stages(&image) {
        let (home, registry) = (TestHome::new(), Registry::start());
        registry.push("app", "1", &image);
        registry.script(rule);
        let mut child = spawn_child(&home, &registry);
        gate.reached().await;
        if stage == "half a layer" {
            wait_for_layers(&home, 1).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        check_interrupted(&home, &registry, &image, stage).await;
    }
}

/// Not stopped by the registry, but killed at one moment after another of an ordinary pull: conversion, syncs, commit.
#[tokio::test]
async fn a_process_killed_at_any_moment_leaves_the_old_state_or_the_new_one() {
    let image = image();
    let mut finished = 0;
    for round in 0..12u32 {
        let (home, registry) = (TestHome::new(), Registry::start());
        registry.push("app", "1", &image);
        let mut child = spawn_child(&home, &registry);
        // Steps of what such a pull takes; where they fall differs from machine to machine, and none may do harm.
        let moment = Duration::from_millis(u64::from(round) * 15);
        while registry.requests_for(&Target::Blobs).is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let held = home.store().list().await.unwrap().len();
        finished += held;
        assert_eq!(home.locked(), Vec::<String>::new(), "after {moment:?}");
        let store = home.store();
        assert_eq!(store.check(false).await.unwrap().findings, [], "after {moment:?}");
        let pulled = store.pull(&registry.reference("app:1"), PullOptions::default()).await.unwrap();
        assert_eq!(pulled.id, image.digest());
        assert_eq!(store.check(false).await.unwrap().findings, [], "after {moment:?}");
    }
    println!("{finished} of 12 were finished before they were killed");
}

fn spawn_child(home: &TestHome, registry: &Registry) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_HOME, home.home().root())
        .env(CHILD_REFERENCE, registry.reference("app:1"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The pull of a child process; does nothing when run as a test.
#[tokio::test]
async fn child() {
    let (Ok(root), Ok(reference)) = (std::env::var(CHILD_HOME), std::env::var(CHILD_REFERENCE)) else {
        return;
    };
    common::store_at(root.into()).pull(&reference, PullOptions::default()).await.unwrap();
}
