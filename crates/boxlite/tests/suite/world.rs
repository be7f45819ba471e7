//! What most tests start from: a home, a registry with one image, an engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boxlite::{
    BoxHandle, BoxSpec, Error, ErrorCode, ExecSpec, ImageOptions, Options, PullOptions, RegistryOptions,
    Result, RetryOptions, Runtime, Transport,
};
use boxlite_testkit::engine::FakeEngine;
use boxlite_testkit::images::{Artifact, Entry, Image, Layer};
use boxlite_testkit::registry::Registry;
use serde_json::json;

/// Long enough for everything that is to end by itself, short enough to notice what does not.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub home: tempfile::TempDir,
    pub registry: Registry,
    pub engine: Arc<FakeEngine>,
    pub artifact: Artifact,
}

impl World {
    pub fn new() -> Self {
        let registry = Registry::start();
        let entries =
            [Entry::directory("etc"), Entry::file("etc/motd", "hello"), Entry::file("bin", "x".repeat(5000))];
        let artifact = Image::new([Layer::from_entries(entries)])
            .run("Cmd", json!(["echo", "from the image"]))
            .run("Env", json!(["PATH=/bin", "FROM=image"]))
            .run("WorkingDir", json!("/srv"))
            .build();
        registry.push("app", "1", &artifact);
        World { home: tempfile::tempdir().unwrap(), registry, engine: FakeEngine::new(), artifact }
    }

    pub fn options(&self) -> Options {
        options(self.home.path(), &self.registry.host(), Some(self.engine.clone()))
    }

    /// Opens a runtime.
    pub async fn open(&self) -> Runtime {
        Runtime::open(self.options()).await.unwrap()
    }

    /// Opens a runtime whose home holds the image.
    pub async fn open_with_image(&self) -> Runtime {
        let runtime = self.open().await;
        runtime.images().pull(&self.image(), PullOptions::default()).await.unwrap();
        runtime
    }

    pub fn image(&self) -> String {
        self.registry.reference("app:1")
    }

    pub fn spec(&self) -> BoxSpec {
        BoxSpec { image: self.image(), ..BoxSpec::default() }
    }

    /// A box that runs until it is stopped.
    pub async fn running(&self, runtime: &Runtime) -> BoxHandle {
        let made = runtime.create(self.spec()).await.unwrap();
        made.start().await.unwrap();
        made
    }
}

pub fn options(home: &Path, registry: &str, engine: Option<Arc<FakeEngine>>) -> Options {
    let registry = RegistryOptions {
        host: registry.to_owned(),
        transport: Transport::Http,
        ..RegistryOptions::default()
    };
    let retry = RetryOptions { base_delay: Duration::from_millis(1), ..RetryOptions::default() };
    Options {
        home: Some(home.to_owned()),
        images: ImageOptions { registries: vec![registry], retry, ..ImageOptions::default() },
        custom_engine: engine.map(|engine| engine as _),
        ..Options::default()
    }
}

pub fn exec(words: &str) -> ExecSpec {
    ExecSpec { argv: words.split_whitespace().map(str::to_owned).collect(), ..ExecSpec::default() }
}

/// Runs a command to its end and returns what it printed.
pub async fn stdout(made: &BoxHandle, words: &str) -> String {
    let output = made.exec(exec(words)).await.unwrap().output().await.unwrap();
    assert!(output.status.success(), "{words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.expect_err("it was to be refused").code()
}

/// Expects an error, and returns it.
pub fn error<T: std::fmt::Debug>(result: Result<T>) -> Error {
    result.expect_err("it was to be refused")
}

/// How often races are run: a few times, or as the environment says.
pub fn rounds() -> usize {
    std::env::var("BOXLITE_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

/// Fails a test that would hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}
