//! What one pull holds on to, and what it has made so far.
//!
//! From the moment a pull finds or makes a piece of content until its row is committed, it holds the shared lock of it:
//! nobody deletes what a row is about to point at. What it made is known, so that a pull that turns out to be of a bad
//! image can take it all back.

use std::sync::{Arc, Mutex, PoisonError};

use crate::locks::{Content, LockGuard};

/// The locks and traces of one pull.
#[derive(Default)]
pub(crate) struct Leases {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    guards: Vec<Arc<LockGuard>>,
    made: Vec<Content>,
}

impl Leases {
    /// Holds a lock until the leases are let go.
    pub(crate) fn hold(&self, guard: impl Into<Arc<LockGuard>>) {
        self.lock().guards.push(guard.into());
    }

    /// Remembers that the pull puts `content` in place; called before it does.
    pub(crate) fn made(&self, content: Content) {
        self.lock().made.push(content);
    }

    /// Returns everything the pull has put in place.
    pub(crate) fn all_made(&self) -> Vec<Content> {
        self.lock().made.clone()
    }

    /// Lets go of every lock. Returns what was held: see [`super::Inner::let_go`].
    pub(crate) fn release(&self) -> Vec<Content> {
        let guards = std::mem::take(&mut self.lock().guards);
        guards.iter().map(|guard| guard.content()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
