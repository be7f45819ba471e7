//! The spare machine of an engine: at most one, for boxes like the one that was started last.
//!
//! Of the same image, too, though its machine would serve any: what one image may have done to a kernel that mounts it stays
//! with boxes of that image.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxlite_types::DiskLayout;
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
    held: Option<(SpareOrder, Spare)>,
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

    /// Takes the spare if it is this machine, warmed up with this image.
    pub fn take(&self, spec: &MachineSpec, root: &DiskLayout) -> Option<Spare> {
        let held = &mut self.state().held;
        held.take_if(|(order, _)| order.spec == *spec && order.root == *root).map(|(_, spare)| spare)
    }

    /// Begins to make one, in place of one for other boxes; does nothing if there is one, or if one is being made. To be
    /// called within an async runtime.
    pub fn refill(self: &Arc<Self>, order: SpareOrder) {
        let mut state = self.state();
        if state.closed
            || state.making.is_some()
            || state.held.as_ref().is_some_and(|(held, _)| *held == order)
        {
            return;
        }
        let (reserve, old) = (Arc::clone(self), state.held.take());
        state.making = Some(tokio::spawn(async move {
            drop(old);
            let made = reserve.launcher.spare(order.clone()).await;
            let mut state = reserve.state();
            state.making = None;
            match made {
                Ok(spare) if !state.closed => state.held = Some((order, spare)),
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
