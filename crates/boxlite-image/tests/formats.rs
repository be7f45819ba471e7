//! Every honest form an image can come in: compressions, media types, indexes and variants, odd but valid documents, odd but
//! harmless layers. Each is pulled; what is stored is byte for byte what was served.

mod common;

use boxlite_image::{ImageStore, PullOptions};
use boxlite_testkit::external::DockerRegistry;
use boxlite_testkit::images::{Artifact, Compression, Entry, Image, Index, Layer, library_like};
use boxlite_testkit::registry::{Auth, Fault, Registry, Rule, Target, Tokens};
use boxlite_testkit::tree::Tree;
use boxlite_types::{Digest, ErrorCode, PulledImage};
use common::{TestHome, read};

const COMPRESSIONS: [Compression; 7] = [
    Compression::Gzip,
    Compression::GzipMembers(2),
    Compression::GzipMembers(40),
    Compression::Zstd,
    Compression::ZstdFrames(1),
    Compression::ZstdFrames(7),
    Compression::None,
];

fn entries() -> [Entry; 5] {
    [
        Entry::directory("usr"),
        Entry::file("usr/library", library_like(300_000, 9)).mode(0o4755).owner(1, 2).modified(1_700_000_000),
        Entry::symlink("usr/link", "library"),
        Entry::hard_link("usr/hard", "usr/library"),
        Entry::file("usr/é\u{1F980}".to_owned() + &"long".repeat(40), "x").xattr("user.a", "b"),
    ]
}

fn serve(artifact: &Artifact) -> (Registry, String) {
    let registry = Registry::start();
    registry.push("library/app", "1", artifact);
    let reference = registry.reference("library/app:1");
    (registry, reference)
}

async fn pull(store: &ImageStore, reference: &str) -> PulledImage {
    let pulled =
        store.pull(reference, PullOptions::default()).await.unwrap_or_else(|error| panic!("{error:?}"));
    let report = store.check(false).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    pulled
}

/// Pulls an image into a home of its own; checks that it is stored as it was served, and returns its root filesystem.
async fn check_pulls(artifact: &Artifact) -> Tree {
    let (_registry, reference) = serve(artifact);
    let home = TestHome::new();
    let pulled = pull(&home.store(), &reference).await;
    assert_eq!(pulled.id, artifact.digest());
    check_stored(&home, artifact);
    Tree::of(&home.home().rootfs())
}

fn check_stored(home: &TestHome, artifact: &Artifact) {
    assert_eq!(read(&home.home().blob(&artifact.digest())), artifact.manifest, "the manifest, byte for byte");
    for (digest, blob) in &artifact.blobs {
        assert!(read(&home.home().blob(digest)) == *blob, "{digest} is not what was served");
    }
}

#[tokio::test]
async fn every_compression_in_both_families_of_media_types_gives_the_same_filesystem() {
    let mut first: Option<Tree> = None;
    for compression in COMPRESSIONS {
        let image = Image::new([Layer::packed(entries(), compression)]);
        for image in [image.clone(), image.docker()] {
            let tree = check_pulls(&image.build()).await;
            assert_eq!(tree.paths().count(), 1);
            let difference = first.get_or_insert_with(|| tree.clone()).difference(&tree);
            assert!(difference.is_empty(), "{compression:?}: {difference:?}");
        }
    }
}

#[tokio::test]
async fn the_same_layers_in_another_compression_are_another_image_of_the_same_filesystem() {
    let home = TestHome::new();
    let store = home.store();
    let registry = Registry::start();
    for (tag, compression) in [("1", Compression::Gzip), ("2", Compression::Zstd)] {
        let artifact = Image::new([Layer::packed(entries(), compression)]).build();
        registry.push("library/app", tag, &artifact);
        assert_eq!(
            pull(&store, &registry.reference(&format!("library/app:{tag}"))).await.id,
            artifact.digest()
        );
    }
    assert_eq!(std::fs::read_dir(home.home().rootfs()).unwrap().count(), 1);
    assert_eq!(store.list().await.unwrap().len(), 2);
}

