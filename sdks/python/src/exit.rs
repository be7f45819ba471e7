//! The end of the interpreter, while Python is still alive.
//!
//! A thread that asks for the interpreter's lock after the interpreter has gone is ended by force in the middle of native
//! frames, which aborts the process. Only threads that gave the lock up in [`detached`] could ever do that, so [`leave`]
//! stops all runtimes, which ends whatever those threads wait for, and then waits until each of them has the lock back.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::runtime::Runtime;

/// How long threads may take to come back, and runtimes to shut down beyond their deadline.
const PATIENCE: Duration = Duration::from_secs(1);

struct State {
    /// Threads that gave up the interpreter's lock and do not have it back yet.
    away: usize,
    leaving: bool,
    process_id: u32,
}

static STATE: Mutex<State> = Mutex::new(State { away: 0, leaving: false, process_id: 0 });
static RETURNED: Condvar = Condvar::new();

/// Runs `body`, which may block, without the interpreter's lock; with it once the interpreter is about to exit, when all
/// that could block answers at once.
pub fn detached<T: Send>(py: Python<'_>, body: impl FnOnce() -> T + Send) -> T {
    match Away::begin() {
        Some(_away) => py.detach(body),
        None => body(),
    }
}

/// Returns whether [`leave`] was called.
pub fn is_leaving() -> bool {
    state().leaving
}

struct Away;

impl Away {
    fn begin() -> Option<Away> {
        let mut state = state();
        if state.leaving {
            return None;
        }
        state.away += 1;
        Some(Away)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let mut state = state();
        state.away = state.away.saturating_sub(1);
        drop(state);
        RETURNED.notify_all();
    }
}

/// Locks the state; in a child of `fork`, where the threads that were away do not exist, begins anew.
fn state() -> MutexGuard<'static, State> {
    // The lock is only ever held together with the interpreter's, so a fork by Python never copies it while it is held.
    let mut state = STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let process_id = std::process::id();
    if state.process_id != process_id {
        *state = State { away: 0, leaving: false, process_id };
    }
    state
}

/// Shuts `runtimes` down, side by side, and waits for every thread that is in a native call to come out of it. From now on
/// nothing here gives up the interpreter's lock.
#[pyfunction]
pub fn leave(py: Python<'_>, runtimes: Vec<Py<Runtime>>, timeout_secs: f64) {
    state().leaving = true;
    let timeout = Duration::try_from_secs_f64(timeout_secs).unwrap_or_default();
    let runtimes: Vec<_> = runtimes.iter().filter_map(|runtime| runtime.get().opened()).collect();
    py.detach(|| {
        let shutdowns = runtimes.iter().map(|runtime| runtime.shutdown(timeout));
        // What could not be stopped in time was given up; there is nobody left to tell.
        futures::executor::block_on(futures::future::join_all(shutdowns));
    });
    py.detach(|| {
        let deadline = Instant::now() + PATIENCE;
        let mut state = STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while state.away > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = RETURNED
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |woken| woken.0);
        }
    });
}
