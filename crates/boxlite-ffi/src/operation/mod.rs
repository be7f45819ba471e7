//! Operations: work that goes on while its caller does something else.
//!
//! An operation has one outcome, set once: by its future, or by the shutdown of its runtime for a future that does not end.
//! Whoever waits, polls the file descriptor or drains a queue is told in that same step. Cancelling is a request that goes
//! to the library; the outcome is what the work made of it.

mod exports;
mod progress;
mod take;

use std::ffi::{CString, c_char};
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use boxlite::{CancellationToken, Error, ErrorCode, Result};
use futures::FutureExt;

use crate::boundary::panicked;
use crate::data::Outcome;
use crate::handle::{self, Handle, Kind, Owned};
use crate::output::Out;
use crate::process::Process;
use crate::queue::{Completion, Queue};
use crate::scope::Scope;
use crate::signal;

pub(crate) use progress::Progress;
pub use progress::{boxlite_progress, boxlite_stage};

pub use exports::*;
pub use take::*;

/// Work that goes on. Freed with `boxlite_operation_free`, which cancels it if it has not ended.
pub struct boxlite_operation {
    _private: [u8; 0],
}

impl Handle for boxlite_operation {
    type Object = Operation;
    type Ownership = Owned;
    const KIND: Kind = Kind::Operation;
    const NOUN: &'static str = "operation";
}

/// One operation.
pub(crate) struct Operation {
    state: Mutex<State>,
    ended: Condvar,
    cancel: CancellationToken,
    /// Ends the future without waiting for what it has to say.
    abandoned: CancellationToken,
    progress: Progress,
    scope: Option<Arc<Scope>>,
    json: OnceLock<CString>,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<Outcome, Arc<Error>>>,
    descriptor: Option<OwnedFd>,
    /// The queue that is still to be told.
    bound: Option<Bound>,
    /// A queue is told, or was.
    was_bound: bool,
}

/// The queue that wants to hear of the end, and as what.
struct Bound {
    queue: Arc<Queue>,
    completion: Completion,
}

/// What an operation ends with, at the latest.
pub(crate) enum Within<'a> {
    /// It belongs to no runtime, or ends it.
    Nothing,
    /// It is refused once the runtime is being shut down.
    Scope(&'a Arc<Scope>),
    /// It only tells of what is over: also after the shutdown, when it has its outcome at once.
    ScopeWhileOpen(&'a Arc<Scope>),
}

impl Within<'_> {
    fn scope(&self) -> Option<&Arc<Scope>> {
        match self {
            Within::Nothing => None,
            Within::Scope(scope) | Within::ScopeWhileOpen(scope) => Some(scope),
        }
    }

    fn enter(&self, operation: &Arc<Operation>) -> Result<Option<(Arc<Scope>, u64)>> {
        let entered = self.scope().map(|scope| scope.enter(operation).map(|key| (scope.clone(), key)));
        match (self, entered.transpose()) {
            (Within::ScopeWhileOpen(_), Err(_)) => Ok(None),
            (_, entered) => entered,
        }
    }
}

/// Begins an operation and gives it a handle, which goes to `out`.
///
/// # Errors
/// `Stopped` if the runtime is being shut down; `ResourceExhausted`. What the work has to say comes as its outcome.
pub(crate) fn submit<F>(
    within: Within<'_>,
    out: Out<*mut boxlite_operation>,
    work: impl FnOnce(&Arc<Operation>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<Outcome>> + Send + 'static,
{
    let driver = Process::current().driver()?;
    let operation = Arc::new(Operation {
        state: Mutex::default(),
        ended: Condvar::new(),
        cancel: CancellationToken::new(),
        abandoned: CancellationToken::new(),
        progress: Progress::default(),
        scope: within.scope().cloned(),
        json: OnceLock::new(),
    });
    let work = work(&operation);
    let entered = within.enter(&operation)?;
    let leave = move || {
        if let Some((scope, key)) = &entered {
            scope.leave(*key);
        }
    };
    match handle::insert::<boxlite_operation>(operation.clone()) {
        Ok(handle) => out.set(handle),
        Err(error) => {
            leave();
            return Err(error);
        }
    }
    driver.run(async move {
        let work = AssertUnwindSafe(boxlite::cancelled_by(operation.cancel.clone(), work)).catch_unwind();
        let outcome = tokio::select! {
            biased;
            outcome = work => outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))),
            // Whoever abandoned it has settled it.
            () = operation.abandoned.cancelled() => return,
        };
        operation.settle(outcome);
        leave();
    });
    Ok(())
}

