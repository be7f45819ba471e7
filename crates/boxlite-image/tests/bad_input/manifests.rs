//! Manifests and indexes that are malformed, contradictory, or not of an image at all.

use boxlite_testkit::images::{Artifact, Index};
use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NotFound, PlatformMismatch};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene, case};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An honest image but for this change to its manifest.
fn edited(scene: &Scene, edit: fn(&mut Value)) -> Bad {
    scene.serve(&scene.image().edit_manifest(edit))
}

/// An index of one honest image but for this change.
fn index(scene: &Scene, edit: fn(&mut Value)) -> Bad {
    scene.push(&Index::new([scene.image().build()]).edit(edit).build())
}

/// An honest image, pulled by the digest of its manifest, with a fault in the answer for it.
fn by_digest(scene: &Scene, fault: fn() -> Fault) -> Bad {
    let artifact = scene.image().build();
    scene.push(&artifact);
    scene.registry.script(Rule::on(Target::Manifests).with(fault()));
    Bad::pull(scene.registry.reference(&format!("library/bad@{}", artifact.digest())))
        .naming(artifact.digest())
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("an empty manifest", Image, &["manifest"], |scene| scene.manifest(MANIFEST, "")),
    case("a manifest that is no JSON", Image, &["manifest", "malformed"], |scene| scene.manifest(MANIFEST, "hello")),
    case("a manifest cut in the middle", Image, &["malformed"], |scene| {
        let bytes = scene.image().build().manifest;
        scene.manifest(MANIFEST, &bytes[..bytes.len() / 2])
    }),
    case("a manifest that is not UTF-8", Image, &["manifest"], |scene| scene.manifest(MANIFEST, b"{\"schemaVersion\":2,\"x\":\"\xff\xfe\"}")),
    case("a manifest that is a list", Image, &["manifest"], |scene| scene.manifest(MANIFEST, "[]")),
    case("a manifest that is null", Image, &["manifest"], |scene| scene.manifest(MANIFEST, "null")),
    case("a manifest nested 100,000 deep", Image, &["malformed"], |scene| {
        scene.manifest(MANIFEST, format!("{{\"schemaVersion\":2,\"x\":{}", "[".repeat(100_000)))
    }),
    case("two values for one field", Image, &["duplicate"], |scene| scene.manifest(MANIFEST, "{\"schemaVersion\":2,\"schemaVersion\":2}")),
    case("something after the manifest", Image, &["malformed"], |scene| {
        let bytes = scene.image().build().manifest;
        scene.manifest(MANIFEST, [&bytes[..], b"{}"].concat())
    }),
    case("a manifest of 5 MiB", Image, &["4194304"], |scene| {
        scene.serve(&scene.image().edit_manifest(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(5 << 20) })))
    }),
    case("a manifest of 5 MiB without a length", Image, &["4194304"], |scene| {
        scene.registry.script(Rule::on(Target::Manifests).with(Fault::Chunked));
        scene.serve(&scene.image().edit_manifest(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(5 << 20) })))
    }),
    case("an empty object", Image, &["schema version"], |scene| scene.manifest(MANIFEST, "{}")),
    case("schema version 3", Image, &["schema version"], |scene| edited(scene, |manifest| manifest["schemaVersion"] = 3.into())),
    case("docker's schema 1 by media type", Image, &["schema 1"], |scene| {
        scene.manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[]}")
    }),
    case("docker's schema 1 under another media type", Image, &["schema 1"], |scene| {
        scene.manifest(MANIFEST, "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[],\"history\":[]}")
    }),
    case("schema 1 that calls itself 2", Image, &["schema 1"], |scene| edited(scene, |manifest| manifest["fsLayers"] = json!([]))),
    case("a manifest of an unknown media type", Image, &["application/vnd.example.thing+json"], |scene| {
        let artifact = scene.image().build();
        scene.manifest("application/vnd.example.thing+json", artifact.manifest)
    }),
    case("a login page instead of a manifest", Image, &["text/html"], |scene| {
        scene.manifest("text/html; charset=utf-8", "<html>please log in</html>")
    }),
    case("a manifest that is of another media type inside", Image, &["docker.distribution.manifest.v2", "oci.image.manifest"], |scene| {
        edited(scene, |manifest| manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into())
    }),
    case("an image served as an index", Image, &["index"], |scene| {
        let artifact = scene.image().edit_manifest(|manifest| { manifest.as_object_mut().unwrap().remove("mediaType"); }).build();
        scene.manifest(INDEX, artifact.manifest)
    }),
    case("a manifest that is both index and image", Image, &["both"], |scene| edited(scene, |manifest| manifest["manifests"] = json!([]))),
    case("a manifest without a configuration", Image, &["configuration"], |scene| {
        edited(scene, |manifest| { manifest.as_object_mut().unwrap().remove("config"); })
    }),
    case("a manifest without layers", Image, &["layers"], |scene| edited(scene, |manifest| { manifest.as_object_mut().unwrap().remove("layers"); })),
    case("layers that are null", Image, &["layers"], |scene| edited(scene, |manifest| manifest["layers"] = Value::Null)),
    case("layers that are a text", Image, &["malformed"], |scene| edited(scene, |manifest| manifest["layers"] = "all".into())),
    case("a helm chart", Image, &["application/vnd.cncf.helm.config.v1+json"], |scene| {
        edited(scene, |manifest| manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into())
    }),
    case("an artifact with an empty configuration", Image, &["application/vnd.oci.empty.v1+json"], |scene| {
        edited(scene, |manifest| {
            manifest["artifactType"] = "application/vnd.example".into();
            manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json".into();
        })
    }),
    case("a configuration without a media type", Image, &["media type"], |scene| {
        edited(scene, |manifest| { manifest["config"].as_object_mut().unwrap().remove("mediaType"); })
    }),
    case("a layer of an unknown media type", Image, &["application/vnd.example.layer"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.example.layer".into())
    }),
    case("a layer without a media type", Image, &["media type"], |scene| {
        edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("mediaType"); })
    }),
    case("an encrypted layer", Image, &["tar+gzip+encrypted"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into())
    }),
    case("an lzma layer", Image, &["tar+xz"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+xz".into())
    }),
    case("docker's foreign layer", Image, &["foreign"], |scene| {
        edited(scene, |manifest| {
            manifest["layers"][1]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
            manifest["layers"][1]["urls"] = json!(["http://127.0.0.1:1/x"]);
        })
    }),
    case("a layer that may not be distributed", Image, &["nondistributable"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into())
    }),
    case("an attestation for a layer", Image, &["application/vnd.in-toto+json"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.in-toto+json".into())
    }),
    case("a layer of a negative size", Image, &["-1"], |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = (-1).into())),
    case("a layer of 2^63 - 1 bytes", Image, &["9223372036854775807"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["size"] = i64::MAX.into())
    }),
    case("a layer of 2^64 bytes", Image, &["malformed"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["size"] = 18_446_744_073_709_551_616.0.into())
    }),
    case("a size that is a text", Image, &["malformed"], |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = "12".into())),
    case("a layer without a size", Image, &["size"], |scene| {
        edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("size"); })
    }),
    case("a layer without a digest", Image, &["digest"], |scene| {
        edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("digest"); })
    }),
    case("a layer whose digest is a path", Image, &["../../../etc/passwd"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["digest"] = "sha256:../../../etc/passwd".into())
    }),
    case("a layer of an unknown digest algorithm", Image, &["sha512"], |scene| {
        edited(scene, |manifest| manifest["layers"][1]["digest"] = format!("sha512:{}", "ab".repeat(64)).into())
    }),
    case("a configuration with a malformed digest", Image, &["malformed digest"], |scene| {
        edited(scene, |manifest| manifest["config"]["digest"] = "sha256:12".into())
    }),
    case("a manifest of 2,000 layers", Image, &["2000", "1024"], |scene| {
        edited(scene, |manifest| manifest["layers"] = vec![manifest["layers"][1].clone(); 2000].into())
    }),
    case("another manifest than the digest asked for", DigestMismatch, &[], |scene| by_digest(scene, || Fault::Body("{\"schemaVersion\":2}".into()))),
    case("one byte of a manifest changed", DigestMismatch, &[], |scene| by_digest(scene, || Fault::Corrupt(40))),
    case("a registry that claims another digest for a tag", DigestMismatch, &["sha256:cdcd"], |scene| {
        scene.registry.script(Rule::on(Target::Manifests).with(Fault::Header("Docker-Content-Digest", format!("sha256:{}", "cd".repeat(32)))));
        scene.serve(&scene.image())
    }),
    case("an empty index", PlatformMismatch, &["linux/"], |scene| scene.push(&Index::new([]).build())),
    case("an index without a list", Image, &["index"], |scene| index(scene, |index| { index.as_object_mut().unwrap().remove("manifests"); })),
    case("an index without platforms", PlatformMismatch, &[], |scene| {
        index(scene, |index| { index["manifests"][0].as_object_mut().unwrap().remove("platform"); })
    }),
    case("an index of other platforms", PlatformMismatch, &["linux/s390x", "windows/amd64"], |scene| {
        scene.push(&Index::new([scene.image().platform("linux/s390x").build(), scene.image().platform("windows/amd64").build()]).build())
    }),
    case("a platform that the index does not have", PlatformMismatch, &["linux/riscv64"], |scene| {
        index(scene, |_| ()).platform("linux/riscv64").naming("linux/riscv64")
    }),
    case("a variant newer than the machine", PlatformMismatch, &["linux/arm/v7"], |scene| {
        scene.push(&Index::new([scene.image().platform("linux/arm/v7").build()]).build()).platform("linux/arm/v6")
    }),
    case("an index of attestations", PlatformMismatch, &[], |scene| {
        index(scene, |index| index["manifests"][0]["platform"] = json!({ "os": "unknown", "architecture": "unknown" }))
    }),
    case("an index with a malformed digest", Image, &["malformed digest"], |scene| {
        index(scene, |index| index["manifests"][0]["digest"] = "sha256:zz".into())
    }),
    case("an index with a negative size", Image, &["-5"], |scene| index(scene, |index| index["manifests"][0]["size"] = (-5).into())),
    case("an index that lies about the size of a manifest", DigestMismatch, &["7"], |scene| {
        index(scene, |index| index["manifests"][0]["size"] = 7.into())
    }),
    case("an index that names a missing manifest", NotFound, &["sha256:efef"], |scene| {
        index(scene, |index| index["manifests"][0]["digest"] = format!("sha256:{}", "ef".repeat(32)).into())
    }),
    case("an index whose manifest is another", DigestMismatch, &[], |scene| {
        let index = Index::new([scene.image().build()]).build();
        let child = index.children[0].digest();
        let bad = scene.push(&index).naming(child);
        scene.registry.put_manifest("library/bad", &child.to_string(), MANIFEST, "{}");
        bad
    }),
    case("an index in an index", Image, &["index"], |scene| {
        let mut inner = Index::new([scene.image().build()]).build();
        inner.platform = Some(boxlite_types::Platform::host());
        scene.push(&Index::new([inner]).build())
    }),
    case("an index that calls an index an image", Image, &["index"], |scene| {
        let mut inner = Index::new([scene.image().build()]).build();
        inner.platform = Some(boxlite_types::Platform::host());
        scene.push(&Index::new([inner]).edit(|index| index["manifests"][0]["mediaType"] = MANIFEST.into()).build())
    }),
    case("an index that names an artifact", Image, &["application/vnd.example"], |scene| {
        index(scene, |index| index["manifests"][0]["mediaType"] = "application/vnd.example".into())
    }),
    case("an index that gives another platform than the image has", PlatformMismatch, &["linux/s390x"], |scene| {
        let mut lying = scene.image().platform("linux/s390x").build();
        lying.platform = Some(boxlite_types::Platform::host());
        scene.push(&Index::new([lying]).build())
    }),
    case("an image of another platform without an index", PlatformMismatch, &["linux/s390x"], |scene| {
        scene.serve(&scene.image().platform("linux/s390x"))
    }),
    case("an index of 100,000 lines", Image, &["4194304"], |scene| {
        index(scene, |index| index["manifests"] = vec![index["manifests"][0].clone(); 100_000].into())
    }),
    case("a manifest of nothing but zeros", Image, &["malformed"], |scene| scene.push(&Artifact::raw(MANIFEST, vec![0; 4096]))),
];
