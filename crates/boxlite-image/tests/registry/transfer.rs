use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boxlite_image::{ImageOptions, PullOptions};
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_types::{ErrorCode, PullEvent};

use super::{blob, image, pull, serve, summary};
use crate::common::TestHome;

#[tokio::test]
async fn a_pull_asks_for_each_thing_once_and_says_what_it_accepts() {
    let artifact = image(2);
    let (registry, reference) = serve(&artifact);
    let home = TestHome::new();
    let pulled = pull(&home.store(), &reference, &artifact).await;
    let requests = registry.requests();
    assert_eq!(requests.iter().filter(|r| r.path.contains("/manifests/")).count(), 1);
    assert_eq!(requests.iter().filter(|r| r.path.contains("/blobs/")).count(), 3);
    let accept = requests
        .iter()
        .find(|r| r.path.contains("/manifests/"))
        .unwrap()
        .header("accept")
        .unwrap()
        .to_owned();
    for media_type in
        ["oci.image.index.v1", "oci.image.manifest.v1", "manifest.list.v2", "distribution.manifest.v2"]
    {
        assert!(accept.contains(media_type), "{accept}");
    }
    let blobs: u64 = artifact.blobs.values().map(|blob| blob.len() as u64).sum();
    assert_eq!(pulled.bytes_fetched, blobs + artifact.manifest.len() as u64);
    assert!(!pulled.cached);
}

#[tokio::test]
async fn what_is_held_is_not_asked_for_again() {
    let artifact = image(2);
    let (registry, reference) = serve(&artifact);
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    registry.clear_requests();
    let pulled = pull(&home.store(), &reference, &artifact).await;
    assert!(pulled.cached);
    assert!(registry.requests_for(&Target::Blobs).is_empty(), "{:?}", summary(&registry));
    assert_eq!(registry.requests_for(&Target::Manifests).len(), 1);
}

/// Breaks the first answer off after 20,000 bytes, answers the next as `fault` says, and checks which ranges were asked for
/// and what was answered.
async fn check_resume(faults: &[Fault], expect: &[(Option<&str>, u16)]) {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let layer = Target::Blob(artifact.layer_digest(0));
    registry.script(Rule::on(layer.clone()).nth(1).with(Fault::CutAfter(20_000)));
    let again = faults.iter().cloned().fold(Rule::on(layer).nth(2), Rule::with);
    registry.script(again);
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    let requests = blob(&registry, artifact.layer_digest(0));
    let seen: Vec<(Option<&str>, u16)> = requests.iter().map(|r| (r.range(), r.status)).collect();
    assert_eq!(seen, expect, "{faults:?}");
}

#[tokio::test]
async fn a_body_that_was_cut_goes_on_where_it_stopped() {
    check_resume(&[], &[(None, 200), (Some("bytes=20000-"), 206)]).await;
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_is_read_from_the_start() {
    check_resume(&[Fault::IgnoreRange], &[(None, 200), (Some("bytes=20000-"), 200)]).await;
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_taken() {
    let expect = [(None, 200), (Some("bytes=20000-"), 206), (None, 200)];
    check_resume(&[Fault::RangeFrom(10)], &expect).await;
    check_resume(&[Fault::RangeFrom(30_000)], &expect).await;
    check_resume(&[Fault::Header("Content-Range", "bytes 20000-20001/70000".into())], &expect).await;
    check_resume(&[Fault::Header("Content-Range", "nonsense".into())], &expect).await;
    check_resume(&[Fault::NoHeader("Content-Range"), Fault::Header("Content-Range", String::new())], &expect)
        .await;
}

#[tokio::test]
async fn a_range_that_cannot_be_satisfied_is_asked_for_whole() {
    let expect = [(None, 200), (Some("bytes=20000-"), 416), (None, 200)];
    check_resume(&[Fault::Status(416)], &expect).await;
}

#[tokio::test]
async fn a_range_may_be_cut_and_go_on_too() {
    let expect = [(None, 200), (Some("bytes=20000-"), 206), (Some("bytes=25000-"), 206)];
    check_resume(&[Fault::CutAfter(5000)], &expect).await;
}

#[tokio::test]
async fn a_range_without_a_length_is_taken_by_its_label() {
    check_resume(&[Fault::Chunked], &[(None, 200), (Some("bytes=20000-"), 206)]).await;
}

#[tokio::test]
async fn a_range_with_the_wrong_bytes_under_the_right_label_is_found_out() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let (layer, size) = (artifact.layer_digest(0), artifact.blob(&artifact.layer_digest(0)).len());
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::CutAfter(20_000)));
    let label = format!("bytes 20000-{}/{size}", size - 1);
    let mut other = artifact.blob(&layer).to_vec();
    other[20_000..].iter_mut().for_each(|byte| *byte ^= 1);
    let lie = Rule::on(Target::Blob(layer)).nth(2);
    registry.script(lie.with(Fault::Body(other.into())).with(Fault::Header("Content-Range", label)));
    let home = TestHome::new();
    let store = home.store();
    let error = store.pull(&reference, PullOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DigestMismatch, "{error:?}");
    // Nothing of it is kept, so that the next pull starts anew and succeeds.
    pull(&store, &reference, &artifact).await;
    assert_eq!(blob(&registry, layer)[2].range(), None);
}

