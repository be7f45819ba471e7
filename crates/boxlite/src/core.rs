//! What a runtime consists of, behind its gate: database, images, engine, connections to boxes, counters.
//!
//! Only an operation that was let in, the watchers of running boxes and the shutdown itself ever hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use boxlite_engine::vm::template;
use boxlite_engine::{Engine, ProcessIdentity};
use boxlite_image::ImageStore;
use boxlite_state::Database;
use boxlite_types::{BoxId, Event, Home, Result};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::EngineOptions;
use crate::boxes::{BoxRow, Sessions, Table};
use crate::gate::stopped;
use crate::operation::panicked;

/// Events a listener may be behind before it loses the oldest.
const EVENTS_KEPT: usize = 1024;

pub(crate) struct Core {
    pub home: Home,
    pub database: Database,
    pub boxes: Table,
    pub images: ImageStore,
    pub engine: Arc<dyn Engine>,
    pub engine_options: EngineOptions,
    /// Connections to the boxes that this runtime has dealt with.
    pub sessions: Sessions,
    pub counters: Counters,
    /// Cancelled by shutdown; parent of the token of every operation.
    pub token: CancellationToken,
    /// Cancelled when nothing is to be watched any more.
    pub leaving: CancellationToken,
    /// The runtime's own threads.
    pub tokio: tokio::runtime::Handle,
    /// Watchers of running boxes. They are no operations, nobody waits for them.
    pub watchers: TaskTracker,
    events: Mutex<Option<broadcast::Sender<Event>>>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub boxes_created: AtomicU64,
    pub boxes_failed: AtomicU64,
    pub commands_executed: AtomicU64,
    pub exec_errors: AtomicU64,
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Core {
    pub fn new(
        home: Home,
        database: Database,
        images: ImageStore,
        engine: Arc<dyn Engine>,
        engine_options: EngineOptions,
        tokio: tokio::runtime::Handle,
    ) -> Self {
        Core {
            home,
            boxes: Table::new(database.clone()),
            database,
            images,
            engine,
            engine_options,
            sessions: Sessions::default(),
            counters: Counters::default(),
            token: CancellationToken::new(),
            leaving: CancellationToken::new(),
            tokio,
            watchers: TaskTracker::new(),
            events: Mutex::new(Some(broadcast::Sender::new(EVENTS_KEPT))),
        }
    }

    /// Removes what is kept ready to start boxes of images that are gone.
    ///
    /// # Errors
    /// `Stopped` if the runtime stops first.
    pub async fn forget_images(&self) -> Result<()> {
        let home = self.home.clone();
        let forget = move || {
            template::forget_images(&home);
            Ok(())
        };
        self.blocking(forget).await
    }

    /// Runs short blocking work, as a transaction or a handful of system calls, to its end on a thread for that.
    pub async fn blocking<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match tokio::task::spawn_blocking(body).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(panicked(error.into_panic())),
            Err(_) => Err(stopped()),
        }
    }

    /// Takes one step on the rows of the boxes, on a thread where it may wait for other writers.
    pub async fn rows<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Table) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let table = self.boxes.clone();
        self.blocking(move || step(&table)).await
    }

    /// Reads the row of one box.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn row(&self, id: &BoxId) -> Result<BoxRow> {
        let id = id.clone();
        self.rows(move |table| table.get(&id)).await
    }

    /// Asks the engine which process supervises a box.
    pub async fn supervisor(&self, id: &BoxId) -> Result<Option<ProcessIdentity>> {
        let (engine, directory) = (self.engine.clone(), self.home.box_directory(id));
        self.blocking(move || engine.supervisor(&directory)).await
    }

    /// Tells whoever listens.
    pub fn emit(&self, event: Event) {
        if let Some(sender) = &*self.lock_events() {
            // Fails if nobody listens.
            let _ = sender.send(event);
        }
    }

    /// Listens from now on; `None` once [`Core::end_events`] was called.
    pub fn listen(&self) -> Option<broadcast::Receiver<Event>> {
        self.lock_events().as_ref().map(broadcast::Sender::subscribe)
    }

    /// Ends the stream of every listener.
    pub fn end_events(&self) {
        self.lock_events().take();
    }

    fn lock_events(&self) -> MutexGuard<'_, Option<broadcast::Sender<Event>>> {
        self.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
