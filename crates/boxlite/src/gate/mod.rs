//! The one gate that every operation on every handle passes: `Open -> Closing -> Closed`, never back.
//!
//! What a runtime consists of lies behind the gate and is lent to whoever is inside, so that no handle can reach it any
//! other way. The gate knows who is inside: shutdown closes it, waits until it is empty, and settles by force whatever is
//! still inside at the deadline. It does not know what an operation does, and it never waits while it holds its lock.
//!
//! Invariants, checked over every interleaving in `model.rs`: whoever enters is settled exactly once; nobody enters after
//! [`Gate::close`]; nobody is settled, and nobody can reach the value, after [`Gate::seal`].

#[cfg(test)]
mod model;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use boxlite_types::{Error, ErrorCode, Result};
use tokio::sync::Notify;

/// Something inside the gate that can be settled from outside.
pub(crate) trait Abandon: Send + Sync {
    /// Settles it with `Stopped`, unless it has been settled before.
    fn abandon(&self);
}

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const CLOSED: u8 = 2;

/// The gate, with what lies behind it.
pub(crate) struct Gate<T> {
    /// The process that made the gate; after a fork the child has a copy whose threads do not exist.
    process_id: u32,
    /// Written with the lock held; read without it where only a refusal hangs on it.
    phase: AtomicU8,
    state: Mutex<State<T>>,
    emptied: Notify,
}

struct State<T> {
    value: Option<Arc<T>>,
    inside: HashMap<u64, Arc<dyn Abandon>>,
    next_key: u64,
}

/// The right to be inside; dropping it is leaving.
pub(crate) struct Pass<T> {
    gate: Arc<Gate<T>>,
    key: u64,
    value: Arc<T>,
}

impl<T> Gate<T> {
    /// Makes an open gate in front of `value`.
    pub fn new(value: Arc<T>) -> Arc<Self> {
        Arc::new(Gate {
            process_id: std::process::id(),
            phase: AtomicU8::new(OPEN),
            state: Mutex::new(State { value: Some(value), inside: HashMap::new(), next_key: 0 }),
            emptied: Notify::new(),
        })
    }

    /// Lets an operation in.
    ///
    /// # Errors
    /// `ForkedProcess` in a child of the process that made the gate, `Stopped` once it is not open.
    pub fn enter(self: &Arc<Self>, operation: Arc<dyn Abandon>) -> Result<Pass<T>> {
        self.check_process()?;
        let mut state = self.lock();
        if self.phase.load(Ordering::Relaxed) != OPEN {
            return Err(stopped());
        }
        let value = state.value.clone().ok_or_else(stopped)?;
        let key = state.next_key;
        state.next_key += 1;
        state.inside.insert(key, operation);
        Ok(Pass { gate: self.clone(), key, value })
    }

    /// Says whether an operation would be let in now, for what is too small to be an operation.
    pub fn check(&self) -> Result<()> {
        self.check_process()?;
        if self.phase.load(Ordering::Acquire) == OPEN { Ok(()) } else { Err(stopped()) }
    }

    /// Reaches what lies behind the gate without being counted, for what neither waits nor touches the home.
    pub fn glance(&self) -> Result<Arc<T>> {
        self.check()?;
        self.lock().value.clone().ok_or_else(stopped)
    }

    /// Reaches what lies behind a gate that may be closed; for the shutdown itself.
    pub fn behind(&self) -> Option<Arc<T>> {
        self.lock().value.clone()
    }

    /// Refuses everybody from now on. Returns whether this call was the one that did it.
    pub fn close(&self) -> bool {
        let _state = self.lock();
        self.phase.compare_exchange(OPEN, CLOSING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Returns how many are inside.
    pub fn inside(&self) -> usize {
        self.lock().inside.len()
    }

    /// Waits until nobody is inside; meant for a gate that was closed.
    pub async fn emptied(&self) {
        loop {
            let notified = self.emptied.notified();
            if self.inside() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Settles whoever is still inside, and takes away what lies behind the gate. Returns how many there were.
    pub fn seal(&self) -> usize {
        let (left, value) = {
            let mut state = self.lock();
            self.phase.store(CLOSED, Ordering::Release);
            (std::mem::take(&mut state.inside), state.value.take())
        };
        left.values().for_each(|operation| operation.abandon());
        drop(value);
        left.len()
    }

    /// Returns whether this is another process than the one that made the gate.
    pub fn is_forked(&self) -> bool {
        // Asked before any lock is touched: another thread may have held it at the moment of the fork.
        self.process_id != std::process::id()
    }

    /// Refuses in a child of the process that made the gate.
    pub fn check_process(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::new(
                ErrorCode::ForkedProcess,
                format!("the runtime belongs to process {}, of which this one was forked", self.process_id),
            ));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> Pass<T> {
    /// Returns what lies behind the gate.
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Returns the gate.
    pub fn gate(&self) -> &Arc<Gate<T>> {
        &self.gate
    }
}

impl<T> Drop for Pass<T> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside.remove(&self.key);
        let empty = state.inside.is_empty();
        drop(state);
        if empty {
            self.gate.emptied.notify_waiters();
        }
    }
}

/// The answer of a runtime that has been shut down.
pub(crate) fn stopped() -> Error {
    Error::new(ErrorCode::Stopped, "the runtime has been shut down")
}
