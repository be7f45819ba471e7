//! Completion queues: one place to wait for thousands of operations.
//!
//! An operation that is bound to a queue puts one completion there, when it ends, whatever became of its handle. A
//! completion is delivered to exactly one caller of [`Queue::next`].

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use boxlite::{Error, ErrorCode, Result};

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::operation::boxlite_operation;
use crate::output::{Out, OutStruct, SizedStruct};
use crate::signal;
use crate::status::boxlite_status;

/// A completion queue. Freed with `boxlite_queue_free`.
pub struct boxlite_queue {
    _private: [u8; 0],
}

impl Handle for boxlite_queue {
    type Object = Queue;
    type Ownership = Owned;
    const KIND: Kind = Kind::Queue;
    const NOUN: &'static str = "queue";
}

/// The end of one operation, as a queue tells it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct boxlite_completion {
    /// `sizeof(boxlite_completion)`.
    pub size: usize,
    /// The operation. Its handle may have been freed by now, and answers `BOXLITE_INVALID_HANDLE` then.
    pub operation: *mut boxlite_operation,
    /// What `boxlite_operation_bind` was given.
    pub user_data: u64,
    /// How it ended: a `boxlite_status`.
    pub status: i32,
}

// SAFETY: `repr(C)`, size first, numbers and a pointer that is never followed.
unsafe impl SizedStruct for boxlite_completion {
    const FIRST_SIZE: usize = 32;
}

/// The end of one operation, as it lies in a queue.
#[derive(Clone, Copy)]
pub(crate) struct Completion {
    /// Value of the handle.
    pub operation: usize,
    pub user_data: u64,
    pub status: i32,
}

/// What is behind the handle of a queue.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    completions: VecDeque<Completion>,
    descriptor: Option<OwnedFd>,
    freed: bool,
}

impl Queue {
    /// Adds a completion; a queue that was freed wants none.
    pub fn push(&self, completion: Completion) {
        let mut state = self.lock();
        if state.freed {
            return;
        }
        if let Some(descriptor) = &state.descriptor
            && state.completions.is_empty()
        {
            signal::raise(descriptor.as_fd());
        }
        state.completions.push_back(completion);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the oldest completion; waits for one, forever without a timeout.
    ///
    /// # Errors
    /// `Timeout`; `InvalidHandle` if the queue is freed meanwhile.
    fn next(&self, timeout: Option<Duration>) -> Result<Completion> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.freed {
                return Err(Error::new(ErrorCode::InvalidHandle, "the queue was freed"));
            }
            if let Some(completion) = state.completions.pop_front() {
                if let Some(descriptor) = &state.descriptor
                    && state.completions.is_empty()
                {
                    signal::lower(descriptor.as_fd());
                }
                return Ok(completion);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(Duration::ZERO) => {
                    return Err(Error::new(ErrorCode::Timeout, "nothing has completed"));
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
        }
    }

    fn descriptor(&self) -> Result<RawFd> {
        let mut state = self.lock();
        if state.descriptor.is_none() {
            let descriptor = signal::new()?;
            if !state.completions.is_empty() {
                signal::raise(descriptor.as_fd());
            }
            state.descriptor = Some(descriptor);
        }
        Ok(state.descriptor.as_ref().expect("it was made").as_raw_fd())
    }

    fn close(&self) {
        let mut state = self.lock();
        state.freed = true;
        state.completions.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Makes a queue. It belongs to no runtime: operations of several may be bound to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_queue_new(
    queue: *mut *mut boxlite_queue,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(queue, "queue") }?;
        out.set(handle::insert::<boxlite_queue>(Default::default())?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Takes the oldest completion, waiting up to `timeout_ms` milliseconds for one: 0 does not wait, a negative number waits
/// without end. Any number of threads may do so. Answers `BOXLITE_TIMEOUT` if there was none, `BOXLITE_INVALID_HANDLE` if
/// the queue is freed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_queue_next(
    queue: *mut boxlite_queue,
    timeout_ms: i64,
    completion: *mut boxlite_completion,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let queue = handle::get(queue)?;
        // SAFETY: the contract of structs.
        let out = unsafe { OutStruct::new(completion, "completion") }?;
        let Completion { operation, user_data, status } = queue.next(input::timeout(timeout_ms))?;
        let operation = std::ptr::without_provenance_mut(operation);
        out.set(boxlite_completion { size: 0, operation, user_data, status });
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Returns a descriptor that is readable while there are completions, for `poll` and `epoll`. It belongs to the queue: only
/// `boxlite_queue_next` changes it, and `boxlite_queue_free` closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_queue_fd(
    queue: *mut boxlite_queue,
    descriptor: *mut i32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let queue = handle::get(queue)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(descriptor, "descriptor") }?;
        out.set(queue.descriptor()?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a queue, with the completions in it. Threads that wait in it come back. Operations bound to it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_queue_free(queue: *mut boxlite_queue) -> boxlite_status {
    let body = || {
        if let Some(queue) = handle::free(queue)? {
            queue.close();
        }
        Ok(())
    };
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), body) }
}
