//! What the tests of every crate share: images as data, a registry that lies on command, peers to compare with.
//!
//! * [`images`]: tar entries, layers, manifests and indexes, honest or lying; busybox; large synthetic images.
//! * [`registry`]: an in-process OCI registry with scripted faults, recorded requests and gates.
//! * `engine`: boxes without machines, that speak the real protocol; behind the feature of that name.
//! * [`external`]: Debian's `docker-registry` for demo, benches and compatibility.
//! * [`tree`]: a directory as a value, to show that something left no trace.
//!
//! Only dev-dependencies may name this crate. Its helpers panic where a test could not go on anyway. It knows nothing of
//! boxlite-image, whose tests are its main user.

#[cfg(feature = "engine")]
pub mod engine;
pub mod external;
pub mod images;
pub mod registry;
pub mod tree;
