//! What comes piece by piece, and is no stream of bytes: events of a runtime, entries of a log.

use std::rc::Rc;

use boxlite::{EventStream, LogSource, LogStream};
use futures::lock::Mutex;
use napi::Env;
use napi::bindgen_prelude::{BigInt, Buffer, Unknown};
use napi_derive::napi;

use crate::answer::text;
use crate::promise::waiting;

/// What happens in a runtime.
#[napi]
pub struct NativeEvents {
    events: Rc<Mutex<EventStream>>,
}

impl NativeEvents {
    pub(crate) fn new(events: EventStream) -> Self {
        NativeEvents { events: Rc::new(Mutex::new(events)) }
    }
}

#[napi]
impl NativeEvents {
    /// Waits for the next event; `null` when the runtime is shut down.
    #[napi(catch_unwind)]
    pub fn next<'env>(&self, env: &'env Env, operation: u32) -> napi::Result<Unknown<'env>> {
        let events = self.events.clone();
        waiting(env, operation, async move { events.lock().await.next().await.map(text).transpose() })
    }
}

/// What the main command of a box printed.
#[napi]
pub struct NativeLogs {
    entries: Rc<Mutex<LogStream>>,
}

impl NativeLogs {
    pub(crate) fn new(entries: LogStream) -> Self {
        NativeLogs { entries: Rc::new(Mutex::new(entries)) }
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
        let entries = self.entries.clone();
        waiting(env, operation, async move {
            let entry = entries.lock().await.next().await.transpose()?;
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
}
