//! Many pulls of one image, by many tasks and processes: its bytes come over the wire once.

mod common;

use std::process::Stdio;

use boxlite_image::PullOptions;
use boxlite_testkit::images::{Artifact, Entry, Image, Layer, library_like};
use boxlite_testkit::registry::{Fault, Gate, Registry, Rule, Target};
use boxlite_types::{PullEvent, PullPolicy};
use common::TestHome;

const PROCESSES: usize = 4;
const PULLS_EACH: usize = 12;
const CHILD_HOME: &str = "BOXLITE_TEST_CHILD_HOME";
const CHILD_REFERENCE: &str = "BOXLITE_TEST_CHILD_REFERENCE";
const CHILD_PULLS: &str = "BOXLITE_TEST_CHILD_PULLS";

fn image() -> Artifact {
    let layer =
        |seed| Layer::from_entries([Entry::file(format!("file{seed}"), library_like(1_000_000, seed))]);
    Image::new((1..=5).map(layer)).build()
}

fn spawn_child(home: &TestHome, reference: &str, pulls: usize) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_HOME, home.home().root())
        .env(CHILD_REFERENCE, reference)
        .env(CHILD_PULLS, pulls.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The pulls of a child process; does nothing when run as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let variable = |name| std::env::var(name);
    let (Ok(root), Ok(reference), Ok(pulls)) =
        (variable(CHILD_HOME), variable(CHILD_REFERENCE), variable(CHILD_PULLS))
    else {
        return;
    };
    let store = common::store_at(root.into());
    let tasks: Vec<_> = (0..pulls.parse().unwrap())
        .map(|_| {
            let (store, reference) = (store.clone(), reference.clone());
            tokio::spawn(async move { store.pull(&reference, PullOptions::default()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn pulls_from_several_processes_fetch_each_blob_once() {
    let (home, registry, image) = (TestHome::new(), Registry::start(), image());
    registry.push("app", "1", &image);
    let reference = registry.reference("app:1");
    let children: Vec<_> = (0..PROCESSES).map(|_| spawn_child(&home, &reference, PULLS_EACH)).collect();
    for child in children {
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    for (number, layer) in (0..5).map(|number| (number, image.layer_digest(number))) {
        let requests = registry.requests_for(&Target::Blob(layer));
        assert_eq!(requests.len(), 1, "layer {number}");
    }
    let store = home.store();
    assert_eq!(store.list().await.unwrap().len(), 1);
    assert_eq!(store.check(false).await.unwrap().findings, []);
    assert_eq!(home.home().ingest().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn who_waits_says_so_and_shares_the_result() {
    let (home, registry, image) = (TestHome::new(), Registry::start(), image());
    registry.push("app", "1", &image);
    let gate = Gate::new();
    let held = image.layer_digest(0);
    registry.script(Rule::on(Target::Blob(held)).with(Fault::HoldAfter(1000, gate.clone())));
    let reference = registry.reference("app:1");
    let (first, second) = (home.store(), home.store());
    let leader = tokio::spawn({
        let reference = reference.clone();
        async move { first.pull(&reference, PullOptions::default()).await }
    });
    gate.reached().await;
    let (waits, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let progress: boxlite_image::PullSink = std::sync::Arc::new(move |event| {
        if let PullEvent::LayerWaiting { digest } = event {
            let _ = waits.send(digest);
        }
    });
    let options = PullOptions { progress: Some(progress), ..PullOptions::default() };
    let follower = tokio::spawn(async move { second.pull(&reference, options).await });
    while waiting.recv().await.unwrap() != held {}
    gate.open();
    let (leader, follower) = (leader.await.unwrap().unwrap(), follower.await.unwrap().unwrap());
    assert_eq!(leader.id, follower.id);
    assert!(follower.bytes_fetched < leader.bytes_fetched);
    assert_eq!(registry.requests_for(&Target::Blob(held)).len(), 1);
}

#[tokio::test]
async fn a_dead_leader_is_taken_over_where_it_stopped() {
    let (home, registry) = (TestHome::new(), Registry::start());
    let image = Image::new([Layer::from_entries([Entry::file("file", library_like(4_000_000, 1))])]).build();
    registry.push("app", "1", &image);
    let gate = Gate::new();
    let held = image.layer_digest(0);
    registry.script(Rule::on(Target::Blob(held)).nth(1).with(Fault::HoldAfter(1_000_000, gate.clone())));
    let reference = registry.reference("app:1");
    let mut leader = spawn_child(&home, &reference, 1);
    gate.reached().await;
    let partial = home.home().ingest().join(format!("blob-{}.partial", held.hex()));
    while partial.metadata().map_or(0, |metadata| metadata.len()) == 0 {
        tokio::task::yield_now().await;
    }
    let (waits, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let progress: boxlite_image::PullSink = std::sync::Arc::new(move |event| {
        if let PullEvent::LayerWaiting { digest } = event {
            let _ = waits.send(digest);
        }
    });
    let store = home.store();
    let options = PullOptions { progress: Some(progress), ..PullOptions::default() };
    let follower = tokio::spawn(async move { store.pull(&reference, options).await });
    while waiting.recv().await.unwrap() != held {}
    leader.kill().unwrap();
    leader.wait().unwrap();
    follower.await.unwrap().unwrap();
    let requests = registry.requests_for(&Target::Blob(held));
    assert_eq!(requests.len(), 2);
    assert!(requests[1].range().is_some(), "{:?}", requests[1]);
    assert_eq!(home.store().check(false).await.unwrap().findings, []);
}

/// Whoever lets go of a file looks whether it was the last to hold it. Nobody else takes that look for its absence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_found_whoever_else_uses_it() {
    const USES: usize = 300;
    let (home, registry, image) = (TestHome::new(), Registry::start(), image());
    registry.push("app", "1", &image);
    let reference = registry.reference("app:1");
    home.store().pull(&reference, PullOptions::default()).await.unwrap();
    let others: Vec<_> = (0..2)
        .map(|_| {
            let (store, reference) = (home.store(), reference.clone());
            tokio::spawn(async move {
                loop {
                    store.pull(&reference, PullOptions::default()).await.unwrap();
                }
            })
        })
        .collect();
    let store = home.store();
    for number in 0..USES {
        let held = PullOptions { policy: PullPolicy::Never, ..PullOptions::default() };
        store.pull(&reference, held).await.unwrap();
        if number % 30 == 0 {
            let file = home.home().root().join(format!("export{number}"));
            store.export_erofs(&reference, &file).await.unwrap();
        }
    }
    for other in others {
        assert!(!other.is_finished());
        other.abort();
    }
    assert_eq!(registry.requests_for(&Target::Blob(image.layer_digest(0))).len(), 1);
}

/// Removals in one store against pulls in another: whatever wins, no row ever points at nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_beside_pulls_never_take_what_a_pull_relies_on() {
    let (home, registry, image) = (TestHome::new(), Registry::start(), image());
    registry.push("app", "1", &image);
    registry.push("app", "2", &image);
    let pulling = tokio::spawn({
        let (store, references) = (home.store(), ["app:1", "app:2"].map(|name| registry.reference(name)));
        async move {
            for round in 0..30 {
                let pulled = store.pull(&references[round % 2], PullOptions::default()).await.unwrap();
                // It may be removed again at once, but what is there must be whole.
                if let Err(error) = store.root(&pulled.id).await {
                    assert_eq!(error.code(), boxlite_types::ErrorCode::NotFound, "{error:?}");
                }
            }
        }
    });
    let store = home.store();
    let references = ["app:1", "app:2"].map(|name| registry.reference(name));
    let mut removed = 0;
    while !pulling.is_finished() {
        for reference in &references {
            removed += u32::from(store.remove(reference, false).await.is_ok());
        }
    }
    pulling.await.unwrap();
    assert!(removed > 0);
    assert_eq!(store.check(false).await.unwrap().findings, []);
    assert!(home.locked().is_empty());
}
