//! The conversation with a registry, seen from the registry: what is asked, how often, with which credentials, and how every
//! answer is taken. What is wrong in itself is in `bad_input`; here the pull succeeds, or is cancelled.

#[path = "../common/mod.rs"]
mod common;

mod authentication;
mod cancellation;
mod sharing;
mod tls;
mod transfer;

use boxlite_image::{ImageStore, PullOptions};
use boxlite_testkit::images::{Artifact, Entry, Image, Layer, library_like};
use boxlite_testkit::registry::{Recorded, Registry, Target};
use boxlite_types::{Digest, PulledImage};

/// An image of so many layers of some 60 KB each, no two the same.
pub fn image(layers: u64) -> Artifact {
    let layer = |number| {
        Layer::from_entries([
            Entry::directory("usr"),
            Entry::file(format!("usr/{number}"), library_like(150_000, number)),
        ])
    };
    Image::new((1..=layers).map(layer)).build()
}

/// A registry that serves `artifact` as `library/app:1`, and that reference.
pub fn serve(artifact: &Artifact) -> (Registry, String) {
    let registry = Registry::start();
    registry.push("library/app", "1", artifact);
    let reference = registry.reference("library/app:1");
    (registry, reference)
}

/// Pulls, and checks that what came is `artifact`, whole.
pub async fn pull(store: &ImageStore, reference: &str, artifact: &Artifact) -> PulledImage {
    let pulled = store.pull(reference, PullOptions::default()).await.unwrap();
    assert_eq!(pulled.id, artifact.digest());
    let report = store.check(false).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    pulled
}

/// The requests for one blob.
pub fn blob(registry: &Registry, digest: Digest) -> Vec<Recorded> {
    registry.requests_for(&Target::Blob(digest))
}

/// The requests as `method path status`, the digests cut to eight digits.
pub fn summary(registry: &Registry) -> Vec<String> {
    let short = |path: &str| match path.split_once("sha256:") {
        Some((start, digest)) => format!("{start}{}", &digest[..8]),
        None => path.to_owned(),
    };
    registry.requests().iter().map(|r| format!("{} {} {}", r.method, short(&r.path), r.status)).collect()
}
