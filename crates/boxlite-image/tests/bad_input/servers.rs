//! Registries that fail, lie or never stop.

use std::time::Duration;

use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, Network, NoSpace, RateLimited, Unauthorized};

use crate::scene::{Bad, Case, Scene, case};

/// An honest image at a registry with these faults in every answer for `target`.
fn broken<const N: usize>(scene: &Scene, target: Target, faults: [Fault; N]) -> Bad {
    let rule = faults.into_iter().fold(Rule::on(target), Rule::with);
    scene.registry.script(rule);
    scene.serve(&scene.image()).naming(scene.registry.host())
}

fn manifests<const N: usize>(scene: &Scene, faults: [Fault; N]) -> Bad {
    broken(scene, Target::Manifests, faults)
}

fn layer<const N: usize>(scene: &Scene, faults: [Fault; N]) -> Bad {
    let target = Target::Blob(scene.top.digest());
    broken(scene, target, faults).naming_layer()
}

/// The same, with a stall that counts as one after a moment.
fn stalled(scene: &Scene, target: Target, fault: Fault) -> Bad {
    broken(scene, target, [fault]).options(|options, _| options.stall_timeout = Duration::from_millis(100))
}

fn header(name: &'static str, value: &str) -> Fault {
    Fault::Header(name, value.to_owned())
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("500 for the manifest", Network, &["500"], |scene| manifests(scene, [Fault::Status(500)])),
    case("502 for the manifest", Network, &["502"], |scene| manifests(scene, [Fault::Status(502)])),
    case("503 for the manifest", Network, &["503"], |scene| manifests(scene, [Fault::Status(503)])),
    case("503 for the whole registry", Network, &["503"], |scene| broken(scene, Target::Any, [Fault::Status(503)])),
    case("503 for a layer", Network, &["503"], |scene| layer(scene, [Fault::Status(503)])),
    case("503 that asks to wait for a year", Network, &["503"], |scene| layer(scene, [header("Retry-After", "31536000"), Fault::Status(503)])),
    case("403 for a layer", Unauthorized, &["403"], |scene| layer(scene, [Fault::Status(403)])),
    case("401 without a challenge", Unauthorized, &[], |scene| manifests(scene, [Fault::Status(401)])),
    case("418 for a manifest", Network, &["418"], |scene| manifests(scene, [Fault::Status(418)])),
    case("204 for a manifest", Network, &["204"], |scene| manifests(scene, [Fault::Status(204)])),
    case("304 for a layer", Network, &["304"], |scene| layer(scene, [Fault::Status(304)])),
    case("206 for a layer nobody asked a part of", Network, &[], |scene| layer(scene, [Fault::Status(206)])),
    case("416 for a layer nobody asked a part of", Network, &["416"], |scene| layer(scene, [Fault::Status(416)])),
    case("a status that is none", Network, &[], |scene| manifests(scene, [Fault::Status(999)])),
    case("429 again and again", RateLimited, &["429"], |scene| manifests(scene, [Fault::Status(429)])),
    case("429 that asks to wait for a year", RateLimited, &["31536000"], |scene| {
        manifests(scene, [header("Retry-After", "31536000"), Fault::Status(429)])
    }),
    case("429 that asks to wait for ever", RateLimited, &[], |scene| {
        manifests(scene, [header("Retry-After", "99999999999999999999999"), Fault::Status(429)])
    }),
    case("429 that asks to wait until the year 9999", RateLimited, &[], |scene| {
        manifests(scene, [header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), Fault::Status(429)])
    }),
    case("429 that asks for a negative time", RateLimited, &[], |scene| manifests(scene, [header("Retry-After", "-5"), Fault::Status(429)])),

    case("a registry that hangs up", Network, &[], |scene| broken(scene, Target::Any, [Fault::HangUp])),
    case("a registry that hangs up on manifests", Network, &[], |scene| manifests(scene, [Fault::HangUp])),
    case("a registry that resets manifests", Network, &[], |scene| manifests(scene, [Fault::ResetAfter(20)])),
    case("a manifest cut off", Network, &[], |scene| manifests(scene, [Fault::CutAfter(20)])),
    case("a layer reset at once, each time", Network, &[], |scene| layer(scene, [Fault::ResetAfter(0)])),
    case("a layer reset in the middle, each time", Network, &[], |scene| layer(scene, [Fault::ResetAfter(5000)])),
    case("a layer cut off in the middle, each time", Network, &["broke off"], |scene| layer(scene, [Fault::CutAfter(5000)])),
    case("a layer cut off in the middle of a chunk", Network, &[], |scene| layer(scene, [Fault::Chunked, Fault::CutAfter(5000)])),
    case("a configuration cut off", Network, &[], |scene| {
        let config = scene.image().build().config_digest();
        broken(scene, Target::Blob(config), [Fault::CutAfter(10)]).naming(config)
    }),
    case("a registry that never answers", Network, &["100 ms"], |scene| stalled(scene, Target::Any, Fault::HoldHead(Gate::new()))),
    case("a manifest that never comes", Network, &["100 ms"], |scene| stalled(scene, Target::Manifests, Fault::HoldHead(Gate::new()))),
    case("a manifest that stalls", Network, &["100 ms"], |scene| stalled(scene, Target::Manifests, Fault::HoldAfter(10, Gate::new()))),
    case("a layer that stalls, each time", Network, &["100 ms"], |scene| {
        let target = Target::Blob(scene.top.digest());
        stalled(scene, target, Fault::HoldAfter(5000, Gate::new())).naming_layer()
    }),
    case("an answer that is no HTTP", Network, &[], |scene| broken(scene, Target::Any, [Fault::Raw("SSH-2.0-OpenSSH_9.2\r\n".into())])),
    case("a manifest answered in binary", Network, &[], |scene| manifests(scene, [Fault::Raw(vec![0xff; 300].into())])),
    case("a status line and nothing else", Network, &[], |scene| manifests(scene, [Fault::Raw("HTTP/1.1 200 OK\r\n".into())])),
    case("nothing but interim answers", Network, &[], |scene| {
        manifests(scene, [Fault::Raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000).into())])
    }),
    case("an answer of HTTP/0.9", Network, &[], |scene| manifests(scene, [Fault::Raw("{\"schemaVersion\":2}".into())])),
    case("an answer of HTTP/3", Network, &[], |scene| manifests(scene, [Fault::Raw("HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}".into())])),
    case("a chunk that is no number", Network, &[], |scene| {
        manifests(scene, [Fault::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n{}\r\n".into())])
    }),
    case("a chunk of 16 EiB", Network, &[], |scene| {
        layer(scene, [Fault::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".into())])
    }),
    case("a length that is no number", Network, &[], |scene| manifests(scene, [Fault::DeclaredLength("many".into())])),
    case("a negative length", Network, &[], |scene| layer(scene, [Fault::DeclaredLength("-1".into())])),
    case("a length of 10^23", Network, &[], |scene| layer(scene, [Fault::DeclaredLength("1".to_owned() + &"0".repeat(23))])),
    case("two lengths", Network, &[], |scene| manifests(scene, [header("content-length", "5")])),
    case("a manifest of an exbibyte, it is said", Image, &["4194304"], |scene| manifests(scene, [Fault::DeclaredLength((1u64 << 60).to_string())])),
    case("a layer of an exbibyte, it is said", DigestMismatch, &[], |scene| layer(scene, [Fault::DeclaredLength((1u64 << 60).to_string())])),
    case("a manifest without an end", Image, &["4194304"], |scene| manifests(scene, [Fault::Endless])),
    case("a manifest without an end or a length", Image, &["4194304"], |scene| manifests(scene, [Fault::Endless, Fault::UntilClose])),
    case("a configuration without an end", Image, &["4194304"], |scene| {
        let config = scene.image().build().config_digest();
        broken(scene, Target::Blob(config), [Fault::Endless]).naming(config)
    }),
    case("a layer without an end", DigestMismatch, &["longer"], |scene| layer(scene, [Fault::Endless])),
    case("a layer with more after its end", DigestMismatch, &[], |scene| {
        let longer = [&scene.top.blob[..], b"more"].concat();
        layer(scene, [Fault::Body(longer.into()), Fault::Chunked])
    }),
    case("headers without an end", Network, &[], |scene| manifests(scene, [Fault::EndlessHeaders])),

    case("a redirect to itself", Network, &["redirect"], |scene| {
        let origin = scene.registry.url("");
        manifests(scene, [Fault::RedirectOrigin(origin)])
    }),
    case("a redirect in a circle of two hosts", Network, &["redirect"], |scene| {
        scene.elsewhere.script(Rule::on(Target::Any).with(Fault::RedirectOrigin(scene.registry.url(""))));
        let origin = scene.elsewhere.url("");
        layer(scene, [Fault::RedirectOrigin(origin)])
    }),
    case("a redirect without a target", Network, &["307"], |scene| manifests(scene, [Fault::Redirect(String::new()), Fault::NoHeader("Location")])),
    case("a redirect to a file", Network, &["redirect"], |scene| layer(scene, [Fault::Redirect("file:///etc/passwd".into())])),
    case("a redirect to nonsense", Network, &["redirect"], |scene| layer(scene, [Fault::Redirect("http://[".into())])),
    case("a redirect to plain HTTP elsewhere", Network, &["in the clear"], |scene| {
        layer(scene, [Fault::Redirect("http://registry.invalid/blob".into())])
    }),
    case("a redirect to a host that is not there", Network, &["127.0.0.1:1"], |scene| {
        scene.registry.script(Rule::on(Target::Blob(scene.top.digest())).with(Fault::RedirectOrigin("http://127.0.0.1:1".into())));
        scene.serve(&scene.image()).naming_layer()
    }),
    case("a redirect to another blob", DigestMismatch, &[], |scene| {
        let target = format!("/v2/library/innocent/blobs/{}", scene.base.digest());
        layer(scene, [Fault::Redirect(target)])
    }),

    case("a disk that is too small", NoSpace, &[], |scene| {
        scene.serve(&scene.image()).options(|options, _| options.free_space_reserve_bytes = u64::MAX / 2)
    }),
];
