//! Every kind of damage is found, repaired as far as it can be without the network, and then not found again.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use boxlite_image::{ImageStore, PullOptions};
use boxlite_testkit::images::{Artifact, Entry, Image, Index, Layer, library_like};
use boxlite_testkit::registry::{Registry, Target};
use boxlite_types::Home;
use common::TestHome;

/// A home with one image, pulled through an index.
struct Scene {
    home: TestHome,
    registry: Registry,
    store: ImageStore,
    image: Artifact,
    index: Artifact,
    layer: Layer,
}

impl Scene {
    async fn new() -> Self {
        let (home, registry) = (TestHome::new(), Registry::start());
        let layer = Layer::from_entries([Entry::file("file", library_like(200_000, 1))]);
        let image = Image::new([layer.clone(), Layer::from_entries([Entry::file("other", "x")])]).build();
        let index = Index::new([image.clone()]).build();
        registry.push("app", "1", &index);
        let store = home.store();
        let scene = Scene { home, registry, store, image, index, layer };
        scene.pull().await;
        scene
    }

    async fn pull(&self) {
        self.store.pull(&self.registry.reference("app:1"), PullOptions::default()).await.unwrap();
    }

    fn merged(&self) -> PathBuf {
        let mut merged = self.home.home().rootfs().read_dir().unwrap();
        merged.next().unwrap().unwrap().path()
    }

    async fn kinds(&self, repair: bool) -> Vec<(String, bool)> {
        let report = self.store.check(repair).await.unwrap();
        report.findings.into_iter().map(|finding| (finding.kind, finding.repaired)).collect()
    }
}

fn flip_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Damages a home, and checks what is found, that a repair leaves nothing to be found, that the image survives the repair
/// if `survives`, and how many blobs the next pull then has to ask for.
async fn check(kinds: &[&str], survives: bool, fetched: usize, damage: impl Fn(&Scene, &Home)) {
    let scene = Scene::new().await;
    damage(&scene, &scene.home.home());
    let found: Vec<(String, bool)> = kinds.iter().map(|kind| (kind.to_string(), false)).collect();
    assert_eq!(scene.kinds(false).await, found);
    let repaired: Vec<(String, bool)> = kinds.iter().map(|kind| (kind.to_string(), true)).collect();
    assert_eq!(scene.kinds(true).await, repaired);
    assert_eq!(scene.kinds(false).await, [], "after the repair of {kinds:?}");
    let held = scene.store.get(&scene.image.digest().hex(), None).await;
    assert_eq!(held.is_ok(), survives, "{kinds:?}");
    if survives {
        scene.store.root(&scene.image.digest()).await.unwrap();
    }
    scene.registry.clear_requests();
    scene.pull().await;
    assert_eq!(scene.registry.requests_for(&Target::Blobs).len(), fetched, "{kinds:?}");
    assert_eq!(scene.kinds(false).await, [], "after a pull upon {kinds:?}");
    scene.store.root(&scene.image.digest()).await.unwrap();
    assert!(scene.home.locked().is_empty());
}

#[tokio::test]
async fn a_sound_home_has_nothing_to_find_and_is_read_whole() {
    let scene = Scene::new().await;
    let report = scene.store.check(false).await.unwrap();
    assert_eq!(report.findings, []);
    assert!(report.bytes_hashed > 200_000 + scene.layer.blob.len() as u64);
    assert!(report.examined >= 9, "{}", report.examined);
}

#[tokio::test]
async fn blobs_of_layers() {
    check(&["corrupt-blob"], true, 0, |scene, home| flip_byte(&home.blob(&scene.layer.digest()))).await;
    // The layer itself is here; its blob is fetched again if ever it has to be converted anew.
    check(&[], true, 0, |scene, home| fs::remove_file(home.blob(&scene.layer.digest())).unwrap()).await;
}

