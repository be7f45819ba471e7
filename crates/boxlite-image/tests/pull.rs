//! What a pull of an honest image does: once fetched, twice used, and never more of it than is missing.

mod common;

use std::sync::{Arc, Mutex};

use boxlite_image::{PullOptions, RegistryOptions};
use boxlite_testkit::images::{Artifact, Compression, Entry, Image, Index, Layer, library_like};
use boxlite_testkit::registry::{Registry, Target};
use boxlite_types::{ErrorCode, PullEvent, PullPolicy};
use common::{TestHome, read};

/// Options that write every event down.
fn recorded(policy: PullPolicy) -> (PullOptions, Arc<Mutex<Vec<PullEvent>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let progress = Some(Arc::new(move |event| sink.lock().unwrap().push(event)) as boxlite_image::PullSink);
    (PullOptions { policy, progress, ..PullOptions::default() }, events)
}

fn layer(name: &str, seed: u64, compression: Compression) -> Layer {
    let content = library_like(300_000, seed);
    Layer::packed([Entry::directory("usr"), Entry::file(format!("usr/{name}"), content)], compression)
}

/// An image with a layer of each compression.
fn varied() -> Image {
    Image::new([
        layer("gzip", 1, Compression::Gzip),
        layer("members", 2, Compression::GzipMembers(3)),
        layer("zstd", 3, Compression::Zstd),
        layer("frames", 4, Compression::ZstdFrames(3)),
        layer("plain", 5, Compression::None),
    ])
}

fn blob_requests(registry: &Registry) -> usize {
    registry.requests_for(&Target::Blobs).len()
}

#[tokio::test]
async fn an_image_of_every_compression_is_held_byte_for_byte() {
    let (home, registry) = (TestHome::new(), Registry::start());
    for (tag, artifact) in [("oci", varied().build()), ("docker", varied().docker().build())] {
        registry.push("app", tag, &artifact);
        let store = home.store();
        let reference = registry.reference(&format!("app:{tag}"));
        let pulled = store.pull(&reference, PullOptions::default()).await.unwrap();
        assert_eq!((pulled.reference.as_str(), pulled.id), (reference.as_str(), artifact.digest()));
        assert_eq!((pulled.layer_count, pulled.config_digest), (5, artifact.config_digest()));
        assert_eq!(read(&home.home().blob(&artifact.digest())), artifact.manifest);
        for (digest, blob) in &artifact.blobs {
            assert!(read(&home.home().blob(digest)) == *blob, "{digest}");
        }
        let details = store.inspect(&reference, None).await.unwrap();
        assert_eq!(details.layers.len(), 5);
        assert_eq!(details.config.command, ["/bin/sh"]);
        let blob_bytes: u64 = artifact.blobs.values().map(|blob| blob.len() as u64).sum();
        assert_eq!(details.info.size_bytes, blob_bytes);
        assert_eq!(details.info.unpacked_bytes, 5 * 300_000);
        let (disk, _) = store.root(&pulled.id).await.unwrap();
        assert_eq!(disk.extents.len(), 6);
    }
    assert_eq!(home.store().check(false).await.unwrap().findings, []);
    assert!(home.locked().is_empty());
}

