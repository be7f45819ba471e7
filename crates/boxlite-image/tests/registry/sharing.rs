use boxlite_image::{ImageStore, PullOptions};
use boxlite_testkit::images::{Artifact, Compression, Entry, Image, Layer, library_like};
use boxlite_testkit::registry::{Fault, Gate, Registry, Rule, Target};
use boxlite_types::{Digest, ErrorCode, PullEvent, PullPolicy, PulledImage};
use futures::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{blob, image, pull, serve, summary};
use crate::common::TestHome;

/// Pulls `count` times at once, spread over the stores; checks that each blob is requested exactly once.
async fn check_once(stores: &[ImageStore], count: usize) {
    let artifact = image(4);
    let (registry, reference) = serve(&artifact);
    let pulls =
        (0..count).map(|number| stores[number % stores.len()].pull(&reference, PullOptions::default()));
    for pulled in join_all(pulls).await {
        assert_eq!(pulled.unwrap().id, artifact.digest());
    }
    for number in 0..4 {
        let requests = blob(&registry, artifact.layer_digest(number));
        assert_eq!(requests.len(), 1, "layer {number}: {:?}", summary(&registry));
    }
    assert!(registry.requests_for(&Target::Manifests).len() <= count);
    let report = stores[0].check(false).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_pulls_of_one_image_download_each_layer_once() {
    let home = TestHome::new();
    check_once(&[home.store()], 20).await;
    assert_eq!(home.locked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_pulls_from_four_stores_on_one_home_download_each_layer_once() {
    let home = TestHome::new();
    check_once(&[home.store(), home.store(), home.store(), home.store()], 20).await;
    assert_eq!(home.locked(), Vec::<String>::new());
}

#[tokio::test]
async fn two_images_that_share_a_layer_download_it_once() {
    let base = Layer::from_entries([Entry::file("base", library_like(100_000, 1))]);
    let one = Image::new([base.clone(), Layer::from_entries([Entry::file("one", "1")])]).build();
    let two = Image::new([base.clone(), Layer::from_entries([Entry::file("two", "2")])]).build();
    let (registry, reference) = serve(&one);
    registry.push("library/app", "2", &two);
    let gate = Gate::new();
    registry.script(Rule::on(Target::Blob(base.digest())).with(Fault::HoldAfter(100, gate.clone())));
    let home = TestHome::new();
    let store = home.store();
    let other = registry.reference("library/app:2");
    let (first, second, ()) = tokio::join!(
        store.pull(&reference, PullOptions::default()),
        store.pull(&other, PullOptions::default()),
        async {
            gate.reached().await;
            gate.open();
        },
    );
    assert_eq!((first.unwrap().id, second.unwrap().id), (one.digest(), two.digest()));
    assert_eq!(blob(&registry, base.digest()).len(), 1);
}

#[tokio::test]
async fn a_derived_image_costs_its_own_layer() {
    let artifact = image(3);
    let (registry, reference) = serve(&artifact);
    let home = TestHome::new();
    let store = home.store();
    pull(&store, &reference, &artifact).await;
    let top = Layer::from_entries([Entry::file("top", "1")]);
    let base: Vec<Layer> = (0..3)
        .map(|number| {
            let blob = artifact.blob(&artifact.layer_digest(number));
            let mut tar = Vec::new();
            std::io::copy(&mut flate2::read::GzDecoder::new(&blob[..]), &mut tar).unwrap();
            Layer::from_tar(&tar, Compression::Gzip)
        })
        .collect();
    let derived = Image::new(base).layer(top.clone()).build();
    registry.push("library/app", "2", &derived);
    registry.clear_requests();
    let pulled = pull(&store, &registry.reference("library/app:2"), &derived).await;
    let blobs = registry.requests_for(&Target::Blobs);
    assert_eq!(blobs.len(), 2, "the configuration and the layer on top: {:?}", summary(&registry));
    let own = (top.blob.len() + derived.manifest.len() + derived.blob(&derived.config_digest()).len()) as u64;
    assert_eq!(pulled.bytes_fetched, own);
}

#[tokio::test]
async fn a_follower_takes_over_from_a_leader_that_was_cancelled() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let (gate, layer) = (Gate::new(), artifact.layer_digest(0));
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::HoldAfter(20_000, gate.clone())));
    let home = TestHome::new();
    let (leader, follower) = (home.store(), home.store());
    let cancel = CancellationToken::new();
    let leading = {
        let (reference, options) =
            (reference.clone(), PullOptions { cancel: cancel.clone(), ..PullOptions::default() });
        tokio::spawn(async move { leader.pull(&reference, options).await })
    };
    gate.reached().await;
    let (waits, mut waiting) = tokio::sync::watch::channel(false);
    let progress = move |event| {
        if matches!(event, PullEvent::LayerWaiting { .. }) {
            waits.send_replace(true);
        }
    };
    let options = PullOptions { progress: Some(std::sync::Arc::new(progress)), ..PullOptions::default() };
    let following = tokio::spawn(async move { follower.pull(&reference, options).await });
    waiting.wait_for(|waiting| *waiting).await.unwrap();
    cancel.cancel();
    assert_eq!(leading.await.unwrap().unwrap_err().code(), ErrorCode::Cancelled);
    assert_eq!(following.await.unwrap().unwrap().id, artifact.digest());
    assert_eq!(blob(&registry, layer).len(), 2, "{:?}", summary(&registry));
}

