//! One bad thing, and what has to be true after it: the right error, a home as before, and a store that still works.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::time::Duration;

use boxlite_image::{ImageOptions, PullOptions};
use boxlite_testkit::images::{Artifact, Entry, Image, Layer, library_like, sha256};
use boxlite_testkit::registry::Registry;
use boxlite_types::{Digest, Error, ErrorCode, PullPolicy};
use futures::{FutureExt, StreamExt};

use crate::common::TestHome;

/// Longer than any case takes, even beside eight others on one processor.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// What a registry may have handed to the network, buffers of the sockets included, before a body that never ends is given up.
const ENDLESS_BYTES: u64 = 24 << 20;
/// Longest message.
const MESSAGE_CHARS: usize = 700;

/// One line of the table.
pub struct Case {
    /// What is bad about it.
    pub name: &'static str,
    /// How the pull has to fail.
    pub expect: ErrorCode,
    /// What the message has to say.
    pub says: &'static [&'static str],
    /// Makes the bad thing, and says how to pull it.
    pub setup: fn(&Scene) -> Bad,
}

/// Writes a line of the table: what is bad, how the pull has to fail, what the message has to say, how it comes about.
pub const fn case(
    name: &'static str,
    expect: ErrorCode,
    says: &'static [&'static str],
    setup: fn(&Scene) -> Bad,
) -> Case {
    Case { name, expect, says, setup }
}

/// What is there before the bad thing comes.
pub struct Scene {
    pub registry: Registry,
    /// Another host.
    pub elsewhere: Registry,
    /// A layer that is in the store already.
    pub base: Layer,
    /// A layer that is not.
    pub top: Layer,
}

/// How the bad thing is pulled.
pub struct Bad {
    reference: String,
    platform: Option<&'static str>,
    names: Vec<String>,
    options: fn(&mut ImageOptions, &Scene),
    artifact: Option<Artifact>,
}

impl Bad {
    pub fn pull(reference: impl Into<String>) -> Self {
        Bad {
            reference: reference.into(),
            platform: None,
            names: Vec::new(),
            options: |_, _| (),
            artifact: None,
        }
    }

    /// The error has to name this, in its message or its context.
    pub fn naming(mut self, name: impl ToString) -> Self {
        self.names.push(name.to_string());
        self
    }

    /// The error has to name the layer on top.
    pub fn naming_layer(self) -> Self {
        let digest = self.layer();
        self.naming(digest)
    }

    /// The digest of the layer on top.
    pub fn layer(&self) -> Digest {
        self.artifact.as_ref().unwrap().layer_digest(1)
    }

    pub fn platform(mut self, platform: &'static str) -> Self {
        self.platform = Some(platform);
        self
    }

    pub fn options(mut self, change: fn(&mut ImageOptions, &Scene)) -> Self {
        self.options = change;
        self
    }
}

impl Scene {
    fn new() -> Self {
        // Made once: compressing would else be most of what a case costs.
        static LAYERS: LazyLock<[Layer; 2]> = LazyLock::new(|| {
            let base = [
                Entry::directory("etc"),
                Entry::file("etc/os-release", "ID=test\n"),
                Entry::directory("usr"),
                Entry::file("usr/library", library_like(40_000, 1)),
            ];
            let top = [
                Entry::file("usr/top", library_like(200_000, 2)),
                Entry::symlink("usr/link", "../etc/os-release"),
            ];
            [Layer::from_entries(base), Layer::from_entries(top)]
        });
        let [base, top] = LAYERS.clone();
        Scene { registry: Registry::start(), elsewhere: Registry::start(), base, top }
    }

    /// An honest image of the layer that is held and one that is not; lies are added to it.
    pub fn image(&self) -> Image {
        Image::new([self.base.clone(), self.top.clone()])
    }

    /// An image with this layer on top.
    pub fn with(&self, layer: Layer) -> Image {
        Image::new([self.base.clone(), layer])
    }

    /// Serves an image, to be pulled by tag.
    pub fn serve(&self, image: &Image) -> Bad {
        self.push(&image.build())
    }

    pub fn push(&self, artifact: &Artifact) -> Bad {
        self.registry.push("library/bad", "case", artifact);
        let bad = Bad::pull(self.registry.reference("library/bad:case"));
        Bad { artifact: Some(artifact.clone()), ..bad }
    }

