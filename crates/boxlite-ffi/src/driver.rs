//! The one thread that polls operations.
//!
//! The futures of `boxlite` only wait for the threads of their runtime, so one thread serves any number of them. It never
//! runs code of the program that uses the library, and nothing waits for it while holding a lock.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};

use boxlite::{Error, ErrorCode, Result};
use tokio::sync::Notify;

/// Polls what it is given until that is done. Dropping it ends the thread.
pub(crate) struct Driver {
    handle: tokio::runtime::Handle,
    end: Arc<Notify>,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// `ResourceExhausted` if there can be no more.
    pub fn start() -> Result<Self> {
        let exhausted =
            |error| Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"));
        let executor =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(exhausted)?;
        let (handle, end) = (executor.handle().clone(), Arc::new(Notify::new()));
        let ended = end.clone();
        std::thread::Builder::new()
            .name("boxlite-ffi".into())
            .spawn(move || executor.block_on(ended.notified()))
            .map_err(exhausted)?;
        Ok(Driver { handle, end })
    }

    /// Polls a future to its end. The first time is now, on this thread: that begins the work without a detour, and what
    /// is refused at once is over when this returns.
    pub fn run(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut future = Box::pin(future);
        let _timers = self.handle.enter();
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.handle.spawn(future);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end.notify_one();
    }
}