#[tokio::test]
async fn layers_are_converted_again_from_their_blobs() {
    let layer = |scene: &Scene, home: &Home| home.layer(&scene.layer.diff_id);
    check(&["corrupt-layer"], true, 0, |scene, home| flip_byte(&layer(scene, home).join("data"))).await;
    check(&["corrupt-layer"], true, 0, |scene, home| flip_byte(&layer(scene, home).join("index"))).await;
    check(&["missing-layer"], true, 0, |scene, home| {
        fs::remove_file(layer(scene, home).join("data")).unwrap()
    })
    .await;
    check(&["missing-layer"], true, 0, |scene, home| fs::remove_dir_all(layer(scene, home)).unwrap()).await;
}

#[tokio::test]
async fn a_layer_that_is_lost_with_its_blob_is_the_only_thing_fetched_again() {
    check(&["missing-layer"], false, 1, |scene, home| {
        fs::remove_dir_all(home.layer(&scene.layer.diff_id)).unwrap();
        fs::remove_file(home.blob(&scene.layer.digest())).unwrap();
    })
    .await;
    check(&["corrupt-blob", "missing-layer"], false, 1, |scene, home| {
        fs::remove_dir_all(home.layer(&scene.layer.diff_id)).unwrap();
        flip_byte(&home.blob(&scene.layer.digest()));
    })
    .await;
}

#[tokio::test]
async fn merged_trees_are_merged_again() {
    check(&["corrupt-rootfs"], true, 0, |scene, _| flip_byte(&scene.merged())).await;
    check(&["missing-rootfs"], true, 0, |scene, _| fs::remove_file(scene.merged()).unwrap()).await;
}

#[tokio::test]
async fn documents_are_fetched_again() {
    check(&["corrupt-blob"], false, 0, |scene, home| flip_byte(&home.blob(&scene.image.digest()))).await;
    check(&["missing-blob"], false, 0, |scene, home| {
        fs::remove_file(home.blob(&scene.image.digest())).unwrap()
    })
    .await;
    check(&["corrupt-blob"], false, 1, |scene, home| flip_byte(&home.blob(&scene.image.config_digest())))
        .await;
    check(&["corrupt-blob"], true, 0, |scene, home| flip_byte(&home.blob(&scene.index.digest()))).await;
    check(&["missing-blob"], true, 0, |scene, home| {
        fs::remove_file(home.blob(&scene.index.digest())).unwrap()
    })
    .await;
}

#[tokio::test]
async fn files_without_a_row_are_garbage() {
    check(&["orphan-file"], true, 0, |_, home| fs::write(home.blobs().join("1".repeat(64)), "x").unwrap())
        .await;
    check(&["orphan-file"], true, 0, |_, home| fs::write(home.blobs().join("stray"), "x").unwrap()).await;
    check(&["orphan-file"], true, 0, |_, home| fs::create_dir(home.layers().join("1".repeat(64))).unwrap())
        .await;
    check(&["orphan-file"], true, 0, |_, home| {
        fs::write(home.rootfs().join(format!("{}.erofs", "1".repeat(64))), "").unwrap()
    })
    .await;
    check(&["orphan-file"], true, 0, |_, home| fs::write(home.ingest().join("stray"), "x").unwrap()).await;
}

#[tokio::test]
async fn an_image_that_a_box_needs_waits_for_a_pull() {
    let scene = Scene::new().await;
    let connection = rusqlite::Connection::open(scene.home.home().database()).unwrap();
    connection
        .execute(
            "INSERT INTO boxes (id, image, image_id, config, spec, state, created_at) VALUES ('b', 'x', ?1, '{}', '{}', 'created', 0)",
            [scene.image.digest().to_string()],
        )
        .unwrap();
    fs::remove_dir_all(scene.home.home().layer(&scene.layer.diff_id)).unwrap();
    fs::remove_file(scene.home.home().blob(&scene.layer.digest())).unwrap();
    assert_eq!(scene.kinds(true).await, [("missing-layer".to_owned(), false)]);
    scene.pull().await;
    assert_eq!(scene.kinds(false).await, []);
    scene.store.root(&scene.image.digest()).await.unwrap();
}
