//! What is done with images that are held: list, get, tag, remove, with the rows of boxes in the way.

mod common;

use std::time::Instant;

use boxlite_image::{ImageStore, PullOptions};
use boxlite_testkit::images::{Artifact, Entry, Image, Layer, library_like};
use boxlite_testkit::registry::Registry;
use boxlite_types::{Context, ErrorCode};
use common::TestHome;

const LAYER_BYTES: usize = 200_000;

fn layer(seed: u64) -> Layer {
    Layer::from_entries([Entry::file(format!("file{seed}"), library_like(LAYER_BYTES, seed))])
}

/// A home with two images that share their lower layer, pulled as `app:one` and `app:two`.
struct Scene {
    home: TestHome,
    registry: Registry,
    store: ImageStore,
    one: Artifact,
    two: Artifact,
}

impl Scene {
    async fn new() -> Self {
        let (home, registry) = (TestHome::new(), Registry::start());
        let one = Image::new([layer(1), layer(2)]).build();
        let two = Image::new([layer(1), layer(3)]).build();
        let store = home.store();
        for (tag, artifact) in [("one", &one), ("two", &two)] {
            registry.push("app", tag, artifact);
            store.pull(&registry.reference(&format!("app:{tag}")), PullOptions::default()).await.unwrap();
        }
        Scene { home, registry, store, one, two }
    }

    fn name(&self, tag: &str) -> String {
        self.registry.reference(&format!("app:{tag}"))
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.home.home().database()).unwrap()
    }

    /// Adds the row of a box made from `reference`.
    fn add_box(&self, name: &str, reference: &str, image: &Artifact) {
        self.connection()
            .execute(
                "INSERT INTO boxes (id, name, image, image_id, config, spec, state, created_at) \
                 VALUES (?1, ?1, ?2, ?3, '{}', '{}', 'created', 0)",
                [name, reference, &image.digest().to_string()],
            )
            .unwrap();
    }

    fn remove_box(&self, name: &str) {
        self.connection().execute("DELETE FROM boxes WHERE id = ?1", [name]).unwrap();
    }

    /// Everything is sound, and what is in the store is what these images need.
    async fn check(&self, images: u64) {
        assert_eq!(self.store.check(false).await.unwrap().findings, []);
        assert_eq!(self.store.usage().await.unwrap().images, images);
    }
}

#[tokio::test]
async fn an_image_is_found_by_name_digest_and_beginning_of_an_id() {
    let scene = Scene::new().await;
    let id = scene.one.digest();
    let config = scene.one.config_digest();
    for text in [
        scene.name("one"),
        id.to_string(),
        id.hex(),
        id.hex()[..12].to_owned(),
        format!("sha256:{}", &id.hex()[..7]),
        config.hex()[..12].to_owned(),
    ] {
        assert_eq!(scene.store.get(&text, None).await.unwrap().id, id, "{text}");
    }
    let check = async |text: &str, expect| {
        let error = scene.store.get(text, None).await.unwrap_err();
        assert_eq!((error.code(), error.operation()), (expect, Some("images.get")), "{text}: {error}");
    };
    check(&scene.name("three"), ErrorCode::NotFound).await;
    check("sha256:0000000000000000", ErrorCode::NotFound).await;
    check("sha256:", ErrorCode::InvalidArgument).await;
    check("Nonsense Name", ErrorCode::InvalidArgument).await;
    check("app:one", ErrorCode::InvalidArgument).await;
    let wrong = scene.store.get(&scene.name("one"), Some(&"linux/s390x".parse().unwrap())).await.unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::PlatformMismatch);
}

#[tokio::test]
async fn an_ambiguous_beginning_is_refused() {
    let scene = Scene::new().await;
    let (one, two) = (scene.one.digest().hex(), scene.two.digest().hex());
    // Both ids are made to begin alike; nothing but their rows is looked at.
    let connection = scene.connection();
    connection.execute_batch("PRAGMA foreign_keys = off").unwrap();
    let forged = format!("{}{}", &one[..20], &two[20..]);
    for (table, column) in [("images", "id"), ("image_references", "image_id"), ("image_layers", "image_id")]
    {
        let statement = format!("UPDATE {table} SET {column} = ?1 WHERE {column} = ?2");
        connection.execute(&statement, [format!("sha256:{forged}"), format!("sha256:{two}")]).unwrap();
    }
    let error = scene.store.get(&one[..12], None).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert_eq!(scene.store.get(&one[..21], None).await.unwrap().id, scene.one.digest());
}

