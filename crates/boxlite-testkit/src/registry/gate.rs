//! A point where the registry stops until the test says go, so that races and cancels are tested without sleeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long a test without async waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gate, shut when made. Clones are the same gate; it may stand in several rules.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    arrived: usize,
    abandoned: usize,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Gate::new()
    }
}

impl Gate {
    /// Makes a shut gate.
    pub fn new() -> Self {
        Gate(Arc::new(watch::Sender::new(State::default())))
    }

    /// Waits until a response has come to the gate.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until `count` responses have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        self.wait(|state| state.arrived >= count).await;
    }

    /// Waits until a client has hung up on a response held at the gate.
    pub async fn abandoned(&self) {
        self.wait(|state| state.abandoned > 0).await;
    }

    /// Lets everything held go on, and everything that comes later pass.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// Runs one of the waits from a test without async.
    ///
    /// # Panics
    /// If it takes longer than half a minute: what is waited for will not come.
    pub fn block_on<T>(waiting: impl Future<Output = T>) -> T {
        let executor = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let waiting = async { tokio::time::timeout(PATIENCE, waiting).await };
        executor.expect("an executor").block_on(waiting).expect("the gate is waited for in vain")
    }

    pub(super) fn arrive(&self) {
        self.0.send_modify(|state| state.arrived += 1);
    }

    pub(super) fn abandon(&self) {
        self.0.send_modify(|state| state.abandoned += 1);
    }

    pub(super) async fn opened(&self) {
        self.wait(|state| state.open).await;
    }

    async fn wait(&self, until: impl FnMut(&State) -> bool) {
        // The sender lives in `self`, so the channel cannot close under the waiter.
        let _ = self.0.subscribe().wait_for(until).await;
    }
}
