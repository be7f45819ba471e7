//! The runtime: the open handle to a home, its shutdown and its end.
//!
//! A handle of a runtime is the only thing that keeps it open. Shutdown, and freeing the handle, settle every operation of
//! the runtime before they are over; see [`crate::scope`].

mod boxes;
mod exports;
mod machine;
mod open;
mod options;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxlite::{Error, ErrorCode, Result, Runtime};

use crate::handle::{self, Handle, Kind, Owned};
use crate::images::{ImagesObject, boxlite_images};
use crate::process::Process;
use crate::scope::Scope;

pub(crate) use open::OpenRuntime;

pub use boxes::*;
pub use exports::*;
pub use machine::*;
pub use options::*;

/// An open home. Freed with `boxlite_runtime_free`, which shuts it down.
pub struct boxlite_runtime {
    _private: [u8; 0],
}

impl Handle for boxlite_runtime {
    type Object = RuntimeObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Runtime;
    const NOUN: &'static str = "runtime";
}

/// Deadline of the shutdown that freeing a runtime means.
const FREE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long freeing waits for that shutdown: it keeps its deadline by itself, up to a quarter of a second.
const FREE_PATIENCE: Duration = Duration::from_secs(3);

/// What is behind the handle of a runtime.
pub(crate) struct RuntimeObject {
    runtime: Runtime,
    scope: Arc<Scope>,
    /// The handle of the images, once somebody asked for it.
    images: Mutex<Option<usize>>,
}

impl RuntimeObject {
    pub fn new(open: OpenRuntime) -> Self {
        RuntimeObject { runtime: open.into_runtime(), scope: Arc::default(), images: Mutex::default() }
    }

    /// Returns the one handle of the images; another one only after that was freed.
    fn images(&self) -> Result<*mut boxlite_images> {
        self.scope.check()?;
        let mut known = self.images.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(handle) = known.map(std::ptr::without_provenance_mut::<boxlite_images>)
            && handle::get(handle).is_ok()
        {
            return Ok(handle);
        }
        let object = ImagesObject::new(self.runtime.images().clone(), self.scope.clone());
        let handle = handle::insert::<boxlite_images>(Arc::new(object))?;
        *known = Some(handle.addr());
        Ok(handle)
    }

    /// Refuses everything from now on, and returns what shuts the runtime down. When that is over, every operation has its
    /// outcome.
    fn shutdown(&self, timeout: Duration) -> impl Future<Output = Result<()>> + Send + use<> {
        self.scope.stop();
        let (runtime, scope) = (self.runtime.clone(), self.scope.clone());
        async move {
            let result = runtime.shutdown(timeout).await;
            scope.settle().await;
            result
        }
    }

    /// Ends the runtime, whose handle is stale by now.
    fn end(&self) -> Result<()> {
        let shutdown = self.shutdown(FREE_TIMEOUT);
        let (sender, receiver) = std::sync::mpsc::channel();
        Process::current().driver()?.run(async move {
            // Without a receiver nobody waits any more.
            let _ = sender.send(shutdown.await);
        });
        receiver.recv_timeout(FREE_PATIENCE).unwrap_or_else(|_| {
            Err(Error::new(ErrorCode::Internal, "the shutdown of the runtime did not keep its deadline"))
        })
    }
}