#[tokio::test]
async fn the_policy_says_when_the_registry_is_asked() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let home = TestHome::new();
    let store = home.store();
    let with = |policy| PullOptions { policy, ..PullOptions::default() };
    let refused = store.pull(&reference, with(PullPolicy::Never)).await.unwrap_err();
    assert_eq!((refused.code(), registry.requests().len()), (ErrorCode::NotFound, 0));
    store.pull(&reference, with(PullPolicy::Missing)).await.unwrap();
    registry.clear_requests();
    for policy in [PullPolicy::Missing, PullPolicy::Never] {
        assert!(store.pull(&reference, with(policy)).await.unwrap().cached);
    }
    assert_eq!(registry.requests().len(), 0);

    // The tag moves on: only `always` sees it.
    let newer = image(2);
    registry.push("library/app", "1", &newer);
    assert_eq!(store.pull(&reference, with(PullPolicy::Missing)).await.unwrap().id, artifact.digest());
    assert_eq!(store.pull(&reference, with(PullPolicy::Always)).await.unwrap().id, newer.digest());
}

/// A good and a bad image over the same base, at one registry; the layers on top can be held.
struct Rivals {
    registry: Registry,
    good: Artifact,
    bad: Artifact,
    base: Digest,
}

impl Rivals {
    fn new() -> Self {
        let base = Layer::from_entries([Entry::file("base", library_like(100_000, 1))]);
        let good = Layer::from_entries([Entry::file("good", library_like(50_000, 2))]);
        let lying = Layer::from_blob(good.blob.slice(..5000), base.diff_id, Compression::Gzip);
        let digest = base.digest();
        let (good, bad) = (Image::new([base.clone(), good]).build(), Image::new([base, lying]).build());
        let registry = Registry::start();
        registry.push("library/good", "1", &good);
        registry.push("library/bad", "1", &bad);
        Rivals { registry, good, bad, base: digest }
    }

    /// Stops the download of the layer on top of an image.
    fn hold(&self, artifact: &Artifact) -> Gate {
        let gate = Gate::new();
        let top = Target::Blob(artifact.layer_digest(1));
        self.registry.script(Rule::on(top).with(Fault::HoldAfter(100, gate.clone())));
        gate
    }

    /// Starts a pull, and returns once it has come to the gate and is done with the base.
    async fn start(
        &self,
        store: &ImageStore,
        name: &str,
        gate: &Gate,
    ) -> JoinHandle<boxlite_types::Result<PulledImage>> {
        let (done, mut based) = tokio::sync::watch::channel(false);
        let base = self.base;
        let progress = move |event| {
            let (PullEvent::LayerDone { digest } | PullEvent::LayerCached { digest }) = event else { return };
            if digest == base {
                done.send_replace(true);
            }
        };
        let options = PullOptions { progress: Some(std::sync::Arc::new(progress)), ..PullOptions::default() };
        let (store, reference) = (store.clone(), self.registry.reference(&format!("library/{name}:1")));
        let pulling = tokio::spawn(async move { store.pull(&reference, options).await });
        gate.reached().await;
        based.wait_for(|based| *based).await.unwrap();
        pulling
    }

    async fn check_good(&self, home: &TestHome, pulled: boxlite_types::Result<PulledImage>) {
        assert_eq!(pulled.unwrap().id, self.good.digest());
        let report = home.store().check(false).await.unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!(home.locked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_bad_image_does_not_take_away_what_a_pull_in_flight_relies_on() {
    // The good pull has brought the base in; the bad one finds it there.
    let (home, rivals) = (TestHome::new(), Rivals::new());
    let gate = rivals.hold(&rivals.good);
    let good = rivals.start(&home.store(), "good", &gate).await;
    let error = home.store().pull(&rivals.registry.reference("library/bad:1"), PullOptions::default()).await;
    error.unwrap_err();
    gate.open();
    rivals.check_good(&home, good.await.unwrap()).await;
}

#[tokio::test]
async fn a_bad_image_does_not_take_back_a_layer_that_another_pull_has_found() {
    // The bad pull has brought the base in; the good one finds it there, and is not done when the bad one fails.
    let (home, rivals) = (TestHome::new(), Rivals::new());
    let (bad_gate, good_gate) = (rivals.hold(&rivals.bad), rivals.hold(&rivals.good));
    let bad = rivals.start(&home.store(), "bad", &bad_gate).await;
    let good = rivals.start(&home.store(), "good", &good_gate).await;
    bad_gate.open();
    bad.await.unwrap().unwrap_err();
    good_gate.open();
    rivals.check_good(&home, good.await.unwrap()).await;
    assert_eq!(blob(&rivals.registry, rivals.base).len(), 1);
}

#[tokio::test]
async fn a_bad_image_does_not_take_back_a_layer_that_an_image_has_come_to_use() {
    // The bad pull has brought the base in; the good one is done before the bad one fails.
    let (home, rivals) = (TestHome::new(), Rivals::new());
    let gate = rivals.hold(&rivals.bad);
    let bad = rivals.start(&home.store(), "bad", &gate).await;
    let good = home.store().pull(&rivals.registry.reference("library/good:1"), PullOptions::default()).await;
    gate.open();
    bad.await.unwrap().unwrap_err();
    rivals.check_good(&home, good).await;
}
