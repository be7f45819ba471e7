//! Image configurations that do not belong to their manifest, or to any image.

use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NotFound, PlatformMismatch};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene};

/// An honest image but for this change to its configuration.
fn edited(scene: &Scene, edit: fn(&mut Value)) -> Bad {
    scene.serve(&scene.image().edit_config(edit))
}

/// An honest image, with a fault in the answer for its configuration.
fn served(scene: &Scene, fault: Fault) -> Bad {
    let artifact = scene.image().build();
    let config = artifact.config_digest();
    scene.registry.script(Rule::on(Target::Blob(config)).with(fault));
    scene.push(&artifact).naming(config)
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "a configuration that is no JSON", expect: Image, says: &["configuration", "malformed"], setup: |scene| scene.serve(&scene.image().raw_config("hello")) },
    Case { name: "an empty configuration", expect: Image, says: &["configuration"], setup: |scene| scene.serve(&scene.image().raw_config("")) },
    Case { name: "a configuration that is an empty object", expect: Image, says: &["platform"], setup: |scene| scene.serve(&scene.image().raw_config("{}")) },
    Case { name: "a configuration that is a list", expect: Image, says: &["configuration"], setup: |scene| scene.serve(&scene.image().raw_config("[1,2]")) },
    Case { name: "a configuration of 5 MiB", expect: Image, says: &["4194304"], setup: |scene| edited(scene, |config| config["comment"] = "y".repeat(5 << 20).into()) },
    Case { name: "a configuration nested 100,000 deep", expect: Image, says: &["malformed"], setup: |scene| scene.serve(&scene.image().raw_config(format!("{{\"os\":{}", "[".repeat(100_000)))) },
    Case { name: "a configuration with another digest", expect: DigestMismatch, says: &[], setup: |scene| served(scene, Fault::Corrupt(10)) },
    Case { name: "another configuration altogether", expect: DigestMismatch, says: &[], setup: |scene| served(scene, Fault::Body("{}".into())) },
    Case { name: "a configuration that is not there", expect: NotFound, says: &[], setup: |scene| served(scene, Fault::Status(404)) },
    Case { name: "a configuration larger than its manifest says", expect: DigestMismatch, says: &["configuration"], setup: |scene| scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = 10.into())) },
    Case { name: "a configuration smaller than its manifest says", expect: DigestMismatch, says: &["configuration"], setup: |scene| scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = 100_000.into())) },
    Case { name: "a configuration of a terabyte, it is said", expect: Image, says: &["configuration"], setup: |scene| scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = (1u64 << 40).into())) },
    Case { name: "a layer for a configuration", expect: Image, says: &["configuration"], setup: |scene| scene.serve(&scene.image().edit_manifest(|manifest| { let media_type = manifest["config"]["mediaType"].clone(); manifest["config"] = manifest["layers"][0].clone(); manifest["config"]["mediaType"] = media_type; })) },
    Case { name: "an image for Windows", expect: PlatformMismatch, says: &["windows"], setup: |scene| edited(scene, |config| config["os"] = "windows".into()) },
    Case { name: "an image of another architecture", expect: PlatformMismatch, says: &["mips64le"], setup: |scene| edited(scene, |config| config["architecture"] = "mips64le".into()) },
    Case { name: "a configuration without an operating system", expect: Image, says: &["platform"], setup: |scene| edited(scene, |config| { config.as_object_mut().unwrap().remove("os"); }) },
    Case { name: "a configuration without an architecture", expect: Image, says: &["platform"], setup: |scene| edited(scene, |config| config["architecture"] = "".into()) },
    Case { name: "an architecture that is a number", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |config| config["architecture"] = 64.into()) },
    Case { name: "a configuration without a root filesystem", expect: Image, says: &["root filesystem"], setup: |scene| edited(scene, |config| { config.as_object_mut().unwrap().remove("rootfs"); }) },
    Case { name: "a root filesystem of an unknown type", expect: Image, says: &["layers+base"], setup: |scene| edited(scene, |config| config["rootfs"]["type"] = "layers+base".into()) },
    Case { name: "no DiffIDs", expect: Image, says: &["0 DiffIDs for 2 layers"], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"] = json!([])) },
    Case { name: "DiffIDs that are null", expect: Image, says: &["0 DiffIDs for 2 layers"], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"] = Value::Null) },
    Case { name: "one DiffID too few", expect: Image, says: &["1 DiffIDs for 2 layers"], setup: |scene| edited(scene, |config| { config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop(); }) },
    Case { name: "one DiffID too many", expect: Image, says: &["3 DiffIDs for 2 layers"], setup: |scene| edited(scene, |config| { let extra = config["rootfs"]["diff_ids"][0].clone(); config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(extra); }) },
    Case { name: "a malformed DiffID", expect: Image, says: &["malformed digest"], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"][1] = "sha256:short".into()) },
    Case { name: "a DiffID that is a path", expect: Image, says: &["malformed digest"], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"][1] = "../../../../etc".into()) },
    Case { name: "a DiffID of an unknown algorithm", expect: Image, says: &["sha512"], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"][1] = format!("sha512:{}", "ab".repeat(64)).into()) },
    Case { name: "a command that is a number", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |config| config["config"]["Cmd"] = 7.into()) },
    Case { name: "an environment that is an object", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |config| config["config"]["Env"] = json!({ "A": "b" })) },
    Case { name: "a history that is a text", expect: Image, says: &["malformed"], setup: |scene| edited(scene, |config| config["history"] = "long".into()) },
    Case { name: "a DiffID that is another layer's", expect: DigestMismatch, says: &[], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"][1] = format!("sha256:{}", "12".repeat(32)).into()).naming_layer() },
    Case { name: "the DiffIDs in the wrong order", expect: DigestMismatch, says: &[], setup: |scene| edited(scene, |config| config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse()) },
    Case { name: "the digest of the blob for a DiffID", expect: DigestMismatch, says: &[], setup: |scene| { let digest = scene.top.digest().to_string(); scene.serve(&scene.image().edit_config(move |config| config["rootfs"]["diff_ids"][1] = digest.as_str().into())).naming_layer() } },
];
