//! One call into the library, from its beginning to its answer.
//!
//! The library does its work on threads of its own; what is polled here only waits for the answer. It is polled by the
//! thread that wants it: by an event loop, when its [`crate::notifier::Notifier`] says so, or by a thread that blocks in
//! [`Operation::wait`]. Cancelling is a request: the operation is over when the work has rolled back, not before.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
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
use crate::notifier::{Inbox, Notifier};

/// How often a blocked main thread looks whether a signal has come in: what Ctrl-C takes at most to be noticed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Makes the Python value of an answer, once the interpreter's lock is held.
pub type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

type Work = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// The half of an operation that wakers and event loops share.
pub struct Task {
    state: Mutex<State>,
    waiter: Mutex<Waiter>,
    progress: Mutex<VecDeque<Answer>>,
}

enum State {
    Pending(Work),
    Done(Result<Answer>),
    Taken,
}

enum Waiter {
    Nobody,
    Thread(Thread),
    Loop(Arc<Inbox>, u64),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Task {
    /// Lets the operation go on. Returns whether it is over.
    pub fn poll(self: &Arc<Self>) -> bool {
        let mut state = lock(&self.state);
        let State::Pending(work) = &mut *state else { return true };
        let waker = Waker::from(self.clone());
        let Poll::Ready(answer) = work.as_mut().poll(&mut Context::from_waker(&waker)) else { return false };
        let over = std::mem::replace(&mut *state, State::Done(answer));
        drop(state);
        // Dropped without the lock: it may be the last of what it holds.
        drop(over);
        true
    }

    pub fn has_progress(&self) -> bool {
        !lock(&self.progress).is_empty()
    }

    /// Adds something to tell before the operation is over.
    fn tell(self: &Arc<Self>, item: Answer) {
        lock(&self.progress).push_back(item);
        self.wake_by_ref();
    }

    fn take(&self) -> Option<Result<Answer>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Waits on this thread until the operation is over or has progress to tell, or time is up.
    fn park(self: &Arc<Self>, until: Option<Instant>) -> bool {
        *lock(&self.waiter) = Waiter::Thread(std::thread::current());
        loop {
            if self.poll() || self.has_progress() {
                return true;
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => std::thread::park_timeout(left),
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        match &*lock(&self.waiter) {
            Waiter::Nobody => {}
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Loop(inbox, key) => inbox.push(*key, self.clone()),
        }
    }
}

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
        let task = Task {
            state: Mutex::new(State::Pending(Box::pin(work))),
            waiter: Mutex::new(Waiter::Nobody),
            progress: Mutex::default(),
        };
        Operation {
            task: ProcessBound::new(Arc::new(task)),
            cancel: ProcessBound::new(cancel),
            timed_out: AtomicBool::new(false),
        }
    }

    /// Makes an operation whose call tells of its progress through what it is given.
    pub fn with_progress(make: impl FnOnce(Teller) -> Operation) -> Self {
        let teller = Teller(Arc::default());
        let operation = make(teller.clone());
        if let Ok(task) = operation.task.get() {
            *lock(&teller.0) = Some(Arc::downgrade(task));
        }
        operation
    }
}

/// Tells of the progress of an operation.
#[derive(Clone)]
pub struct Teller(Arc<Mutex<Option<std::sync::Weak<Task>>>>);

impl Teller {
    /// Tells `value`; on whatever thread, and without waiting.
    pub fn tell<T: Serialize + Send + 'static>(&self, value: T) {
        if let Some(task) = lock(&self.0).as_ref().and_then(std::sync::Weak::upgrade) {
            task.tell(Box::new(move |py| convert::to_python(py, &value)));
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // The work holds wakers, which hold the task, which holds the work: taken apart here, unless it is another
        // process's.
        if let Ok(task) = self.task.get() {
            let state = std::mem::replace(&mut *lock(&task.state), State::Taken);
            drop(state);
        }
    }
}

#[pymethods]
impl Operation {
    /// Begins, and from then on goes on when `notifier` is drained, which knows it as `key`. Returns whether it is over
    /// already.
    fn start(&self, py: Python<'_>, notifier: &Notifier, key: u64) -> bool {
        let (Ok(task), Some(inbox)) = (self.task.get(), notifier.inbox()) else { return true };
        *lock(&task.waiter) = Waiter::Loop(inbox, key);
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
        self.task.get().map_or(true, |task| !matches!(&*lock(&task.state), State::Pending(_)))
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
        let items = std::mem::take(&mut *lock(&task.progress));
        items.into_iter().map(|item| item(py)).collect()
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