#[tokio::test]
async fn removing_frees_what_nobody_shares_and_nothing_else() {
    let scene = Scene::new().await;
    let before = scene.store.usage().await.unwrap();
    let removed = scene.store.remove(&scene.name("one"), false).await.unwrap();
    assert_eq!(removed.untagged, [scene.name("one")]);
    assert_eq!(removed.deleted, [scene.one.digest()]);
    let after = scene.store.usage().await.unwrap();
    let freed = before.blob_bytes + before.layer_bytes - after.blob_bytes - after.layer_bytes;
    assert_eq!(removed.bytes_freed, freed);
    assert!(freed > LAYER_BYTES as u64, "{freed}");
    assert!(!scene.home.home().layer(&layer(2).diff_id).exists());
    assert!(scene.home.home().layer(&layer(1).diff_id).exists());
    scene.check(1).await;

    scene.store.remove(&scene.two.digest().hex(), false).await.unwrap();
    scene.check(0).await;
    for directory in [scene.home.home().blobs(), scene.home.home().layers(), scene.home.home().rootfs()] {
        assert_eq!(directory.read_dir().unwrap().count(), 0, "{}", directory.display());
    }
    let error = scene.store.remove(&scene.name("one"), false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn an_image_stays_as_long_as_it_has_a_name() {
    let scene = Scene::new().await;
    let copy = scene.registry.reference("copy:1");
    let tagged = scene.store.tag(&scene.name("one"), &copy).await.unwrap();
    assert_eq!((tagged.reference.as_str(), tagged.id), (copy.as_str(), scene.one.digest()));
    let removed = scene.store.remove(&scene.name("one"), false).await.unwrap();
    assert_eq!((removed.deleted.len(), removed.bytes_freed), (0, 0));
    assert_eq!(scene.store.inspect(&copy, None).await.unwrap().references, std::slice::from_ref(&copy));
    scene.check(2).await;

    // Tagging over a name takes it from its image, which then goes.
    scene.store.tag(&scene.name("two"), &copy).await.unwrap();
    scene.check(1).await;

    let digest = scene.registry.reference(&format!("copy@{}", scene.one.digest()));
    for (source, target, expect) in [
        (scene.name("gone"), copy.clone(), ErrorCode::NotFound),
        (scene.name("two"), digest, ErrorCode::InvalidArgument),
        (scene.name("two"), "unqualified".into(), ErrorCode::InvalidArgument),
    ] {
        assert_eq!(scene.store.tag(&source, &target).await.unwrap_err().code(), expect, "{source} {target}");
    }
}

#[tokio::test]
async fn an_image_that_a_box_needs_is_not_removed() {
    let scene = Scene::new().await;
    let name = scene.name("one");
    scene.add_box("worker", &name, &scene.one);
    let error = scene.store.remove(&name, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InUse);
    assert_eq!(error.context()[&Context::Box], "worker");
    assert!(error.message().contains("worker"), "{error}");
    assert_eq!(scene.store.list().await.unwrap().len(), 2);

    // Another name of it may go; the one the box was made from may not, even while others are left.
    let copy = scene.registry.reference("copy:1");
    scene.store.tag(&name, &copy).await.unwrap();
    assert_eq!(scene.store.remove(&name, false).await.unwrap_err().code(), ErrorCode::InUse);
    scene.store.remove(&copy, false).await.unwrap();

    let removed = scene.store.remove(&name, true).await.unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len(), removed.bytes_freed), (1, 0, 0));
    scene.store.root(&scene.one.digest()).await.unwrap();
    assert_eq!(
        scene.store.get(&scene.one.digest().hex(), None).await.unwrap().reference,
        scene.one.digest().to_string()
    );
    scene.check(2).await;

    scene.remove_box("worker");
    let collected = scene.store.collect().await.unwrap();
    assert_eq!(collected.deleted, [scene.one.digest()]);
    assert!(collected.bytes_freed > 0);
    scene.check(1).await;
}

#[tokio::test]
async fn an_index_goes_with_the_last_name_found_in_it() {
    let scene = Scene::new().await;
    let index = boxlite_testkit::images::Index::new([scene.one.clone()]).build();
    scene.registry.push("app", "index", &index);
    scene.store.pull(&scene.name("index"), PullOptions::default()).await.unwrap();
    assert!(scene.home.home().blob(&index.digest()).exists());
    scene.store.remove(&scene.name("index"), false).await.unwrap();
    assert!(!scene.home.home().blob(&index.digest()).exists());
    scene.check(2).await;
}

#[tokio::test]
async fn an_export_is_one_file_and_holds_the_files_of_the_image() {
    let scene = Scene::new().await;
    let path = scene.home.beside("image.erofs");
    scene.store.export_erofs(&scene.name("one"), &path).await.unwrap();
    assert!(path.metadata().unwrap().len() > 2 * LAYER_BYTES as u64);
    let error = scene.store.export_erofs(&scene.name("none"), &path).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn ten_thousand_images_are_listed() {
    let scene = Scene::new().await;
    let mut connection = scene.connection();
    let transaction = connection.transaction().unwrap();
    for number in 0..10_000 {
        let id = format!("sha256:{number:064x}");
        transaction
            .execute(
                "INSERT INTO images SELECT ?1, config_digest, media_type, os, architecture, variant, chain_id, size_bytes, \
                 unpacked_bytes, created, layer_count, pulled_at, last_used_at, config, history FROM images WHERE id = ?2",
                [&id, &scene.one.digest().to_string()],
            )
            .unwrap();
        transaction
            .execute(
                "INSERT INTO image_references VALUES (?1, 'linux/amd64', 'h.example/app', ?2, ?3, NULL, 0)",
                [format!("h.example/app:{number}"), number.to_string(), id],
            )
            .unwrap();
    }
    transaction.commit().unwrap();
    // A new store, as a program that is started has one; the second list is that of one that runs.
    connection.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
    let store = scene.home.store();
    let mut listed = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        listed = store.list().await.unwrap();
        println!("10,002 images listed in {:?}", started.elapsed());
    }
    assert_eq!(listed.len(), 10_002);
    assert!(listed.is_sorted_by(|first, second| first.reference <= second.reference));
}
