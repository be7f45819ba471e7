//! How a future that can go on, on whatever thread, reaches the event loop that polls it.
//!
//! Node's one way in from another thread is a *threadsafe function*. An [`Inbox`] has one, and rings it when its list of
//! ready tasks stops being empty. The lock around the list is also what keeps a late waker away from a function that is
//! gone: [`Inbox::close`] takes it out under the same lock, before Node frees it.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};

use napi::sys;

/// The tasks of one event loop that can go on.
pub struct Inbox {
    state: Mutex<State>,
}

struct State {
    ready: VecDeque<u64>,
    bell: Option<Bell>,
}

/// The threadsafe function.
struct Bell(sys::napi_threadsafe_function);

// SAFETY: Node lets any thread call a threadsafe function until it is released, and it is released only by who took it out
// of the inbox.
unsafe impl Send for Bell {}

impl Inbox {
    /// Makes the inbox of the event loop that answers to `function`.
    pub fn new(function: sys::napi_threadsafe_function) -> Arc<Self> {
        Arc::new(Inbox { state: Mutex::new(State { ready: VecDeque::new(), bell: Some(Bell(function)) }) })
    }

    /// Takes everything that is ready by now.
    pub fn take(&self) -> VecDeque<u64> {
        std::mem::take(&mut self.lock().ready)
    }

    /// Returns the threadsafe function, for the thread of the event loop.
    pub fn function(&self) -> Option<sys::napi_threadsafe_function> {
        self.lock().bell.as_ref().map(|bell| bell.0)
    }

    /// Lets nobody ring any more, and hands over the threadsafe function.
    pub fn close(&self) -> Option<sys::napi_threadsafe_function> {
        self.lock().bell.take().map(|bell| bell.0)
    }

    fn put(&self, task: u64) {
        let mut state = self.lock();
        state.ready.push_back(task);
        if let (1, Some(bell)) = (state.ready.len(), &state.bell) {
            // SAFETY: the function is alive while it is in the inbox, whose lock is held. Its queue has no limit, so that
            // this does not wait; the one way to fail is an event loop that is closing, which wants no more news.
            unsafe {
                sys::napi_call_threadsafe_function(
                    bell.0,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Puts one task into the inbox, once for each time it is polled.
pub struct TaskWaker {
    task: u64,
    queued: AtomicBool,
    inbox: Arc<Inbox>,
}

impl TaskWaker {
    /// Makes the waker of `task`.
    pub fn new(task: u64, inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(TaskWaker { task, queued: AtomicBool::new(false), inbox })
    }

    /// Makes ready for the next wake; called before the task is polled.
    pub fn rearm(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Returns it as the standard library knows it.
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.inbox.put(self.task);
        }
    }
}
