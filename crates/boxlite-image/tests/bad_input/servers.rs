//! Registries that fail, lie or never stop.

use std::time::Duration;

use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, Network, NoSpace, RateLimited, Unauthorized};

use crate::scene::{Bad, Case, Scene};

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
    Case { name: "500 for the manifest", expect: Network, says: &["500"], setup: |scene| manifests(scene, [Fault::Status(500)]) },
    Case { name: "502 for the manifest", expect: Network, says: &["502"], setup: |scene| manifests(scene, [Fault::Status(502)]) },
    Case { name: "503 for the manifest", expect: Network, says: &["503"], setup: |scene| manifests(scene, [Fault::Status(503)]) },
    Case { name: "503 for the whole registry", expect: Network, says: &["503"], setup: |scene| broken(scene, Target::Any, [Fault::Status(503)]) },
    Case { name: "503 for a layer", expect: Network, says: &["503"], setup: |scene| layer(scene, [Fault::Status(503)]) },
    Case { name: "503 that asks to wait for a year", expect: Network, says: &["503"], setup: |scene| layer(scene, [header("Retry-After", "31536000"), Fault::Status(503)]) },
    Case { name: "403 for a layer", expect: Unauthorized, says: &["403"], setup: |scene| layer(scene, [Fault::Status(403)]) },
    Case { name: "401 without a challenge", expect: Unauthorized, says: &[], setup: |scene| manifests(scene, [Fault::Status(401)]) },
    Case { name: "418 for a manifest", expect: Network, says: &["418"], setup: |scene| manifests(scene, [Fault::Status(418)]) },
    Case { name: "204 for a manifest", expect: Network, says: &["204"], setup: |scene| manifests(scene, [Fault::Status(204)]) },
    Case { name: "304 for a layer", expect: Network, says: &["304"], setup: |scene| layer(scene, [Fault::Status(304)]) },
    Case { name: "206 for a layer nobody asked a part of", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::Status(206)]) },
    Case { name: "416 for a layer nobody asked a part of", expect: Network, says: &["416"], setup: |scene| layer(scene, [Fault::Status(416)]) },
    Case { name: "a status that is none", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Status(999)]) },
    Case { name: "429 again and again", expect: RateLimited, says: &["429"], setup: |scene| manifests(scene, [Fault::Status(429)]) },
    Case { name: "429 that asks to wait for a year", expect: RateLimited, says: &["31536000"], setup: |scene| manifests(scene, [header("Retry-After", "31536000"), Fault::Status(429)]) },
    Case { name: "429 that asks to wait for ever", expect: RateLimited, says: &[], setup: |scene| manifests(scene, [header("Retry-After", "99999999999999999999999"), Fault::Status(429)]) },
    Case { name: "429 that asks to wait until the year 9999", expect: RateLimited, says: &[], setup: |scene| manifests(scene, [header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), Fault::Status(429)]) },
    Case { name: "429 that asks for a negative time", expect: RateLimited, says: &[], setup: |scene| manifests(scene, [header("Retry-After", "-5"), Fault::Status(429)]) },

    Case { name: "a registry that hangs up", expect: Network, says: &[], setup: |scene| broken(scene, Target::Any, [Fault::HangUp]) },
    Case { name: "a registry that hangs up on manifests", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::HangUp]) },
    Case { name: "a registry that resets manifests", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::ResetAfter(20)]) },
    Case { name: "a manifest cut off", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::CutAfter(20)]) },
    Case { name: "a layer reset at once, each time", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::ResetAfter(0)]) },
    Case { name: "a layer reset in the middle, each time", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::ResetAfter(5000)]) },
    Case { name: "a layer cut off in the middle, each time", expect: Network, says: &["broke off"], setup: |scene| layer(scene, [Fault::CutAfter(5000)]) },
    Case { name: "a layer cut off in the middle of a chunk", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::Chunked, Fault::CutAfter(5000)]) },
    Case { name: "a configuration cut off", expect: Network, says: &[], setup: |scene| { let config = scene.image().build().config_digest(); broken(scene, Target::Blob(config), [Fault::CutAfter(10)]).naming(config) } },
    Case { name: "a registry that never answers", expect: Network, says: &["100 ms"], setup: |scene| stalled(scene, Target::Any, Fault::HoldHead(Gate::new())) },
    Case { name: "a manifest that never comes", expect: Network, says: &["100 ms"], setup: |scene| stalled(scene, Target::Manifests, Fault::HoldHead(Gate::new())) },
    Case { name: "a manifest that stalls", expect: Network, says: &["100 ms"], setup: |scene| stalled(scene, Target::Manifests, Fault::HoldAfter(10, Gate::new())) },
    Case { name: "a layer that stalls, each time", expect: Network, says: &["100 ms"], setup: |scene| { let target = Target::Blob(scene.top.digest()); stalled(scene, target, Fault::HoldAfter(5000, Gate::new())).naming_layer() } },
    Case { name: "an answer that is no HTTP", expect: Network, says: &[], setup: |scene| broken(scene, Target::Any, [Fault::Raw("SSH-2.0-OpenSSH_9.2\r\n".into())]) },
    Case { name: "a manifest answered in binary", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw(vec![0xff; 300].into())]) },
    Case { name: "a status line and nothing else", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw("HTTP/1.1 200 OK\r\n".into())]) },
    Case { name: "nothing but interim answers", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000).into())]) },
    Case { name: "an answer of HTTP/0.9", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw("{\"schemaVersion\":2}".into())]) },
    Case { name: "an answer of HTTP/3", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw("HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\n{}".into())]) },
    Case { name: "a chunk that is no number", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n{}\r\n".into())]) },
    Case { name: "a chunk of 16 EiB", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".into())]) },
    Case { name: "a length that is no number", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::DeclaredLength("many".into())]) },
    Case { name: "a negative length", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::DeclaredLength("-1".into())]) },
    Case { name: "a length of 10^23", expect: Network, says: &[], setup: |scene| layer(scene, [Fault::DeclaredLength("1".to_owned() + &"0".repeat(23))]) },
    Case { name: "two lengths", expect: Network, says: &[], setup: |scene| manifests(scene, [header("content-length", "5")]) },
    Case { name: "a manifest of an exbibyte, it is said", expect: Image, says: &["4194304"], setup: |scene| manifests(scene, [Fault::DeclaredLength((1u64 << 60).to_string())]) },
    Case { name: "a layer of an exbibyte, it is said", expect: DigestMismatch, says: &[], setup: |scene| layer(scene, [Fault::DeclaredLength((1u64 << 60).to_string())]) },
    Case { name: "a manifest without an end", expect: Image, says: &["4194304"], setup: |scene| manifests(scene, [Fault::Endless]) },
    Case { name: "a manifest without an end or a length", expect: Image, says: &["4194304"], setup: |scene| manifests(scene, [Fault::Endless, Fault::UntilClose]) },
    Case { name: "a configuration without an end", expect: Image, says: &["4194304"], setup: |scene| { let config = scene.image().build().config_digest(); broken(scene, Target::Blob(config), [Fault::Endless]).naming(config) } },
    Case { name: "a layer without an end", expect: DigestMismatch, says: &["longer"], setup: |scene| layer(scene, [Fault::Endless]) },
    Case { name: "a layer with more after its end", expect: DigestMismatch, says: &[], setup: |scene| { let longer = [&scene.top.blob[..], b"more"].concat(); layer(scene, [Fault::Body(longer.into()), Fault::Chunked]) } },
    Case { name: "headers without an end", expect: Network, says: &[], setup: |scene| manifests(scene, [Fault::EndlessHeaders]) },

    Case { name: "a redirect to itself", expect: Network, says: &["redirect"], setup: |scene| { let origin = scene.registry.url(""); manifests(scene, [Fault::RedirectOrigin(origin)]) } },
    Case { name: "a redirect in a circle of two hosts", expect: Network, says: &["redirect"], setup: |scene| { scene.elsewhere.script(Rule::on(Target::Any).with(Fault::RedirectOrigin(scene.registry.url("")))); let origin = scene.elsewhere.url(""); layer(scene, [Fault::RedirectOrigin(origin)]) } },
    Case { name: "a redirect without a target", expect: Network, says: &["307"], setup: |scene| manifests(scene, [Fault::Redirect(String::new()), Fault::NoHeader("Location")]) },
    Case { name: "a redirect to a file", expect: Network, says: &["redirect"], setup: |scene| layer(scene, [Fault::Redirect("file:///etc/passwd".into())]) },
    Case { name: "a redirect to nonsense", expect: Network, says: &["redirect"], setup: |scene| layer(scene, [Fault::Redirect("http://[".into())]) },
    Case { name: "a redirect to plain HTTP elsewhere", expect: Network, says: &["in the clear"], setup: |scene| layer(scene, [Fault::Redirect("http://registry.invalid/blob".into())]) },
    Case { name: "a redirect to a host that is not there", expect: Network, says: &["127.0.0.1:1"], setup: |scene| { scene.registry.script(Rule::on(Target::Blob(scene.top.digest())).with(Fault::RedirectOrigin("http://127.0.0.1:1".into()))); scene.serve(&scene.image()).naming_layer() } },
    Case { name: "a redirect to another blob", expect: DigestMismatch, says: &[], setup: |scene| { let target = format!("/v2/library/innocent/blobs/{}", scene.base.digest()); layer(scene, [Fault::Redirect(target)]) } },

    Case { name: "a disk that is too small", expect: NoSpace, says: &[], setup: |scene| scene.serve(&scene.image()).options(|options, _| options.free_space_reserve_bytes = u64::MAX / 2) },
];