/// Serves an index of these platforms, pulls for one, and checks which was chosen.
async fn check_choice(docker: bool, platforms: &[&str], wanted: &str, expect: Option<usize>) {
    let layer = Layer::from_entries([Entry::file("a", "1")]);
    let images = platforms.iter().map(|platform| Image::new([layer.clone()]).platform(platform).build());
    let images: Vec<Artifact> = images.collect();
    let index = Index::new(images.clone());
    let index = if docker { index.docker() } else { index }.build();
    let (registry, reference) = serve(&index);
    let home = TestHome::new();
    let store = home.store();
    let options = PullOptions { platform: Some(wanted.parse().unwrap()), ..PullOptions::default() };
    match (store.pull(&reference, options).await, expect) {
        (Ok(pulled), Some(place)) => {
            assert_eq!(pulled.id, images[place].digest(), "{wanted} of {platforms:?}");
            check_stored(&home, &images[place]);
            assert_eq!(read(&home.home().blob(&index.digest())), index.manifest, "the index, byte for byte");
            let manifests = registry.requests_for(&Target::Manifests);
            assert_eq!(manifests.len(), 2, "the index and the one manifest");
        }
        (Err(error), None) => {
            assert_eq!(error.code(), ErrorCode::PlatformMismatch, "{wanted} of {platforms:?}")
        }
        (outcome, _) => panic!("{wanted} of {platforms:?}: {outcome:?}"),
    }
}

