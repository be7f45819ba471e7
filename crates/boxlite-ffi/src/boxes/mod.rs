//! The handle of a box.
//!
//! It is a name, not a connection: any number of them may name one box, and freeing one does nothing to the box.

mod copy;
mod exports;
mod options;

use std::sync::Arc;

use boxlite::BoxHandle;

use crate::handle::{Handle, Kind, Owned};
use crate::scope::Scope;
use crate::text::Texts;

pub use copy::*;
pub use exports::*;
pub use options::*;

/// A box. Freed with `boxlite_box_free`, which does nothing to the box itself.
pub struct boxlite_box {
    _private: [u8; 0],
}

impl Handle for boxlite_box {
    type Object = BoxObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Box;
    const NOUN: &'static str = "box";
}

/// What is behind the handle of a box.
pub(crate) struct BoxObject {
    handle: BoxHandle,
    scope: Arc<Scope>,
    texts: Texts,
}

impl BoxObject {
    pub fn new(handle: BoxHandle, scope: Arc<Scope>) -> Self {
        BoxObject { handle, scope, texts: Texts::default() }
    }

    pub fn id(&self) -> &str {
        self.handle.id().as_str()
    }
}
