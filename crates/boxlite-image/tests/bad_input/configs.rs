//! Image configurations that do not belong to their manifest, or to any image.

use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NotFound, PlatformMismatch};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene, case};

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
    case("a configuration that is no JSON", Image, &["configuration", "malformed"], |scene| scene.serve(&scene.image().raw_config("hello"))),
    case("an empty configuration", Image, &["configuration"], |scene| scene.serve(&scene.image().raw_config(""))),
    case("a configuration that is an empty object", Image, &["platform"], |scene| scene.serve(&scene.image().raw_config("{}"))),
    case("a configuration that is a list", Image, &["configuration"], |scene| scene.serve(&scene.image().raw_config("[1,2]"))),
    case("a configuration of 5 MiB", Image, &["4194304"], |scene| edited(scene, |config| config["comment"] = "y".repeat(5 << 20).into())),
    case("a configuration nested 100,000 deep", Image, &["malformed"], |scene| {
        scene.serve(&scene.image().raw_config(format!("{{\"os\":{}", "[".repeat(100_000))))
    }),
    case("a configuration with another digest", DigestMismatch, &[], |scene| served(scene, Fault::Corrupt(10))),
    case("another configuration altogether", DigestMismatch, &[], |scene| served(scene, Fault::Body("{}".into()))),
    case("a configuration that is not there", NotFound, &[], |scene| served(scene, Fault::Status(404))),
    case("a configuration larger than its manifest says", DigestMismatch, &["configuration"], |scene| {
        scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = 10.into()))
    }),
    case("a configuration smaller than its manifest says", DigestMismatch, &["configuration"], |scene| {
        scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = 100_000.into()))
    }),
    case("a configuration of a terabyte, it is said", Image, &["configuration"], |scene| {
        scene.serve(&scene.image().edit_manifest(|manifest| manifest["config"]["size"] = (1u64 << 40).into()))
    }),
    case("a layer for a configuration", Image, &["configuration"], |scene| {
        scene.serve(&scene.image().edit_manifest(|manifest| {
            let media_type = manifest["config"]["mediaType"].take();
            manifest["config"] = manifest["layers"][0].clone();
            manifest["config"]["mediaType"] = media_type;
        }))
    }),
    case("an image for Windows", PlatformMismatch, &["windows"], |scene| edited(scene, |config| config["os"] = "windows".into())),
    case("an image of another architecture", PlatformMismatch, &["mips64le"], |scene| {
        edited(scene, |config| config["architecture"] = "mips64le".into())
    }),
    case("a configuration without an operating system", Image, &["platform"], |scene| {
        edited(scene, |config| { config.as_object_mut().unwrap().remove("os"); })
    }),
    case("a configuration without an architecture", Image, &["platform"], |scene| edited(scene, |config| config["architecture"] = "".into())),
    case("an architecture that is a number", Image, &["malformed"], |scene| edited(scene, |config| config["architecture"] = 64.into())),
    case("a configuration without a root filesystem", Image, &["root filesystem"], |scene| {
        edited(scene, |config| { config.as_object_mut().unwrap().remove("rootfs"); })
    }),
    case("a root filesystem of an unknown type", Image, &["layers+base"], |scene| {
        edited(scene, |config| config["rootfs"]["type"] = "layers+base".into())
    }),
    case("no DiffIDs", Image, &["0 DiffIDs for 2 layers"], |scene| edited(scene, |config| config["rootfs"]["diff_ids"] = json!([]))),
    case("DiffIDs that are null", Image, &["0 DiffIDs for 2 layers"], |scene| edited(scene, |config| config["rootfs"]["diff_ids"] = Value::Null)),
    case("one DiffID too few", Image, &["1 DiffIDs for 2 layers"], |scene| {
        edited(scene, |config| { config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop(); })
    }),
    case("one DiffID too many", Image, &["3 DiffIDs for 2 layers"], |scene| {
        edited(scene, |config| { let extra = config["rootfs"]["diff_ids"][0].clone(); config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(extra); })
    }),
    case("a malformed DiffID", Image, &["malformed digest"], |scene| edited(scene, |config| config["rootfs"]["diff_ids"][1] = "sha256:short".into())),
    case("a DiffID that is a path", Image, &["malformed digest"], |scene| {
        edited(scene, |config| config["rootfs"]["diff_ids"][1] = "../../../../etc".into())
    }),
    case("a DiffID of an unknown algorithm", Image, &["sha512"], |scene| {
        edited(scene, |config| config["rootfs"]["diff_ids"][1] = format!("sha512:{}", "ab".repeat(64)).into())
    }),
    case("a command that is a number", Image, &["malformed"], |scene| edited(scene, |config| config["config"]["Cmd"] = 7.into())),
    case("an environment that is an object", Image, &["malformed"], |scene| edited(scene, |config| config["config"]["Env"] = json!({ "A": "b" }))),
    case("a history that is a text", Image, &["malformed"], |scene| edited(scene, |config| config["history"] = "long".into())),
    case("a DiffID that is another layer's", DigestMismatch, &[], |scene| {
        edited(scene, |config| config["rootfs"]["diff_ids"][1] = format!("sha256:{}", "12".repeat(32)).into()).naming_layer()
    }),
    case("the DiffIDs in the wrong order", DigestMismatch, &[], |scene| {
        edited(scene, |config| config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse())
    }),
    case("the digest of the blob for a DiffID", DigestMismatch, &[], |scene| {
        let digest = scene.top.digest().to_string();
        scene.serve(&scene.image().edit_config(move |config| config["rootfs"]["diff_ids"][1] = digest.as_str().into())).naming_layer()
    }),
];
