//! The output that the main command of a box left in its log, entry by entry.

use std::sync::Arc;

use boxlite::{LogStream, ResultExt};
use tokio::sync::Mutex;

use crate::boundary::boundary;
use crate::data::Data;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::scope::Scope;
use crate::status::boxlite_status;

/// A stream of log entries, oldest first. Freed with `boxlite_logs_free`.
pub struct boxlite_logs {
    _private: [u8; 0],
}

impl Handle for boxlite_logs {
    type Object = LogsObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Logs;
    const NOUN: &'static str = "log stream";
}

/// What is behind the handle of a log stream.
pub(crate) struct LogsObject {
    scope: Arc<Scope>,
    entries: Mutex<LogStream>,
}

impl LogsObject {
    pub fn new(entries: LogStream, scope: Arc<Scope>) -> Self {
        LogsObject { scope, entries: Mutex::new(entries) }
    }
}

/// Waits for the next log entry.
///
/// Gives a `boxlite_log_entry`, with `boxlite_operation_take_result`; its count is 0 after the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_logs_next(
    logs: *mut boxlite_logs,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let logs = handle::get(logs)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = logs.scope.clone();
        Ok(submit(Within::Scope(&scope), out, |begun| {
            let begun = begun.clone();
            async move {
                let next = async { logs.entries.lock().await.next().await };
                let entry = begun.unless_cancelled(next).await?.transpose()?;
                Ok(Data::LogEntry(entry).into())
            }
        })
        .during("logs.next")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees a log stream, which ends the reading.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_logs_free(logs: *mut boxlite_logs) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(logs).map(drop)?)) }
}
