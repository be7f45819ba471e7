//! The image handle: one for each runtime, the same for all who ask.
//!
//! It belongs to the runtime and is closed rather than freed: while the runtime lives a closed one answers `InvalidState`;
//! after it, one that is still held answers `Stopped`, and one that was closed is stale.

mod exports;
mod options;

use std::sync::{Arc, Mutex, MutexGuard};

use boxlite::{Error, ErrorCode, Images, Result};

use crate::handle::{self, Handle, Kind, Shared};
use crate::scope::Scope;

pub use exports::*;
pub use options::*;

/// The images of a runtime. Belongs to the runtime; may be closed with `boxlite_images_free`.
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
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    closed: bool,
    runtime_freed: bool,
}

impl ImagesObject {
    pub fn new(images: Images, scope: Arc<Scope>) -> Self {
        ImagesObject { images, scope, life: Mutex::default() }
    }

    /// Returns the images, if the handle is good for anything.
    ///
    /// # Errors
    /// `Stopped` after the runtime; `InvalidState` if it was closed.
    fn open(&self) -> Result<&Images> {
        self.scope.check()?;
        if self.is_closed() {
            return Err(Error::new(ErrorCode::InvalidState, "the image handle is closed"));
        }
        Ok(&self.images)
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closes the handle.
    ///
    /// # Errors
    /// `InvalidHandle` if it was closed before.
    fn close(&self, handle: *const boxlite_images) -> Result<()> {
        let mut life = self.lock();
        if life.closed {
            return Err(Error::new(ErrorCode::InvalidHandle, "the image handle was freed already"));
        }
        life.closed = true;
        if life.runtime_freed {
            handle::remove(handle)?;
        }
        Ok(())
    }

    /// Makes a closed handle stale, since there will be a new one.
    pub fn forget(&self, handle: *const boxlite_images) {
        // It is in the table as long as the runtime remembers it.
        let _ = handle::remove(handle);
    }

    /// Notes that the runtime's handle was freed: from now on nobody remembers this one but its holder.
    pub fn outlive_runtime(&self, handle: *const boxlite_images) {
        let mut life = self.lock();
        life.runtime_freed = true;
        if life.closed {
            self.forget(handle);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