#[tokio::test]
async fn a_second_tag_fetches_nothing_and_works_on_no_layer() {
    let (home, registry) = (TestHome::new(), Registry::start());
    let artifact = varied().build();
    registry.push("app", "one", &artifact);
    registry.push("app", "two", &artifact);
    let store = home.store();
    store.pull(&registry.reference("app:one"), PullOptions::default()).await.unwrap();
    registry.clear_requests();
    let before = home.files();
    let (options, events) = recorded(PullPolicy::Always);
    let pulled = store.pull(&registry.reference("app:two"), options).await.unwrap();
    assert!(pulled.cached);
    assert_eq!(pulled.bytes_fetched, artifact.manifest.len() as u64);
    assert_eq!(blob_requests(&registry), 0);
    assert_eq!(before.difference(&home.files()), Vec::<String>::new());
    let events = events.lock().unwrap();
    assert!(
        matches!(events[..], [PullEvent::Resolving { .. }, PullEvent::Done { cached: true, .. }]),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_derived_image_costs_its_own_layer() {
    let (home, registry) = (TestHome::new(), Registry::start());
    registry.push("app", "base", &varied().build());
    let top = layer("top", 9, Compression::Gzip);
    let derived = varied().layer(top.clone()).build();
    registry.push("app", "derived", &derived);
    let store = home.store();
    store.pull(&registry.reference("app:base"), PullOptions::default()).await.unwrap();
    registry.clear_requests();
    let (options, events) = recorded(PullPolicy::Always);
    let pulled = store.pull(&registry.reference("app:derived"), options).await.unwrap();
    let expected = derived.manifest.len() + derived.blob(&derived.config_digest()).len() + top.blob.len();
    assert_eq!((pulled.bytes_fetched, pulled.cached), (expected as u64, false));
    assert_eq!(blob_requests(&registry), 2);
    let cached =
        events.lock().unwrap().iter().filter(|event| matches!(event, PullEvent::LayerCached { .. })).count();
    assert_eq!(cached, 5);
}

#[tokio::test]
async fn policies_ask_the_registry_always_once_or_never() {
    let (home, registry) = (TestHome::new(), Registry::start());
    registry.push("app", "1", &varied().build());
    let reference = registry.reference("app:1");
    let store = home.store();
    let pull = async |policy| store.pull(&reference, PullOptions { policy, ..PullOptions::default() }).await;

    let error = pull(PullPolicy::Never).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert_eq!(registry.requests().len(), 0);

    assert!(!pull(PullPolicy::Missing).await.unwrap().cached);
    registry.clear_requests();
    for policy in [PullPolicy::Missing, PullPolicy::Never] {
        let pulled = pull(policy).await.unwrap();
        assert!(pulled.cached && pulled.bytes_fetched == 0);
    }
    assert_eq!(registry.requests().len(), 0);

    let newer = Image::new([layer("newer", 7, Compression::Gzip)]).build();
    registry.push("app", "1", &newer);
    assert_eq!(pull(PullPolicy::Always).await.unwrap().id, newer.digest());
    // The image the tag has left was nobody's any more.
    assert_eq!(store.list().await.unwrap().len(), 1);
    assert_eq!(store.usage().await.unwrap().images, 1);
    assert_eq!(store.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn one_name_is_held_for_several_platforms() {
    let (home, registry) = (TestHome::new(), Registry::start());
    let children = ["linux/amd64", "linux/arm64/v8", "linux/arm/v6"].map(|platform| {
        Image::new([layer(platform.rsplit('/').next().unwrap(), 1, Compression::Gzip)])
            .platform(platform)
            .build()
    });
    let index = Index::new(children.clone()).build();
    registry.push("app", "1", &index);
    let store = home.store();
    let reference = registry.reference("app:1");
    for (wanted, child) in [("linux/amd64", 0), ("linux/arm64", 1), ("linux/arm/v7", 2)] {
        let wanted = wanted.parse().unwrap();
        let options = PullOptions { platform: Some(wanted), ..PullOptions::default() };
        let platform = options.platform.clone();
        assert_eq!(store.pull(&reference, options).await.unwrap().id, children[child].digest());
        assert_eq!(store.get(&reference, platform.as_ref()).await.unwrap().id, children[child].digest());
    }
    assert_eq!(store.list().await.unwrap().len(), 3);
    let by_index = registry.reference(&format!("app@{}", index.digest()));
    assert!(store.pull(&by_index, PullOptions::default()).await.unwrap().cached);
    assert_eq!(store.remove(&reference, false).await.unwrap().deleted.len(), 2);
    assert_eq!(store.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn an_image_of_no_layers_and_one_of_repeated_layers_are_images() {
    let (home, registry) = (TestHome::new(), Registry::start());
    let empty = Layer::from_entries([]);
    let cases: [(&str, Artifact); 2] = [
        ("none", Image::new([]).build()),
        (
            "repeated",
            Image::new([empty.clone(), layer("a", 1, Compression::Gzip), empty.clone(), empty]).build(),
        ),
    ];
    let store = home.store();
    for (tag, artifact) in cases {
        registry.push("app", tag, &artifact);
        let reference = registry.reference(&format!("app:{tag}"));
        let pulled = store.pull(&reference, PullOptions::default()).await.unwrap();
        assert_eq!(pulled.id, artifact.digest());
        store.root(&pulled.id).await.unwrap();
    }
    assert_eq!(store.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn one_layer_in_two_compressions_is_kept_once_and_both_are_verified() {
    let (home, registry) = (TestHome::new(), Registry::start());
    let (gzip, zstd) = (layer("a", 1, Compression::Gzip), layer("a", 1, Compression::Zstd));
    registry.push("app", "gzip", &Image::new([gzip]).build());
    registry.push("app", "zstd", &Image::new([zstd.clone()]).build());
    let store = home.store();
    store.pull(&registry.reference("app:gzip"), PullOptions::default()).await.unwrap();
    registry.clear_requests();
    store.pull(&registry.reference("app:zstd"), PullOptions::default()).await.unwrap();
    assert_eq!(blob_requests(&registry), 1, "its configuration is the same, its blob is another");
    assert!(read(&home.home().blob(&zstd.digest())) == zstd.blob);
    assert_eq!(home.home().layers().read_dir().unwrap().count(), 1);
    store.remove(&registry.reference("app:gzip"), false).await.unwrap();
    assert_eq!(store.check(false).await.unwrap().findings, []);
}

#[tokio::test]
async fn an_unqualified_name_goes_through_the_search_list_in_order() {
    let (home, first, second) = (TestHome::new(), Registry::start(), Registry::start());
    second.push("app", "latest", &varied().build());
    let search =
        |registry: &Registry| RegistryOptions { host: registry.host(), search: true, ..Default::default() };
    let mut options = home.options();
    options.registries = vec![search(&first), search(&second)];
    let store = home.store_with(options);
    let pulled = store.pull("app", PullOptions::default()).await.unwrap();
    assert_eq!(pulled.reference, second.reference("app:latest"));
    assert!(!first.requests_for(&Target::Manifests).is_empty());
    assert_eq!(store.get("app", None).await.unwrap().id, pulled.id);
    let error = store.pull("other", PullOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_pull_that_cannot_fit_is_refused_before_a_byte_of_a_layer() {
    let (home, registry) = (TestHome::new(), Registry::start());
    registry.push("app", "1", &varied().build());
    let mut options = home.options();
    options.free_space_reserve_bytes = u64::MAX / 2;
    let error = home
        .store_with(options)
        .pull(&registry.reference("app:1"), PullOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoSpace);
    assert_eq!(blob_requests(&registry), 1, "only the configuration");
}
