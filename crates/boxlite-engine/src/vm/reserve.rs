//! The spare machine of an engine: at most one, of the shape of the box that was started last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::MachineSpec;
use super::spare::SpareOrder;
use crate::shim::{Launcher, Spare};

/// Keeps it.
pub(super) struct Reserve {
    launcher: Arc<Launcher>,
    state: Mutex<State>,
    /// Told when one has been made, or could not be.
    made: Notify,
}

#[derive(Default)]
struct State {
    held: Option<(MachineSpec, Spare)>,
    making: Option<JoinHandle<()>>,
    closed: bool,
}

impl Reserve {
    pub fn new(launcher: Arc<Launcher>) -> Self {
        Reserve { launcher, state: Mutex::default(), made: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the spare if it is this machine.
    pub fn take(&self, spec: &MachineSpec) -> Option<Spare> {
        let held = &mut self.state().held;
        held.take_if(|(found, _)| found == spec).map(|(_, spare)| spare)
    }

    /// Begins to make one, in place of one of another shape; does nothing if there is one, or if one is being made. To be
    /// called within an async runtime.
    pub fn refill(self: &Arc<Self>, order: SpareOrder) {
        let mut state = self.state();
        if state.closed
            || state.making.is_some()
            || state.held.as_ref().is_some_and(|(spec, _)| *spec == order.spec)
        {
            return;
        }
        let (reserve, old) = (Arc::clone(self), state.held.take());
        state.making = Some(tokio::spawn(async move {
            drop(old);
            let spec = order.spec.clone();
            let made = reserve.launcher.spare(order).await;
            let mut state = reserve.state();
            state.making = None;
            match made {
                Ok(spare) if !state.closed => state.held = Some((spec, spare)),
                Ok(_) => {}
                // The next box starts as it would without.
                Err(error) => tracing::warn!("no spare machine could be made: {error}"),
            }
            drop(state);
            reserve.made.notify_waiters();
        }));
    }

    /// Waits until none is being made.
    pub async fn settled(&self) {
        loop {
            // Registered before looking, so that one that is done in between is not missed.
            let made = self.made.notified();
            if self.state().making.is_none() {
                return;
            }
            made.await;
        }
    }

    /// Ends what is there and what is being made; there will be no other.
    pub async fn close(&self) {
        let (held, making) = {
            let mut state = self.state();
            state.closed = true;
            (state.held.take(), state.making.take())
        };
        if let Some(making) = making {
            making.abort();
            // Only then everything it held is dropped.
            let _ = making.await;
            self.made.notify_waiters();
        }
        drop(held);
    }
}
