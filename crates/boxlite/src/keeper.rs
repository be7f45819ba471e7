//! Shutdown in two phases, on a thread of its own.
//!
//! The thread (`boxlite-keeper`) is made when the runtime is opened and owns its worker threads; it sleeps until somebody
//! asks for the shutdown. So a shutdown never needs a thread it might not get, works from any executor and from none, and
//! after a `fork` the child, which has no keeper, can neither run it nor drop the worker threads that it does not have.
//! It keeps the time itself: the deadline holds even when every worker is stuck in a system call.
//!
//! 1. The gate closes, in the call itself. 2. Whatever is inside is cancelled; boxes that are not detached are stopped in
//!    parallel, with most of the time there is. 3. When the gate is empty, or the deadline is there, what is left is settled
//!    by force and everything is let go: connections, worker threads, database.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxlite_types::{Error, ErrorCode, Result};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::{oneshot, watch};

use crate::boxes;
use crate::core::Core;
use crate::gate::Gate;
use crate::threads::{Workers, block_on};

/// Time kept back from the stopping of boxes, for killing those that do not stop.
const KILL_RESERVE: Duration = Duration::from_millis(200);

/// How long worker threads that do not come back from a system call are waited for, past the deadline.
const THREADS_GRACE: Duration = Duration::from_millis(100);

/// How long the database may take to close, past the deadline.
const DATABASE_GRACE: Duration = Duration::from_millis(100);

/// What every caller of shutdown gets: the number of operations that had to be given up, or a word on a broken keeper.
type Outcome = Shared<BoxFuture<'static, Result<usize, ErrorCode>>>;

/// Asks for the shutdown and waits for it.
pub(crate) struct Keeper {
    gate: Arc<Gate<Core>>,
    deadline: watch::Sender<Option<Instant>>,
    outcome: Outcome,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// `ResourceExhausted` if there can be no more threads.
    pub fn start(gate: Arc<Gate<Core>>, workers: Workers) -> Result<Self> {
        let deadline = watch::Sender::new(None);
        let receiver = deadline.subscribe();
        let (sender, outcome) = oneshot::channel();
        let kept = gate.clone();
        std::thread::Builder::new()
            .name("boxlite-keeper".into())
            .spawn(move || {
                let given_up = keep(&kept, workers, receiver);
                let _ = sender.send(given_up);
            })
            .map_err(|error| {
                Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}"))
            })?;
        let outcome = outcome.map(|result| result.map_err(|_| ErrorCode::Internal)).boxed().shared();
        Ok(Keeper { gate, deadline, outcome })
    }

    /// Closes the gate and asks for everything to be over within `timeout`. The earliest deadline of all callers counts.
    pub fn request(&self, timeout: Duration) {
        self.gate.close();
        // Far enough away to be no deadline; `Instant` cannot hold just any sum.
        let deadline = Instant::now() + timeout.min(Duration::from_secs(365 * 24 * 3600));
        self.deadline.send_modify(|earliest| {
            *earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        });
    }

    /// Waits until everything is over; all callers get the same answer.
    ///
    /// # Errors
    /// `Timeout` if operations had to be given up; the home is let go all the same.
    pub fn finished(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let outcome = self.outcome.clone();
        async move {
            match outcome.await {
                Ok(0) => Ok(()),
                Ok(given_up) => Err(Error::new(
                    ErrorCode::Timeout,
                    format!("operations given up at the deadline of the shutdown: {given_up}"),
                )
                .hint("the home is released all the same; a longer timeout lets more end by itself")),
                Err(code) => Err(Error::new(code, "the shutdown of the runtime panicked")),
            }
        }
    }
}

fn keep(gate: &Arc<Gate<Core>>, workers: Workers, deadline: watch::Receiver<Option<Instant>>) -> usize {
    let mut request = deadline.clone();
    // An error means that the keeper was dropped without a request: its owner does not do that.
    let _ = block_on(request.wait_for(|deadline| deadline.is_some()), || None);
    let core = gate.behind();
    if let Some(core) = &core {
        let _timers = workers.handle().enter();
        let _ = block_on(wind_down(gate, core, &deadline), || Some(left(&deadline)));
    }
    // An operation that was given up may have left work behind that cannot be interrupted.
    let unsettled = core.as_ref().map_or(0, |core| core.images.unsettled());
    let given_up = gate.seal().max(unsettled);
    let database = core.map(|core| {
        core.end_events();
        core.sessions.clear();
        core.database.clone()
    });
    // Tasks that are still there are dropped by this, and what they hold with them.
    workers.shut_down(left(&deadline) + THREADS_GRACE);
    if let Some(database) = database {
        close_database(database, left(&deadline) + DATABASE_GRACE);
    }
    given_up
}

/// Phase two: cancels, stops, waits; done when the gate is empty and the boxes are gone. Given up at the deadline.
async fn wind_down(gate: &Arc<Gate<Core>>, core: &Arc<Core>, deadline: &watch::Receiver<Option<Instant>>) {
    core.token.cancel();
    let boxes = async {
        let stopping = boxes::stop_owned(core, left(deadline).saturating_sub(KILL_RESERVE));
        let hurried = reached(deadline.clone(), KILL_RESERVE);
        tokio::select! {
            () = stopping => {}
            () = hurried => boxes::kill_owned(core).await,
        }
    };
    let everything = async {
        tokio::join!(boxes, gate.emptied(), core.engine.close());
        core.leaving.cancel();
        core.watchers.close();
        core.watchers.wait().await;
        core.images.settled().await;
    };
    // A deadline that moves has to be looked at again.
    let mut moved = deadline.clone();
    let moving = async { while moved.changed().await.is_ok() {} };
    tokio::select! {
        () = everything => {}
        () = moving => {}
    }
}

/// Waits until `before` the deadline, wherever it moves.
async fn reached(mut deadline: watch::Receiver<Option<Instant>>, before: Duration) {
    loop {
        let left = left(&deadline).saturating_sub(before);
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            changed = deadline.changed() => if changed.is_err() {
                tokio::time::sleep(left).await;
            },
        }
    }
}

fn left(deadline: &watch::Receiver<Option<Instant>>) -> Duration {
    deadline.borrow().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Closes the file; a disk that does not answer is left to a thread of its own.
fn close_database(database: boxlite_state::Database, patience: Duration) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let closing = database.clone();
    let thread = std::thread::Builder::new().name("boxlite-close".into()).spawn(move || {
        closing.close();
        let _ = sender.send(());
    });
    match thread {
        Ok(thread) => {
            if receiver.recv_timeout(patience).is_ok() {
                let _ = thread.join();
            }
        }
        Err(_) => database.close(),
    }
}
