//! What lives and ends with one runtime: every handle made from it knows its scope, and none of them keeps the runtime open.
//!
//! The library itself refuses and settles the work of a runtime that is shut down. The scope holds the other half of the
//! promise for C: refused in the call itself, and when shutdown has returned, every operation of the runtime has its
//! outcome, its file descriptor is readable and its completion lies in its queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use boxlite::{Error, ErrorCode, Result};
use tokio::sync::Notify;

use crate::operation::Operation;

/// How long operations that the library has settled may take to be seen here. They are on their way: this only bounds a
/// stream that nobody wakes.
const SETTLING: Duration = Duration::from_millis(100);

/// The scope of one runtime.
#[derive(Default)]
pub(crate) struct Scope {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    stopped: bool,
    next_key: u64,
    inside: HashMap<u64, Arc<Operation>>,
}

/// The answer of a runtime that was shut down.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorCode::Stopped, "the runtime has been shut down")
}

impl Scope {
    /// Refuses once the runtime is being shut down.
    pub fn check(&self) -> Result<()> {
        if self.lock().stopped { Err(stopped()) } else { Ok(()) }
    }

    /// Counts an operation in.
    pub fn enter(&self, operation: &Arc<Operation>) -> Result<u64> {
        let mut state = self.lock();
        if state.stopped {
            return Err(stopped());
        }
        let key = state.next_key;
        state.next_key += 1;
        state.inside.insert(key, operation.clone());
        Ok(key)
    }

    /// Counts an operation out, which has its outcome.
    pub fn leave(&self, key: u64) {
        let left = self.lock().inside.remove(&key);
        if left.is_some() {
            self.left.notify_waiters();
        }
    }

    /// Refuses everything from now on.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Waits until everybody has left, and gives those who do not the outcome `Stopped`. For a runtime that is shut down.
    pub async fn settle(&self) {
        let empty = async {
            loop {
                let left = self.left.notified();
                if self.lock().inside.is_empty() {
                    return;
                }
                left.await;
            }
        };
        if tokio::time::timeout(SETTLING, empty).await.is_err() {
            let rest = std::mem::take(&mut self.lock().inside);
            rest.into_values().for_each(|operation| operation.abandon(stopped()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
