//! One call into the library, from its beginning to its answer.
//!
//! The library does its work on threads of its own; what is polled here only waits for the answer. It is polled by the
//! thread that wants it: by an event loop, when its [`crate::notifier::Notifier`] says so, or by a thread that blocks in
//! [`Operation::wait`]. Cancelling is a request: the operation is over when the work has rolled back, not before.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use boxlite::{CancellationToken, Error, ErrorCode, Result, cancelled_by};
use futures::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde::Serialize;

use crate::bound::ProcessBound;
use crate::convert;
use crate::exit::detached;
use crate::failure::Failure;
use crate::notifier::Notifier;
use crate::task::{Answer, Task};

/// How often a blocked main thread looks whether a signal has come in: what Ctrl-C takes at most to be noticed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// One call into the library. Dropping it cancels it without waiting.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Operation {
    task: ProcessBound<Arc<Task>>,
    cancel: ProcessBound<CancellationToken>,
    timed_out: AtomicBool,
}

impl Operation {
    /// Wraps a call of an operation of the library, whose work has to be waited for when it is cancelled.
    pub fn new<T: Send + 'static>(
        call: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let cancel = CancellationToken::new();
        let call = cancelled_by(cancel.clone(), call);
        Operation::of(cancel, async move {
            let value = call.await?;
            Ok(Box::new(move |py: Python<'_>| answer(py, value)) as Answer)
        })
    }

    /// Wraps a call that may be dropped at any point without a trace, as one that only waits for the next piece of a
    /// stream.
    pub fn droppable<T: Send + 'static>(
        call: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let cancel = CancellationToken::new();
        let token = cancel.clone();
        Operation::of(cancel, async move {
            let value = tokio::select! {
                biased;
                value = call => value?,
                () = token.cancelled() => return Err(Error::new(ErrorCode::Cancelled, "the operation was cancelled")),
            };
            Ok(Box::new(move |py: Python<'_>| answer(py, value)) as Answer)
        })
    }

    /// Wraps a call that answers with plain data.
    pub fn data<T: Serialize + Send + 'static>(
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Self {
        Operation::new(call, |py, value| convert::to_python(py, &value))
    }

    /// Wraps a call that answers with a new object.
    pub fn object<T, O>(
        call: impl Future<Output = Result<T>> + Send + 'static,
        make: impl FnOnce(T) -> O + Send + 'static,
    ) -> Self
    where
        T: Send + 'static,
        O: Into<PyClassInitializer<O>> + pyo3::PyClass,
    {
        Operation::new(call, |py, value| Ok(Py::new(py, make(value))?.into_any()))
    }

    /// Makes one that failed before it began.
    pub fn failed(error: Error) -> Self {
        Operation::new(async move { Err::<(), _>(error) }, |py, ()| Ok(py.None()))
    }

    /// Begins what `begin` returns, or fails with its error.
    pub fn begin(begin: Result<Operation>) -> Self {
        begin.unwrap_or_else(Operation::failed)
    }

    fn of(cancel: CancellationToken, work: impl Future<Output = Result<Answer>> + Send + 'static) -> Self {
        let work = AssertUnwindSafe(work).catch_unwind().map(|ended| {
            ended.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "an operation panicked")))
        });
        Operation {
            task: ProcessBound::new(Task::new(Box::pin(work))),
            cancel: ProcessBound::new(cancel),
            timed_out: AtomicBool::new(false),
        }
    }

    /// Makes an operation whose call tells of its progress through what it is given.
    pub fn with_progress(make: impl FnOnce(Teller) -> Operation) -> Self {
        let teller = Teller(Arc::default());
        let operation = make(teller.clone());
        if let Ok(task) = operation.task.get() {
            let _ = teller.0.set(Arc::downgrade(task));
        }
        operation
    }
}

/// Tells of the progress of an operation.
#[derive(Clone)]
pub struct Teller(Arc<OnceLock<Weak<Task>>>);

impl Teller {
    /// Tells `value`; on whatever thread, and without waiting.
    pub fn tell<T: Serialize + Send + 'static>(&self, value: T) {
        if let Some(task) = self.0.get().and_then(Weak::upgrade) {
            task.tell(Box::new(move |py| convert::to_python(py, &value)));
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Ok(task) = self.task.get() {
            task.drop_work();
        }
    }
}

#[pymethods]
impl Operation {
    /// Begins, and from then on goes on when `notifier` is drained, which knows it as `key`. Returns whether it is over
    /// already.
    fn start(&self, py: Python<'_>, notifier: &Notifier, key: u64) -> bool {
        let (Ok(task), Some(inbox)) = (self.task.get(), notifier.inbox()) else { return true };
        task.tell_loop(inbox, key);
        detached(py, || task.poll())
    }

    /// Begins if it has not, and waits until it is over (`True`), or has progress to tell, or `seconds` are up (`False`).
    /// With `signals`, which only the main thread may ask for, handlers of signals run while it waits; what they raise is
    /// raised, and the operation goes on.
    #[pyo3(signature = (seconds=None, signals=false))]
    fn wait(&self, py: Python<'_>, seconds: Option<f64>, signals: bool) -> PyResult<bool> {
        let Ok(task) = self.task.get() else { return Ok(true) };
        let now = Instant::now();
        let until =
            seconds.and_then(|seconds| now.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?));
        loop {
            let slice = signals.then(|| Instant::now() + SIGNAL_INTERVAL);
            let soonest = [until, slice].into_iter().flatten().min();
            if detached(py, || task.park(soonest)) || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(self.done());
            }
            py.check_signals()?;
        }
    }

    /// Returns whether it is over.
    fn done(&self) -> bool {
        self.task.get().map_or(true, |task| task.is_over())
    }

    /// Asks for it to be given up; with `timed_out`, because it takes too long.
    #[pyo3(signature = (timed_out=false))]
    fn cancel(&self, timed_out: bool) {
        if timed_out {
            self.timed_out.store(true, Ordering::Relaxed);
        }
        if let Ok(cancel) = self.cancel.get() {
            cancel.cancel();
        }
    }

    /// Takes what there is to tell.
    fn take_progress(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let Ok(task) = self.task.get() else { return Ok(Vec::new()) };
        task.take_progress().into_iter().map(|item| item(py)).collect()
    }

    /// Takes the answer: the value, or the [`Failure`].
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let answer = match self.task.get() {
            Ok(task) => task.take(),
            Err(forked) => Some(Err(forked)),
        };
        match answer {
            None => Err(PyRuntimeError::new_err("the operation is not over, or its answer was taken")),
            Some(Ok(answer)) => answer(py),
            Some(Err(error)) => Ok(Py::new(py, Failure(self.explain(error)))?.into_any()),
        }
    }
}

impl Operation {
    /// Says of an operation that was given up because it took too long that this is why.
    fn explain(&self, error: Error) -> Error {
        if error.code() != ErrorCode::Cancelled || !self.timed_out.load(Ordering::Relaxed) {
            return error;
        }
        let late = Error::new(ErrorCode::Timeout, "the operation did not end in time, and was rolled back");
        let late = error.context().iter().fold(late, |late, (key, value)| late.with(*key, value));
        match error.operation() {
            Some(operation) => late.during(operation.to_owned()),
            None => late,
        }
    }
}
