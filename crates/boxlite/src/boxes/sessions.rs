//! The connections of this runtime to boxes that run, one for each.
//!
//! The connection of a box that is not detached is what it lives on, so it stays here until the box has stopped. Once the
//! shutdown has begun nothing new gets in: a start that is still under way has to undo itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use boxlite_engine::Session;
use boxlite_types::{BoxId, Result};
use tokio::sync::watch;

use super::Defaults;
use super::table::BoxRow;
use crate::gate::stopped;

/// How the run of a box ended, as far as this runtime could find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has stopped.
    Stopped {
        /// As `BoxInfo::exit_code`.
        exit_code: i32,
    },
    /// The connection is lost, but the box may run.
    Lost,
}

/// A box that runs, and the connection to it.
pub(crate) struct Live {
    pub session: Session,
    pub row: BoxRow,
    /// Whether the box dies with this connection.
    pub owned: bool,
    pub defaults: Defaults,
    /// Set once, by the watcher of the box.
    pub end: watch::Receiver<Option<End>>,
}

impl Live {
    /// Waits for the end of the run.
    pub async fn ended(&self) -> End {
        let mut end = self.end.clone();
        // Without its watcher nobody would ever say.
        end.wait_for(Option::is_some).await.map_or(End::Lost, |end| end.unwrap_or(End::Lost))
    }
}

/// All connections.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    live: HashMap<BoxId, Arc<Live>>,
}

impl Sessions {
    /// Returns the connection to a box, if there is one that works.
    pub fn get(&self, id: &BoxId) -> Option<Arc<Live>> {
        self.lock().live.get(id).filter(|live| !live.session.is_closed()).cloned()
    }

    /// Adds a connection. If there is a working one by now, that one is returned and the new one dropped.
    ///
    /// # Errors
    /// `Stopped` once the shutdown has begun.
    pub fn insert(&self, live: Arc<Live>) -> Result<Arc<Live>> {
        let mut state = self.lock();
        if state.closed {
            return Err(stopped());
        }
        let id = live.row.info.id.clone();
        match state.live.get(&id) {
            Some(known) if !known.session.is_closed() => Ok(known.clone()),
            _ => {
                state.live.insert(id, live.clone());
                Ok(live)
            }
        }
    }

    /// Takes a connection out, unless another has taken its place.
    pub fn remove(&self, live: &Arc<Live>) {
        let mut state = self.lock();
        let id = &live.row.info.id;
        if state.live.get(id).is_some_and(|known| Arc::ptr_eq(known, live)) {
            state.live.remove(id);
        }
    }

    /// Refuses new connections from now on, and returns the boxes that live on the ones there are.
    pub fn close(&self) -> Vec<Arc<Live>> {
        let mut state = self.lock();
        state.closed = true;
        state.live.values().filter(|live| live.owned).cloned().collect()
    }

    /// Drops every connection.
    pub fn clear(&self) {
        let live = std::mem::take(&mut self.lock().live);
        drop(live);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