#[tokio::test]
async fn a_reset_connection_goes_on_from_what_arrived() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let layer = artifact.layer_digest(0);
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::ResetAfter(20_000)));
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    let requests = blob(&registry, layer);
    assert_eq!(requests.len(), 2);
    // A reset may overtake bytes that were sent, but never makes up others.
    if let Some(range) = requests[1].range() {
        let start: u64 = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
        assert!((1..=20_000).contains(&start), "{range}");
    }
}

#[tokio::test]
async fn a_download_that_stalls_is_given_up_and_resumed() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let (gate, layer) = (Gate::new(), artifact.layer_digest(0));
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::HoldAfter(20_000, gate.clone())));
    let home = TestHome::new();
    let options = ImageOptions { stall_timeout: Duration::from_millis(300), ..home.options() };
    pull(&home.store_with(options), &reference, &artifact).await;
    gate.abandoned().await;
    assert_eq!(blob(&registry, layer)[1].range(), Some("bytes=20000-"));
}

#[tokio::test]
async fn failures_that_pass_are_tried_again_and_said() {
    for fault in
        [Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::HangUp, Fault::Status(429)]
    {
        let artifact = image(1);
        let (registry, reference) = serve(&artifact);
        registry.script(Rule::on(Target::Manifests).first(2).with(fault.clone()));
        registry.script(Rule::on(Target::Blobs).first(1).with(fault.clone()));
        let home = TestHome::new();
        let retries: Arc<Mutex<Vec<u32>>> = Arc::default();
        let seen = retries.clone();
        let progress = move |event| {
            if let PullEvent::Retrying { attempt, reason, .. } = event {
                assert!(!reason.is_empty());
                seen.lock().unwrap().push(attempt);
            }
        };
        let options = PullOptions { progress: Some(Arc::new(progress)), ..PullOptions::default() };
        home.store().pull(&reference, options).await.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        assert_eq!(registry.requests_for(&Target::Manifests).len(), 3, "{fault:?}");
        assert_eq!(*retries.lock().unwrap(), [2, 3, 2], "{fault:?}");
    }
}

#[tokio::test]
async fn a_registry_that_asks_to_wait_is_given_the_time() {
    for status in [429, 503] {
        let artifact = image(1);
        let (registry, reference) = serve(&artifact);
        let wait = Fault::Header("Retry-After", "1".into());
        registry.script(Rule::on(Target::Manifests).nth(1).with(wait).with(Fault::Status(status)));
        let home = TestHome::new();
        let started = Instant::now();
        pull(&home.store(), &reference, &artifact).await;
        assert!(started.elapsed() >= Duration::from_secs(1), "{status}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_more_time_than_is_had_is_not_asked_again() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let wait = Fault::Header("Retry-After", "3600".into());
    registry.script(Rule::on(Target::Manifests).with(wait).with(Fault::Status(429)));
    let home = TestHome::new();
    let error = home.store().pull(&reference, PullOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::RateLimited);
    assert!(error.is_retryable() && error.message().contains("3600"), "{error:?}");
    assert_eq!(registry.requests_for(&Target::Manifests).len(), 1);
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for status in [400, 403, 404] {
        let artifact = image(1);
        let (registry, reference) = serve(&artifact);
        registry.script(Rule::on(Target::Manifests).with(Fault::Status(status)));
        let home = TestHome::new();
        home.store().pull(&reference, PullOptions::default()).await.unwrap_err();
        assert_eq!(registry.requests_for(&Target::Manifests).len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_partial_download_survives_its_process_and_is_resumed() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let layer = artifact.layer_digest(0);
    registry.script(Rule::on(Target::Blob(layer)).first(3).with(Fault::CutAfter(10_000)));
    let home = TestHome::new();
    let error = home.store().pull(&reference, PullOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Network);
    pull(&home.store(), &reference, &artifact).await;
    let ranges: Vec<_> = blob(&registry, layer).iter().map(|r| r.range().map(str::to_owned)).collect();
    let expect = [None, Some("bytes=10000-"), Some("bytes=20000-"), Some("bytes=30000-")];
    assert_eq!(ranges, expect.map(|range| range.map(str::to_owned)));
}

/// Leaves a partial download, spoils it, and checks that the next pull gets the true image, with these requests.
async fn check_spoiled_partial(spoil: fn(&mut Vec<u8>), expect: &[Option<&str>]) {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let layer = artifact.layer_digest(0);
    registry.script(Rule::on(Target::Blob(layer)).with(Fault::CutAfter(10_000)));
    let home = TestHome::new();
    home.store().pull(&reference, PullOptions::default()).await.unwrap_err();
    let partial = home.home().ingest().join(format!("blob-{}.partial", layer.hex()));
    let mut bytes = crate::common::read(&partial);
    assert_eq!(bytes.len(), 30_000);
    spoil(&mut bytes);
    std::fs::write(&partial, bytes).unwrap();
    registry.heal();
    registry.clear_requests();
    pull(&home.store(), &reference, &artifact).await;
    let ranges: Vec<_> = blob(&registry, layer).iter().map(|r| r.range().map(str::to_owned)).collect();
    assert_eq!(ranges, expect.iter().map(|range| range.map(str::to_owned)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_partial_download_that_was_damaged_is_fetched_anew() {
    check_spoiled_partial(|bytes| bytes[5] ^= 1, &[Some("bytes=30000-"), None]).await;
    check_spoiled_partial(|bytes| bytes.resize(10 << 20, 0), &[None]).await;
    check_spoiled_partial(|bytes| bytes.truncate(7), &[Some("bytes=7-")]).await;
    check_spoiled_partial(Vec::clear, &[None]).await;
}
