//! The image store: references, registry client, verified pull in one streaming pass, and what is kept on disk.
//!
//! It knows nothing of boxes beyond the rows that say which image one needs, nothing of engines, terminals or arguments.
//! Its invariant: nothing is used before it is verified, and no row points at bytes that are not durable.

mod config;
mod gzip;
mod inflate;
mod locks;
mod manifest;
mod media;
mod options;
mod pipeline;
mod progress;
mod reference;
mod registry;
mod selection;
mod store;

pub use options::{
    ImageOptions, PullOptions, PullSink, RegistryAuth, RegistryOptions, RetryOptions, Transport,
};
pub use reference::{ImageName, Reference, Selector};
pub use store::ImageStore;
