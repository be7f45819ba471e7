//! The threads of a runtime, and waiting on a thread that belongs to no executor.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use boxlite_types::{Error, ErrorCode, Result};

/// Threads that run the work of a runtime. Two let a pull hash while it receives; what blocks has threads of its own.
const WORKER_THREADS: usize = 2;

thread_local! {
    static ON_WORKER_THREAD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Returns whether this thread belongs to a runtime.
pub(crate) fn on_worker_thread() -> bool {
    ON_WORKER_THREAD.get()
}

/// The executor of a runtime. Dropping it, anywhere, ends it without waiting.
pub(crate) struct Workers(Option<tokio::runtime::Runtime>);

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// `ResourceExhausted` if there can be no more.
    pub fn start() -> Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("boxlite-worker")
            .on_thread_start(|| ON_WORKER_THREAD.set(true))
            .enable_all()
            .build()
            .map(|executor| Workers(Some(executor)))
            .map_err(|error| {
                Error::new(ErrorCode::ResourceExhausted, format!("cannot start threads: {error}"))
            })
    }

    pub fn handle(&self) -> &tokio::runtime::Handle {
        self.0.as_ref().expect("it is there until it is shut down").handle()
    }

    /// Drops every task, and waits until the threads have ended, but not longer than `patience`.
    pub fn shut_down(mut self, patience: Duration) {
        if let Some(executor) = self.0.take() {
            executor.shutdown_timeout(patience);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(executor) = self.0.take() {
            executor.shutdown_background();
        }
    }
}

/// Waits for a future on this thread, inside or outside of any executor. `time_left` is asked again whenever the future is
/// woken, so a deadline may move; it answers `None` if there is none.
///
/// Returns `None` if time was up first.
pub(crate) fn block_on<T>(
    future: impl Future<Output = T>,
    time_left: impl Fn() -> Option<Duration>,
) -> Option<T> {
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        match time_left() {
            None => std::thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => std::thread::park_timeout(left),
        }
    }
}
