//! What comes piece by piece, and is no stream of bytes: events of a runtime, entries of a log.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use boxlite::{CancellationToken, EventStream, LogSource, LogStream};
use futures::{Stream, StreamExt};
use napi::Env;
use napi::bindgen_prelude::{BigInt, Buffer, Unknown};
use napi_derive::napi;
use tokio::sync::Mutex;

use crate::answer::text;
use crate::promise::waiting;

/// A stream that ends for whoever waits for it when it is closed.
struct Pieces<S> {
    /// Nothing once it is closed: a log that is followed holds descriptors, which do not wait for the garbage collector.
    stream: RefCell<Option<Rc<Mutex<S>>>>,
    closed: CancellationToken,
}

impl<S: Stream + Unpin> Pieces<S> {
    fn new(stream: S) -> Self {
        let stream = RefCell::new(Some(Rc::new(Mutex::new(stream))));
        Pieces { stream, closed: CancellationToken::new() }
    }

    /// Waits for the next piece; nothing after the last one, or once it is closed.
    fn next(&self) -> impl Future<Output = Option<S::Item>> + use<S> {
        let (stream, closed) = (self.stream.borrow().clone(), self.closed.clone());
        async move {
            let stream = stream?;
            let next = async { stream.lock().await.next().await };
            closed.run_until_cancelled(next).await.flatten()
        }
    }

    fn close(&self) {
        self.closed.cancel();
        let stream = self.stream.borrow_mut().take();
        drop(stream);
    }
}

/// What happens in a runtime.
#[napi]
pub struct NativeEvents(Pieces<EventStream>);

impl NativeEvents {
    pub(crate) fn new(events: EventStream) -> Self {
        NativeEvents(Pieces::new(events))
    }
}

#[napi]
impl NativeEvents {
    /// Waits for the next event; `null` when the runtime is shut down.
    #[napi(catch_unwind)]
    pub fn next<'env>(&self, env: &'env Env, operation: u32) -> napi::Result<Unknown<'env>> {
        let next = self.0.next();
        waiting(env, operation, async move { next.await.map(text).transpose() })
    }

    /// Ends whoever waits for an event, and listens no longer.
    #[napi]
    pub fn close(&self) {
        self.0.close();
    }
}

/// What the main command of a box printed.
#[napi]
pub struct NativeLogs(Pieces<LogStream>);

impl NativeLogs {
    pub(crate) fn new(entries: LogStream) -> Self {
        NativeLogs(Pieces::new(entries))
    }
}

/// A piece of a log.
#[napi(object)]
pub struct NativeLogEntry {
    /// When it was printed, in nanoseconds since the Unix epoch.
    pub at_ns: BigInt,
    /// `stdout` or `stderr`.
    pub source: String,
    /// What.
    pub bytes: Buffer,
}

#[napi]
impl NativeLogs {
    /// Waits for the next piece; `null` after the last one.
    #[napi(catch_unwind)]
    pub fn next<'env>(&self, env: &'env Env, operation: u32) -> napi::Result<Unknown<'env>> {
        let next = self.0.next();
        waiting(env, operation, async move {
            let entry = next.await.transpose()?;
            Ok(entry.map(|entry| NativeLogEntry {
                at_ns: BigInt::from(entry.at_ns),
                source: match entry.source {
                    LogSource::Stdout => "stdout".into(),
                    LogSource::Stderr => "stderr".into(),
                },
                bytes: Buffer::from(entry.bytes),
            }))
        })
    }

    /// Ends whoever waits for a piece, and follows the log no longer.
    #[napi]
    pub fn close(&self) {
        self.0.close();
    }
}
