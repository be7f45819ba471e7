//! One operation: in through the gate, run on the runtime's own threads under a token of its own, completed exactly once.
//!
//! The caller only waits for the answer, so it may use any executor. When it stops waiting (its future is dropped), the
//! token is cancelled; the work goes on until it has rolled back, still counted by the gate. The answer lies in a slot that
//! takes the first settlement: the work's own, or `Stopped` when shutdown gives it up. A success that comes too late is
//! dropped, which closes what it holds.
//!
//! A caller that has to know when the work has rolled back cancels by a token instead: see [`cancelled_by`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use boxlite_types::{Error, ErrorCode, Result};
use futures::FutureExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::gate::{Abandon, Gate, Pass, stopped};

/// Where an operation runs: what it may use, and how it learns that it is no longer wanted.
#[derive(Clone)]
pub(crate) struct Work {
    core: Arc<Core>,
    pub token: CancellationToken,
}

impl std::ops::Deref for Work {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Work {
    /// Waits for `future`, which may be dropped at any point, or answers `Cancelled`.
    pub async fn cancellable<T, E: From<Error>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(cancelled().into()),
            result = future => result,
        }
    }
}

/// The answer to an operation that its caller gave up.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the operation was cancelled")
}

thread_local! {
    /// The token of the caller whose future is polled by this thread at this moment.
    static CALLER: RefCell<Option<CancellationToken>> = const { RefCell::new(None) };
}

/// Lets `cancel` cancel the operations that `future` begins, without anybody letting go of the future: it goes on until
/// the work has rolled back, and answers `Cancelled` then, or with success if that had won already.
///
/// Dropping a future asks for the same, but says nothing of when it is over.
pub async fn cancelled_by<F: Future>(cancel: CancellationToken, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let outer = CALLER.replace(Some(cancel.clone()));
        // Also when the poll panics: the token is not for whoever this thread polls next.
        let _restore = RestoreCaller(outer);
        future.as_mut().poll(context)
    })
    .await
}

struct RestoreCaller(Option<CancellationToken>);

impl Drop for RestoreCaller {
    fn drop(&mut self) {
        CALLER.set(self.0.take());
    }
}

struct Slot<T>(Mutex<Option<oneshot::Sender<Result<T>>>>);

impl<T> Slot<T> {
    fn settle(&self, result: Result<T>) {
        let sender = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(sender) = sender {
            // Without a receiver the caller has gone: the value is dropped, and with it what it holds.
            let _ = sender.send(result);
        }
    }
}

impl<T: Send> Abandon for Slot<T> {
    fn abandon(&self) {
        self.settle(Err(stopped()));
    }
}

/// Runs `work` as the operation `name`, as `images.pull`.
///
/// # Errors
/// Those of the work; `Stopped` if the gate is closed, or closes before the work has ended; `ForkedProcess`; `Internal` if
/// the work panics.
pub(crate) async fn run<T, F, R>(gate: &Arc<Gate<Core>>, name: &'static str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Work) -> R,
    R: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let caller = CALLER.with_borrow(Clone::clone);
    let slot = Arc::new(Slot(Mutex::new(Some(sender))));
    let pass = gate.enter(slot.clone()).map_err(|error| error.during(name))?;
    if caller.as_ref().is_some_and(CancellationToken::is_cancelled) {
        // Nothing may begin that was called off before: it could win the race against its own cancellation.
        return Err(cancelled().during(name));
    }
    let core = pass.value().clone();
    let token = core.token.child_token();
    let _cancel_if_dropped = token.clone().drop_guard();
    let future = work(Work { core: core.clone(), token: token.clone() });
    core.tokio.spawn(complete(slot, pass, future));
    let cancelled = pin!(async {
        if let Some(caller) = caller {
            caller.cancelled().await;
            token.cancel();
        }
        std::future::pending::<Infallible>().await
    });
    let answer = tokio::select! {
        answer = receiver => answer,
        never = cancelled => match never {},
    };
    answer.unwrap_or_else(|_| Err(stopped())).map_err(|error| error.during(name))
}

async fn complete<T: Send>(
    slot: Arc<Slot<T>>,
    pass: Pass<Core>,
    work: impl Future<Output = Result<T>> + Send,
) {
    let result = AssertUnwindSafe(work).catch_unwind().await;
    let result = result.unwrap_or_else(|panic| Err(panicked(panic)));
    // What was cancelled because the runtime goes down says so.
    let result = match result {
        Err(error) if error.code() == ErrorCode::Cancelled && pass.gate().check().is_err() => Err(stopped()),
        result => result,
    };
    slot.settle(result);
    drop(pass);
}

pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    Error::new(ErrorCode::Internal, format!("an operation panicked: {text}"))
}