    /// Serves any bytes as a manifest.
    pub fn manifest(&self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Bad {
        self.registry.put_manifest("library/bad", "case", media_type, bytes.into());
        Bad::pull(self.registry.reference("library/bad:case"))
    }
}

/// Runs all cases, some at a time, and reports every one that is not as it should be.
///
/// The runtime has threads to spare and is left behind at the end, so that a case that spins or blocks is reported as well.
pub fn run_all(cases: &'static [Case]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let all = futures::stream::iter(cases).map(check).buffer_unordered(8).collect();
    let failures: Vec<Option<String>> = runtime.block_on(all);
    runtime.shutdown_background();
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Runs one case; returns what is wrong, as text.
async fn check(case: &'static Case) -> Option<String> {
    let complaints = match AssertUnwindSafe(tokio::time::timeout(HANGS_AFTER, run(case))).catch_unwind().await
    {
        Ok(Ok(complaints)) => complaints,
        Ok(Err(_)) => vec!["hangs".into()],
        Err(_) => vec!["panics; see above".into()],
    };
    (!complaints.is_empty()).then(|| format!("{}:\n    {}", case.name, complaints.join("\n    ")))
}

/// Runs one case; returns what is wrong.
async fn run(case: &'static Case) -> Vec<String> {
    let scene = Scene::new();
    let home = TestHome::new();
    let innocent = Image::new([scene.base.clone()]).build();
    scene.registry.push("library/innocent", "1", &innocent);
    let innocent_reference = scene.registry.reference("library/innocent:1");
    home.store().pull(&innocent_reference, PullOptions::default()).await.expect("the innocent image");

    let bad = (case.setup)(&scene);
    let mut options = home.options();
    // One after the other, so that what a case leaves does not depend on how far an innocent layer beside it had come; that
    // is a test of its own, in `registry/sharing.rs`.
    options.parallel_layers = 1;
    (bad.options)(&mut options, &scene);
    let store = home.store_with(options);
    let (files, rows) = (home.files(), home.rows());
    let platform = bad.platform.map(|platform| platform.parse().expect("a platform"));
    let outcome = store.pull(&bad.reference, PullOptions { platform, ..PullOptions::default() }).await;

    let mut complaints = Vec::new();
    let error = match outcome {
        Ok(pulled) => {
            complaints.push(format!("was pulled, as {}", pulled.id));
            return complaints;
        }
        Err(error) => error,
    };
    complaints.extend(check_error(case, &bad, &error));
    let difference = files.difference(&home.files());
    let resumable = |line: &String| error.is_retryable() && is_resumable(line, &home, &scene, &bad);
    complaints
        .extend(difference.into_iter().filter(|line| !resumable(line)).map(|line| format!("left {line}")));
    complaints.extend(home.locked().into_iter().map(|path| format!("left {path} locked")));
    let after = home.rows();
    complaints.extend(rows.symmetric_difference(&after).map(|row| format!("changed the row {row}")));
    match store.check(false).await {
        Ok(report) => {
            complaints.extend(report.findings.iter().map(|finding| format!("check finds {finding:?}")))
        }
        Err(error) => complaints.push(format!("check fails: {error:?}")),
    }
    for request in scene.registry.requests().iter().chain(&scene.elsewhere.requests()) {
        if request.bytes_sent > ENDLESS_BYTES {
            complaints.push(format!("took {} bytes of {}", request.bytes_sent, request.path));
        }
    }

    // The same registry, honest again, and the same store: whatever was bad must not stick to what is good.
    scene.registry.heal();
    let genuine = scene.image().build();
    scene.registry.push("library/genuine", "1", &genuine);
    let reference = scene.registry.reference("library/genuine:1");
    // What a store was told, by its options or by a challenge, it remembers for its life; then one without that past pulls.
    let told = scene.registry.forgive() || case.expect == ErrorCode::NoSpace;
    let store = if told { home.store() } else { store };
    match store.pull(&reference, PullOptions::default()).await {
        Ok(pulled) if pulled.id == genuine.digest() => {}
        Ok(pulled) => complaints.push(format!("the genuine image came as {}", pulled.id)),
        Err(error) => complaints.push(format!("the genuine image cannot be pulled: {error:?}")),
    }
    let never = PullOptions { policy: PullPolicy::Never, ..PullOptions::default() };
    if let Err(error) = store.pull(&innocent_reference, never).await {
        complaints.push(format!("the innocent image is gone: {error:?}"));
    }
    match store.check(false).await {
        Ok(report) if report.findings.is_empty() => {}
        other => complaints.push(format!("check after the genuine image: {other:?}")),
    }
    complaints
}

fn check_error(case: &Case, bad: &Bad, error: &Error) -> Vec<String> {
    let mut complaints = Vec::new();
    if error.code() != case.expect {
        complaints.push(format!("{error:?} instead of {}", case.expect));
    }
    let message = error.message();
    for wanted in case.says {
        if !message.contains(wanted) {
            complaints.push(format!("`{message}` does not say `{wanted}`"));
        }
    }
    for name in &bad.names {
        if !message.contains(name) && !error.context().values().any(|value| value.contains(name)) {
            complaints.push(format!("{error:?} does not name `{name}`"));
        }
    }
    if error.operation() != Some("images.pull") {
        complaints.push(format!("operation {:?}", error.operation()));
    }
    let shape = message.is_empty()
        || message.ends_with('.')
        || message.contains(char::is_control)
        || message.chars().count() > MESSAGE_CHARS;
    if shape {
        complaints.push(format!("the message is no proper line: {message:?}"));
    }
    complaints
}

/// Whether a line of the difference is the beginning of a blob that a later pull can go on with.
fn is_resumable(line: &str, home: &TestHome, scene: &Scene, bad: &Bad) -> bool {
    let path = line.strip_prefix("+ ingest/blob-").and_then(|rest| rest.split_once(".partial "));
    let Some((hex, _)) = path else { return false };
    let held = std::fs::read(home.home().ingest().join(format!("blob-{hex}.partial"))).unwrap_or_default();
    let served = bad.artifact.iter().flat_map(|artifact| artifact.blobs.values());
    let mut blobs = served.chain([&scene.top.blob]);
    blobs.any(|blob| sha256(blob).hex() == hex && blob.starts_with(&held))
}
