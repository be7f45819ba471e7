//! The work of an operation, and who is told when it can go on.
//!
//! Wakers, event loops and waiting threads share it. It may be woken on any thread, is polled only on those of its users,
//! and knows nothing of Python but that an [`Answer`] is made with the interpreter's lock held.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use boxlite::Result;
use pyo3::prelude::*;

use crate::notifier::Inbox;

/// Makes the Python value of an answer, once the interpreter's lock is held.
pub type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What is polled.
pub type Work = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// The work of one operation.
pub struct Task {
    state: Mutex<State>,
    waiter: Mutex<Waiter>,
    progress: Mutex<VecDeque<Answer>>,
}

/// How far an operation is.
enum State {
    Pending(Work),
    Done(Result<Answer>),
    Taken,
}

/// Who is told that an operation can go on.
enum Waiter {
    Nobody,
    Thread(Thread),
    Loop(Arc<Inbox>, u64),
}

/// Locks what no panic leaves in a bad state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Task {
    pub fn new(work: Work) -> Arc<Self> {
        Arc::new(Task {
            state: Mutex::new(State::Pending(work)),
            waiter: Mutex::new(Waiter::Nobody),
            progress: Mutex::default(),
        })
    }

    /// Makes an event loop the one who is told.
    pub fn tell_loop(&self, inbox: Arc<Inbox>, key: u64) {
        *lock(&self.waiter) = Waiter::Loop(inbox, key);
    }

    /// Lets the operation go on. Returns whether it is over.
    pub fn poll(self: &Arc<Self>) -> bool {
        let mut state = lock(&self.state);
        let State::Pending(work) = &mut *state else { return true };
        let waker = Waker::from(self.clone());
        let Poll::Ready(answer) = work.as_mut().poll(&mut Context::from_waker(&waker)) else { return false };
        let over = std::mem::replace(&mut *state, State::Done(answer));
        drop(state);
        // Dropped without the lock: it may be the last of what it holds.
        drop(over);
        true
    }

    pub fn is_over(&self) -> bool {
        !matches!(&*lock(&self.state), State::Pending(_))
    }

    pub fn has_progress(&self) -> bool {
        !lock(&self.progress).is_empty()
    }

    /// Adds something to tell before the operation is over.
    pub fn tell(self: &Arc<Self>, item: Answer) {
        lock(&self.progress).push_back(item);
        self.wake_by_ref();
    }

    /// Takes what there is to tell.
    pub fn take_progress(&self) -> VecDeque<Answer> {
        std::mem::take(&mut *lock(&self.progress))
    }

    /// Takes the answer, if it is there.
    pub fn take(&self) -> Option<Result<Answer>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Gives the work up. It holds wakers, which hold the task, which holds the work; and the inbox of a loop that is gone
    /// may hold the task, which holds the inbox: this takes them apart.
    pub fn drop_work(&self) {
        let waiter = std::mem::replace(&mut *lock(&self.waiter), Waiter::Nobody);
        drop(waiter);
        let state = std::mem::replace(&mut *lock(&self.state), State::Taken);
        drop(state);
    }

    /// Waits on this thread until the operation is over or has progress to tell, or time is up.
    pub fn park(self: &Arc<Self>, until: Option<Instant>) -> bool {
        *lock(&self.waiter) = Waiter::Thread(std::thread::current());
        loop {
            if self.poll() || self.has_progress() {
                return true;
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => std::thread::park_timeout(left),
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        match &*lock(&self.waiter) {
            Waiter::Nobody => {}
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Loop(inbox, key) => inbox.push(*key, self.clone()),
        }
    }
}
