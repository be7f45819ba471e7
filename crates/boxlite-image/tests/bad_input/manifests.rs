//! Manifests and indexes that are malformed, contradictory, or not of an image at all.

use boxlite_testkit::images::{Artifact, Index};
use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NotFound, PlatformMismatch};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene};

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
    Case { name: "an empty manifest", expect: Image, says: &["manifest"], setup: |scene| scene.manifest(MANIFEST, "") },
    Case { name: "a manifest that is no JSON", expect: Image, says: &["manifest", "malformed"], setup: |scene| scene.manifest(MANIFEST, "hello") },
    Case { name: "a manifest cut in the middle", expect: Image, says: &["malformed"], setup: |scene| { let bytes = scene.image().build().manifest; scene.manifest(MANIFEST, &bytes[..bytes.len() / 2]) } },
    Case { name: "a manifest that is not UTF-8", expect: Image, says: &["manifest"], setup: |scene| scene.manifest(MANIFEST, b"{\"schemaVersion\":2,\"x\":\"\xff\xfe\"}") },
    Case { name: "a manifest that is a list", expect: Image, says: &["manifest"], setup: |scene| scene.manifest(MANIFEST, "[]") },
    Case { name: "a manifest that is null", expect: Image, says: &["manifest"], setup: |scene| scene.manifest(MANIFEST, "null") },
    Case { name: "a manifest nested 100,000 deep", expect: Image, says: &["malformed"], setup: |scene| scene.manifest(MANIFEST, format!("{{\"schemaVersion\":2,\"x\":{}", "[".repeat(100_000))) },
    Case { name: "two values for one field", expect: Image, says: &["duplicate"], setup: |scene| scene.manifest(MANIFEST, "{\"schemaVersion\":2,\"schemaVersion\":2}") },
    Case { name: "something after the manifest", expect: Image, says: &["malformed"], setup: |scene| { let bytes = scene.image().build().manifest; scene.manifest(MANIFEST, [&bytes[..], b"{}"].concat()) } },
    Case { name: "a manifest of 5 MiB", expect: Image, says: &["4194304"], setup: |scene| scene.serve(&scene.image().edit_manifest(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(5 << 20) }))) },
    Case { name: "a manifest of 5 MiB without a length", expect: Image, says: &["4194304"], setup: |scene| { scene.registry.script(Rule::on(Target::Manifests).with(Fault::Chunked)); scene.serve(&scene.image().edit_manifest(|manifest| manifest["annotations"] = json!({ "x": "y".repeat(5 << 20) }))) } },
    Case { name: "an empty object", expect: Image, says: &["schema version"], setup: |scene| scene.manifest(MANIFEST, "{}") },
    Case { name: "schema version 3", expect: Image, says: &["schema version"], setup: |scene| edited(scene, |manifest| manifest["schemaVersion"] = 3.into()) },
    Case { name: "docker's schema 1 by media type", expect: Image, says: &["schema 1"], setup: |scene| scene.manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[]}") },
    Case { name: "docker's schema 1 under another media type", expect: Image, says: &["schema 1"], setup: |scene| scene.manifest(MANIFEST, "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[],\"history\":[]}") },
    Case { name: "schema 1 that calls itself 2", expect: Image, says: &["schema 1"], setup: |scene| edited(scene, |manifest| manifest["fsLayers"] = json!([])) },
    Case { name: "a manifest of an unknown media type", expect: Image, says: &["application/vnd.example.thing+json"], setup: |scene| { let artifact = scene.image().build(); scene.manifest("application/vnd.example.thing+json", artifact.manifest) } },
    Case { name: "a login page instead of a manifest", expect: Image, says: &["text/html"], setup: |scene| scene.manifest("text/html; charset=utf-8", "<html>please log in</html>") },
    Case { name: "a manifest that is of another media type inside", expect: Image, says: &["docker.distribution.manifest.v2", "oci.image.manifest"], setup: |scene| edited(scene, |manifest| manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json".into()) },
    Case { name: "an image served as an index", expect: Image, says: &["index"], setup: |scene| { let artifact = scene.image().edit_manifest(|manifest| { manifest.as_object_mut().unwrap().remove("mediaType"); }).build(); scene.manifest(INDEX, artifact.manifest) } },
    Case { name: "a manifest that is both index and image", expect: Image, says: &["both"], setup: |scene| edited(scene, |manifest| manifest["manifests"] = json!([])) },
    Case { name: "a manifest without a configuration", expect: Image, says: &["configuration"], setup: |scene| edited(scene, |manifest| { manifest.as_object_mut().unwrap().remove("config"); }) },
    Case { name: "a manifest without layers", expect: Image, says: &["layers"], setup: |scene| edited(scene, |manifest| { manifest.as_object_mut().unwrap().remove("layers"); }) },
    Case { name: "layers that are null", expect: Image, says: &["layers"], setup: |scene| edited(scene, |manifest| manifest["layers"] = Value::Null) },
    Case { name: "layers that are a text", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |manifest| manifest["layers"] = "all".into()) },
    Case { name: "a helm chart", expect: Image, says: &["application/vnd.cncf.helm.config.v1+json"], setup: |scene| edited(scene, |manifest| manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into()) },
    Case { name: "an artifact with an empty configuration", expect: Image, says: &["application/vnd.oci.empty.v1+json"], setup: |scene| edited(scene, |manifest| { manifest["artifactType"] = "application/vnd.example".into(); manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json".into(); }) },
    Case { name: "a configuration without a media type", expect: Image, says: &["media type"], setup: |scene| edited(scene, |manifest| { manifest["config"].as_object_mut().unwrap().remove("mediaType"); }) },
    Case { name: "a layer of an unknown media type", expect: Image, says: &["application/vnd.example.layer"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.example.layer".into()) },
    Case { name: "a layer without a media type", expect: Image, says: &["media type"], setup: |scene| edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("mediaType"); }) },
    Case { name: "an encrypted layer", expect: Image, says: &["tar+gzip+encrypted"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into()) },
    Case { name: "an lzma layer", expect: Image, says: &["tar+xz"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+xz".into()) },
    Case { name: "docker's foreign layer", expect: Image, says: &["foreign"], setup: |scene| edited(scene, |manifest| { manifest["layers"][1]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into(); manifest["layers"][1]["urls"] = json!(["http://127.0.0.1:1/x"]); }) },
    Case { name: "a layer that may not be distributed", expect: Image, says: &["nondistributable"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into()) },
    Case { name: "an attestation for a layer", expect: Image, says: &["application/vnd.in-toto+json"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["mediaType"] = "application/vnd.in-toto+json".into()) },
    Case { name: "a layer of a negative size", expect: Image, says: &["-1"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = (-1).into()) },
    Case { name: "a layer of 2^63 - 1 bytes", expect: Image, says: &["9223372036854775807"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = i64::MAX.into()) },
    Case { name: "a layer of 2^64 bytes", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = 18_446_744_073_709_551_616.0.into()) },
    Case { name: "a size that is a text", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["size"] = "12".into()) },
    Case { name: "a layer without a size", expect: Image, says: &["size"], setup: |scene| edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("size"); }) },
    Case { name: "a layer without a digest", expect: Image, says: &["digest"], setup: |scene| edited(scene, |manifest| { manifest["layers"][1].as_object_mut().unwrap().remove("digest"); }) },
    Case { name: "a layer whose digest is a path", expect: Image, says: &["../../../etc/passwd"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["digest"] = "sha256:../../../etc/passwd".into()) },
    Case { name: "a layer of an unknown digest algorithm", expect: Image, says: &["sha512"], setup: |scene| edited(scene, |manifest| manifest["layers"][1]["digest"] = format!("sha512:{}", "ab".repeat(64)).into()) },
    Case { name: "a configuration with a malformed digest", expect: Image, says: &["malformed digest"], setup: |scene| edited(scene, |manifest| manifest["config"]["digest"] = "sha256:12".into()) },
    Case { name: "a manifest of 2,000 layers", expect: Image, says: &["2000", "1024"], setup: |scene| edited(scene, |manifest| manifest["layers"] = vec![manifest["layers"][1].clone(); 2000].into()) },
    Case { name: "another manifest than the digest asked for", expect: DigestMismatch, says: &[], setup: |scene| by_digest(scene, || Fault::Body("{\"schemaVersion\":2}".into())) },
    Case { name: "one byte of a manifest changed", expect: DigestMismatch, says: &[], setup: |scene| by_digest(scene, || Fault::Corrupt(40)) },
    Case { name: "a registry that claims another digest for a tag", expect: DigestMismatch, says: &["sha256:cdcd"], setup: |scene| { scene.registry.script(Rule::on(Target::Manifests).with(Fault::Header("Docker-Content-Digest", format!("sha256:{}", "cd".repeat(32))))); scene.serve(&scene.image()) } },
    Case { name: "an empty index", expect: PlatformMismatch, says: &["linux/"], setup: |scene| scene.push(&Index::new([]).build()) },
    Case { name: "an index without a list", expect: Image, says: &["index"], setup: |scene| index(scene, |index| { index.as_object_mut().unwrap().remove("manifests"); }) },
    Case { name: "an index without platforms", expect: PlatformMismatch, says: &[], setup: |scene| index(scene, |index| { index["manifests"][0].as_object_mut().unwrap().remove("platform"); }) },
    Case { name: "an index of other platforms", expect: PlatformMismatch, says: &["linux/s390x", "windows/amd64"], setup: |scene| scene.push(&Index::new([scene.image().platform("linux/s390x").build(), scene.image().platform("windows/amd64").build()]).build()) },
    Case { name: "a platform that the index does not have", expect: PlatformMismatch, says: &["linux/riscv64"], setup: |scene| index(scene, |_| ()).platform("linux/riscv64").naming("linux/riscv64") },
    Case { name: "a variant newer than the machine", expect: PlatformMismatch, says: &["linux/arm/v7"], setup: |scene| scene.push(&Index::new([scene.image().platform("linux/arm/v7").build()]).build()).platform("linux/arm/v6") },
    Case { name: "an index of attestations", expect: PlatformMismatch, says: &[], setup: |scene| index(scene, |index| index["manifests"][0]["platform"] = json!({ "os": "unknown", "architecture": "unknown" })) },
    Case { name: "an index with a malformed digest", expect: Image, says: &["malformed digest"], setup: |scene| index(scene, |index| index["manifests"][0]["digest"] = "sha256:zz".into()) },
    Case { name: "an index with a negative size", expect: Image, says: &["-5"], setup: |scene| index(scene, |index| index["manifests"][0]["size"] = (-5).into()) },
    Case { name: "an index that lies about the size of a manifest", expect: DigestMismatch, says: &["7"], setup: |scene| index(scene, |index| index["manifests"][0]["size"] = 7.into()) },
    Case { name: "an index that names a missing manifest", expect: NotFound, says: &["sha256:efef"], setup: |scene| index(scene, |index| index["manifests"][0]["digest"] = format!("sha256:{}", "ef".repeat(32)).into()) },
    Case { name: "an index whose manifest is another", expect: DigestMismatch, says: &[], setup: |scene| { let index = Index::new([scene.image().build()]).build(); let child = index.children[0].digest(); let bad = scene.push(&index).naming(child); scene.registry.put_manifest("library/bad", &child.to_string(), MANIFEST, "{}"); bad } },
    Case { name: "an index in an index", expect: Image, says: &["index"], setup: |scene| { let mut inner = Index::new([scene.image().build()]).build(); inner.platform = Some(boxlite_types::Platform::host()); scene.push(&Index::new([inner]).build()) } },
    Case { name: "an index that calls an index an image", expect: Image, says: &["index"], setup: |scene| { let mut inner = Index::new([scene.image().build()]).build(); inner.platform = Some(boxlite_types::Platform::host()); scene.push(&Index::new([inner]).edit(|index| index["manifests"][0]["mediaType"] = MANIFEST.into()).build()) } },
    Case { name: "an index that names an artifact", expect: Image, says: &["application/vnd.example"], setup: |scene| index(scene, |index| index["manifests"][0]["mediaType"] = "application/vnd.example".into()) },
    Case { name: "an index that gives another platform than the image has", expect: PlatformMismatch, says: &["linux/s390x"], setup: |scene| { let mut lying = scene.image().platform("linux/s390x").build(); lying.platform = Some(boxlite_types::Platform::host()); scene.push(&Index::new([lying]).build()) } },
    Case { name: "an image of another platform without an index", expect: PlatformMismatch, says: &["linux/s390x"], setup: |scene| scene.serve(&scene.image().platform("linux/s390x")) },
    Case { name: "an index of 100,000 lines", expect: Image, says: &["4194304"], setup: |scene| index(scene, |index| index["manifests"] = vec![index["manifests"][0].clone(); 100_000].into()) },
    Case { name: "a manifest of nothing but zeros", expect: Image, says: &["malformed"], setup: |scene| scene.push(&Artifact::raw(MANIFEST, vec![0; 4096])) },
];
