//! An OCI distribution registry inside the test, on a loopback port, that can misbehave on command.
//!
//! It serves [`Artifact`]s from memory, records every request, and breaks, below HTTP too, what a [`Rule`] says to break. It
//! has a thread of its own, so it works the same from `#[test]` and `#[tokio::test]`, and a test never sleeps: a [`Gate`]
//! stops a body at a chosen byte until the test lets it go. It takes no uploads. Protocol: distribution-spec 1.1, "Pull".
//!
//! ```
//! use boxlite_testkit::images::{Entry, Image, Layer};
//! use boxlite_testkit::registry::{Fault, Registry, Rule, Target};
//!
//! let registry = Registry::start();
//! let artifact = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
//! registry.push("library/app", "1", &artifact);
//! let reference = registry.reference("library/app:1"); // 127.0.0.1:<port>/library/app:1
//!
//! // The first answer for the layer breaks off after 10 bytes; the manifest answers 503 twice, then is well again.
//! let layer = artifact.layer_digest(0);
//! registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::ResetAfter(10)));
//! registry.script(Rule::on(Target::Manifests).first(2).with(Fault::Status(503)));
//!
//! // ... pull `reference` here, then look at what was asked for:
//! assert_eq!(registry.requests_for(&Target::Blob(layer)).len(), 0);
//! # drop(reference);
//! ```
//!
//! Holding a download in the middle, to cancel or race it:
//!
//! ```no_run
//! # use boxlite_testkit::registry::{Fault, Gate, Registry, Rule, Target};
//! # async fn example(registry: Registry) {
//! let gate = Gate::new();
//! registry.script(Rule::on(Target::Blobs).nth(1).with(Fault::HoldAfter(1000, gate.clone())));
//! // start the pull, then
//! gate.reached().await; // 1000 bytes are out, no more will come
//! gate.open(); // or cancel the pull, and see that it hangs up: gate.abandoned().await
//! # }
//! ```
//!
//! Authentication is [`Registry::require`], TLS is [`Registry::start_tls`] with a [`TestCa`].

mod auth;
mod content;
mod fault;
mod gate;
mod http;
mod record;
mod reply;
mod serve;
#[cfg(test)]
mod tests;
mod tls;

pub use auth::{Auth, Tokens};
pub use fault::{Fault, Rule, Target};
pub use gate::Gate;
pub use record::Recorded;
pub use tls::TestCa;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use boxlite_types::Digest;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::images::Artifact;
use content::Content;
use fault::Script;

/// A running registry. Stops, and breaks off every connection, when it is dropped.
pub struct Registry {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the connections of one registry share.
struct Shared {
    content: Mutex<Content>,
    script: Mutex<Script>,
    requests: Mutex<Vec<Recorded>>,
    auth: Mutex<Option<Auth>>,
    tokens: Mutex<Option<Tokens>>,
    /// The registry's own `scheme://host:port`, as it appears in challenges.
    origin: String,
}

/// Locks, also after a test panicked with the lock held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Registry {
    /// Starts an empty registry that speaks plain HTTP on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If no port or thread can be had.
    pub fn start() -> Self {
        Registry::spawn(None)
    }

    /// Starts an empty registry that speaks TLS with a certificate of `ca` for 127.0.0.1 and localhost.
    ///
    /// # Panics
    /// If no port or thread can be had.
    pub fn start_tls(ca: &TestCa) -> Self {
        Registry::spawn(Some(ca.acceptor(&["127.0.0.1", "localhost"])))
    }

    /// Starts a TLS registry whose certificate is for other names than its own.
    ///
    /// # Panics
    /// If no port or thread can be had.
    pub fn start_tls_for(ca: &TestCa, names: &[&str]) -> Self {
        Registry::spawn(Some(ca.acceptor(names)))
    }

    fn spawn(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        listener.set_nonblocking(true).expect("a non-blocking socket");
        let address = listener.local_addr().expect("the address of the socket");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            script: Mutex::default(),
            requests: Mutex::default(),
            auth: Mutex::default(),
            tokens: Mutex::default(),
            origin: format!("{scheme}://{address}"),
        });
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("test-registry".into())
            .spawn({
                let shared = shared.clone();
                move || serve::run(listener, tls, shared, stopped)
            })
            .expect("a thread");
        Registry { address, scheme, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns `127.0.0.1:<port>`, the host part of references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Returns `127.0.0.1:<port>/<name>` for a `name` as `library/app:1` or `library/app@sha256:...`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Serves `artifact`, all it needs and all below it in `repository`, and lets `tag` name it.
    pub fn push(&self, repository: &str, tag: &str, artifact: &Artifact) {
        lock(&self.shared.content).push(repository, tag, artifact);
    }

    /// Serves `manifest` under any `reference`, tag or digest, true or not.
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: impl Into<Bytes>,
    ) {
        lock(&self.shared.content).put_manifest(repository, reference, media_type, manifest.into());
    }

    /// Serves `blob` under any `digest`, true or not.
    pub fn put_blob(&self, repository: &str, digest: &Digest, blob: impl Into<Bytes>) {
        lock(&self.shared.content).put_blob(repository, digest, blob.into());
    }

    /// Forgets a blob in every repository, as a registry that lost it.
    pub fn remove_blob(&self, digest: &Digest) {
        lock(&self.shared.content).remove_blob(digest);
    }

    /// Breaks what `rule` says, from now on. Of several rules that match one request, all act, in the order given.
    pub fn script(&self, rule: Rule) {
        lock(&self.shared.script).push(rule);
    }

    /// Forgets all rules: an honest registry again. Requests being answered are not touched.
    pub fn heal(&self) {
        *lock(&self.shared.script) = Script::default();
    }

    /// Asks for credentials from now on. With bearer tokens the registry is also its own token server, at `/token`.
    pub fn require(&self, auth: Auth) {
        if let Some(tokens) = auth.tokens() {
            self.serve_tokens(tokens);
        }
        *lock(&self.shared.auth) = Some(auth);
    }

    /// Asks for nothing any more; returns whether it did.
    pub fn forgive(&self) -> bool {
        lock(&self.shared.auth).take().is_some()
    }

    /// Makes this registry the token server, at `/token`, of whoever uses `tokens`.
    pub fn serve_tokens(&self, tokens: &Tokens) {
        *lock(&self.shared.tokens) = Some(tokens.clone());
    }

    /// Returns every request so far, oldest first. A request is listed once its head has been read.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// Returns the requests that `target` matches.
    pub fn requests_for(&self, target: &Target) -> Vec<Recorded> {
        self.requests().into_iter().filter(|request| target.matches(&request.path)).collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        lock(&self.shared.requests).clear();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; a second one here would hide the test's own.
            let _ = thread.join();
        }
    }
}