#[tokio::test]
async fn the_platform_is_chosen_by_variant() {
    let arms = ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"];
    for docker in [false, true] {
        check_choice(docker, &arms, "linux/arm/v7", Some(2)).await;
        check_choice(docker, &arms, "linux/arm", Some(2)).await;
        check_choice(docker, &arms, "linux/arm/v6", Some(1)).await;
        check_choice(docker, &arms, "linux/arm64", Some(3)).await;
        check_choice(docker, &arms, "linux/amd64", None).await;
    }
    check_choice(false, &["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", Some(1)).await;
    check_choice(false, &["windows/amd64", "linux/amd64"], "linux/amd64", Some(1)).await;
    check_choice(false, &["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1)).await;
}

#[tokio::test]
async fn attestations_in_an_index_are_passed_over() {
    let image = Image::new([Layer::from_entries([Entry::file("a", "1")])]);
    let index = Index::new([image.clone().platform("unknown/unknown").build(), image.build()]).build();
    let (_registry, reference) = serve(&index);
    let home = TestHome::new();
    assert_eq!(pull(&home.store(), &reference).await.id, image.build().digest());
}

#[tokio::test]
async fn an_image_is_pulled_by_digest_with_or_without_a_tag() {
    let artifact = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
    let (registry, _) = serve(&artifact);
    let home = TestHome::new();
    let store = home.store();
    for name in ["library/app", "library/app:1", "library/app:no-such-tag"] {
        let reference = registry.reference(&format!("{name}@{}", artifact.digest()));
        let pulled = pull(&store, &reference).await;
        assert_eq!(pulled.reference, registry.reference(&format!("library/app@{}", artifact.digest())));
    }
    let asked = registry.requests_for(&Target::Manifests);
    assert!(asked.iter().all(|request| request.path.ends_with(&artifact.digest().to_string())), "{asked:?}");
}

#[tokio::test]
async fn a_manifest_need_not_say_its_media_type() {
    for content_type in
        ["application/vnd.oci.image.manifest.v1+json", "application/json", "text/plain; charset=utf-8"]
    {
        let artifact = Image::new([Layer::from_entries([Entry::file("a", "1")])])
            .edit_manifest(|manifest| {
                manifest.as_object_mut().unwrap().remove("mediaType");
            })
            .build();
        let (registry, reference) = serve(&artifact);
        registry.script(Rule::on(Target::Manifests).with(Fault::Header("Content-Type", content_type.into())));
        let home = TestHome::new();
        assert_eq!(pull(&home.store(), &reference).await.id, artifact.digest(), "{content_type}");
    }
}

#[tokio::test]
async fn a_registry_need_not_say_more_than_the_bytes() {
    let artifact = Image::new([Layer::from_entries(entries())]).build();
    let (registry, reference) = serve(&artifact);
    let bare = Rule::on(Target::Any)
        .with(Fault::NoHeader("Content-Type"))
        .with(Fault::NoHeader("Docker-Content-Digest"));
    registry.script(bare.with(Fault::NoHeader("Accept-Ranges")).with(Fault::UntilClose));
    let home = TestHome::new();
    assert_eq!(pull(&home.store(), &reference).await.id, artifact.digest());
}

#[tokio::test]
async fn a_manifest_may_be_formatted_in_any_way_and_is_kept_so() {
    let built = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
    let pretty = serde_json::to_string_pretty(&built.json()).unwrap() + "\n\n";
    let artifact = Artifact { manifest: pretty.into(), ..built };
    check_pulls(&artifact).await;
}

#[tokio::test]
async fn valid_layers_that_are_odd() {
    let packed = |tar: &[u8]| Layer::from_tar(tar, Compression::Gzip);
    // What docker makes of a step that changes nothing.
    check_pulls(&Image::new([packed(&[0; 1024])]).build()).await;
    // Blocks of zeros to a full record, as GNU tar writes them.
    let padded = [boxlite_testkit::images::tar(&entries()), vec![0; 9216]].concat();
    check_pulls(&Image::new([packed(&padded)]).build()).await;
    // What `git archive` puts in front: a pax header for all entries.
    let global = Entry::new(b'g', "pax_global_header").data("19 comment=abcdefg\n");
    check_pulls(&Image::new([Layer::from_entries([global, Entry::file("a", "1")])]).build()).await;
    // One layer twice.
    let layer = Layer::from_entries(entries());
    check_pulls(&Image::new([layer.clone(), layer.clone()]).build()).await;
    // Many layers.
    check_pulls(
        &Image::new((0..70).map(|n| Layer::from_entries([Entry::file(format!("f{n}"), "x")]))).build(),
    )
    .await;
    // No layer at all.
    check_pulls(&Image::new([]).build()).await;
    // The urls of a layer that is served all the same.
    let linked = Image::new([layer])
        .edit_manifest(|manifest| manifest["layers"][0]["urls"] = serde_json::json!(["http://127.0.0.1:1/"]));
    check_pulls(&linked.build()).await;
}

/// A gzip header with every optional field (RFC 1952, 2.3), before the deflated data and trailer of an honest one.
fn gzip_with_every_field(data: &[u8]) -> Vec<u8> {
    let packed = Compression::Gzip.pack(data);
    let mut header = vec![0x1f, 0x8b, 8, 0b0001_1110, 0, 0, 0, 0, 0, 255];
    header.extend([4, 0, b'e', b'x', b't', b'!']);
    header.extend(b"layer.tar\0a comment\0");
    let mut checksum = flate2::Crc::new();
    checksum.update(&header);
    header.extend((checksum.sum() as u16).to_le_bytes());
    [header, packed[10..].to_vec()].concat()
}

#[tokio::test]
async fn gzip_headers_with_every_field_are_read() {
    let tar = boxlite_testkit::images::tar(&entries());
    let blob = gzip_with_every_field(&tar);
    let layer = Layer::from_blob(blob.clone(), boxlite_testkit::images::sha256(&tar), Compression::Gzip);
    check_pulls(&Image::new([layer]).build()).await;
    let twice = [&gzip_with_every_field(&tar[..1000])[..], &gzip_with_every_field(&tar[1000..])].concat();
    let layer = Layer::from_blob(twice, boxlite_testkit::images::sha256(&tar), Compression::Gzip);
    check_pulls(&Image::new([layer]).build()).await;
}

#[tokio::test]
async fn a_layer_that_the_server_calls_encoded_is_taken_as_it_is() {
    let artifact = Image::new([Layer::from_entries(entries())]).build();
    let (registry, reference) = serve(&artifact);
    registry.script(Rule::on(Target::Blobs).with(Fault::Header("Content-Encoding", "gzip".into())));
    let home = TestHome::new();
    assert_eq!(pull(&home.store(), &reference).await.id, artifact.digest());
    check_stored(&home, &artifact);
}

#[tokio::test]
async fn entries_that_climb_out_stay_inside() {
    let nasty = [
        Entry::file("../../../../../../tmp/boxlite-escaped", "1"),
        Entry::file("/boxlite-escaped", "1"),
        Entry::symlink("tmp/link", "/"),
        Entry::file("tmp/link/boxlite-escaped", "1"),
        Entry::symlink("up", "../../../../../../../tmp"),
        Entry::file("up/boxlite-escaped", "1"),
        Entry::character_device("dev/kmem", 1, 2).mode(0o666),
        Entry::block_device("dev/vda", 254, 0).mode(0o666),
        Entry::file("etc/.wh.nothing-there", ""),
        Entry::file("bin/root", "x").mode(0o6755),
    ];
    let layer = Layer::from_entries(nasty);
    let artifact = Image::new([layer]).build();
    let (_registry, reference) = serve(&artifact);
    let home = TestHome::new();
    pull(&home.store(), &reference).await;
    check_stored(&home, &artifact);
    for path in ["/boxlite-escaped", "/tmp/boxlite-escaped"] {
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
    // No file of the image is a file of the host: whatever lies in the home is named by a digest.
    let digest = |name: &str| format!("sha256:{name}").parse::<Digest>().is_ok();
    for path in home.files().paths() {
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".erofs");
        let fixed = ["blobs", "sha256", "ingest", "layers", "rootfs", "data", "index"].contains(&name);
        assert!(fixed || digest(name), "{path}");
    }
}

#[tokio::test]
async fn a_registry_that_somebody_else_wrote_serves_every_form() {
    let registry = match DockerRegistry::start() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: the package docker-registry is not installed");
            return;
        }
        started => started.unwrap(),
    };
    let home = TestHome::new();
    let store = home.store();
    for (number, compression) in COMPRESSIONS.into_iter().enumerate() {
        let image = Image::new([Layer::packed(entries(), compression)]);
        let index = Index::new([image.build()]).build();
        for (tag, artifact) in
            [("oci", &image.build()), ("docker", &image.clone().docker().build()), ("index", &index)]
        {
            let tag = format!("{tag}{number}");
            registry.push("library/app", &tag, artifact).unwrap();
            let expect = artifact.children.first().unwrap_or(artifact).digest();
            assert_eq!(pull(&store, &registry.reference(&format!("library/app:{tag}"))).await.id, expect);
        }
    }
}

#[tokio::test]
async fn a_chunked_registry_with_tokens_elsewhere_serves_every_form() {
    let artifact =
        Image::new(COMPRESSIONS.map(|compression| {
            Layer::packed([Entry::file("seed", format!("{compression:?}"))], compression)
        }))
        .build();
    let (registry, reference) = serve(&artifact);
    let service = Registry::start();
    let tokens = Tokens::new().anonymous();
    service.serve_tokens(&tokens);
    registry.require(Auth::bearer(&tokens).realm(service.url("/token")).only_at_resource());
    registry.script(Rule::on(Target::Any).with(Fault::Chunked));
    let home = TestHome::new();
    assert_eq!(pull(&home.store(), &reference).await.layer_count, COMPRESSIONS.len() as u32);
}