impl Operation {
    /// Sets the outcome and tells everybody. A second outcome is dropped, which closes what it holds.
    fn settle(&self, outcome: Result<Outcome>) {
        let outcome = outcome.map_err(Arc::new);
        let mut state = self.lock();
        if state.outcome.is_some() {
            drop(state);
            return;
        }
        let status = status(&outcome);
        state.outcome = Some(outcome);
        if let Some(descriptor) = &state.descriptor {
            signal::raise(descriptor.as_fd());
        }
        if let Some(Bound { queue, completion }) = state.bound.take() {
            queue.push(Completion { status, ..completion });
        }
        drop(state);
        self.ended.notify_all();
        self.progress.end();
    }

    /// Settles it from outside, and drops the work.
    pub fn abandon(&self, error: Error) {
        self.settle(Err(error));
        self.abandoned.cancel();
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for what may be dropped at any point, or for the request to stop.
    ///
    /// # Errors
    /// `Cancelled`.
    pub async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            value = future => Ok(value),
            () = self.cancel.cancelled() => Err(Error::new(ErrorCode::Cancelled, "the operation was cancelled")),
        }
    }

    /// Where the work says how far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The scope of the runtime it belongs to.
    pub fn scope(&self) -> Option<&Arc<Scope>> {
        self.scope.as_ref()
    }

    /// Returns whether it has ended.
    pub fn is_done(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// Waits for the end and returns the error it ended with, if it did; forever without a timeout.
    ///
    /// # Errors
    /// `Timeout` if it has not ended.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<(), Arc<Error>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.as_ref().map(|_| ()).map_err(Arc::clone);
            }
            state = match deadline {
                None => self.ended.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let error = Error::new(ErrorCode::Timeout, "the operation has not ended yet");
                        return Err(error
                            .during("operation.wait")
                            .hint("it goes on; wait again, or cancel it")
                            .into());
                    }
                    self.ended.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
        }
    }

    /// Returns a descriptor that is readable once the operation has ended.
    pub fn descriptor(&self) -> Result<RawFd> {
        let mut state = self.lock();
        if state.descriptor.is_none() {
            let descriptor = signal::new()?;
            if state.outcome.is_some() {
                signal::raise(descriptor.as_fd());
            }
            state.descriptor = Some(descriptor);
        }
        Ok(state.descriptor.as_ref().expect("it was made").as_raw_fd())
    }

    /// Has the end told to a queue; at once if it is there already.
    ///
    /// # Errors
    /// `InvalidState` if a queue is told already, or was.
    pub fn bind(&self, queue: Arc<Queue>, completion: Completion) -> Result<()> {
        let mut state = self.lock();
        if state.was_bound {
            return Err(Error::new(ErrorCode::InvalidState, "the operation is bound to a queue already"));
        }
        state.was_bound = true;
        match &state.outcome {
            Some(outcome) => queue.push(Completion { status: status(outcome), ..completion }),
            None => state.bound = Some(Bound { queue, completion }),
        }
        Ok(())
    }

    /// Looks at the outcome.
    ///
    /// # Errors
    /// `InvalidState` if there is none yet; the error the operation ended with.
    pub fn with_outcome<T>(&self, look: impl FnOnce(&mut Outcome) -> Result<T>) -> Result<T, Arc<Error>> {
        match &mut self.lock().outcome {
            None => Err(Error::new(ErrorCode::InvalidState, "the operation has not ended yet").into()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(outcome)) => Ok(look(outcome)?),
        }
    }

    /// Returns the outcome as JSON, which lives as long as the operation.
    ///
    /// # Errors
    /// As [`Operation::with_outcome`].
    pub fn json(&self) -> Result<*const c_char, Arc<Error>> {
        let json = self.with_outcome(|outcome| match self.json.get() {
            Some(json) => Ok(json),
            None => Ok(self.json.get_or_init(|| crate::text::json(&outcome.json()))),
        })?;
        Ok(json.as_ptr())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn status(outcome: &Result<Outcome, Arc<Error>>) -> i32 {
    outcome.as_ref().map_or_else(|error| error.code().number(), |_| 0)
}
