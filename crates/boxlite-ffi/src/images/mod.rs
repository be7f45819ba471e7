//! The image handle: one for each runtime, the same for all who ask.
//!
//! Whoever frees it frees it for everybody, and whoever asks the runtime next gets a new one. It may outlive its runtime, and
//! answers `Stopped` then.

mod exports;
mod options;

use std::sync::Arc;

use boxlite::Images;

use crate::handle::{Handle, Kind, Shared};
use crate::scope::Scope;

pub use exports::*;
pub use options::*;

/// The images of a runtime. One for all who ask the runtime; freed once, with `boxlite_images_free`.
pub struct boxlite_images {
    _private: [u8; 0],
}

impl Handle for boxlite_images {
    type Object = ImagesObject;
    type Ownership = Shared;
    const KIND: Kind = Kind::Images;
    const NOUN: &'static str = "image handle";
}

/// What is behind the image handle.
pub(crate) struct ImagesObject {
    images: Images,
    scope: Arc<Scope>,
}

impl ImagesObject {
    pub fn new(images: Images, scope: Arc<Scope>) -> Self {
        ImagesObject { images, scope }
    }
}
