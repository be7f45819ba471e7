//! What happens in a runtime, event by event.

use std::sync::Arc;

use boxlite::{EventStream, ResultExt};
use tokio::sync::Mutex;

use crate::boundary::boundary;
use crate::data::Data;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::Out;
use crate::scope::Scope;
use crate::status::boxlite_status;

/// A stream of events. Freed with `boxlite_events_free`.
pub struct boxlite_events {
    _private: [u8; 0],
}

impl Handle for boxlite_events {
    type Object = EventsObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Events;
    const NOUN: &'static str = "event stream";
}

/// What is behind the handle of an event stream.
pub(crate) struct EventsObject {
    scope: Arc<Scope>,
    events: Mutex<EventStream>,
}

impl EventsObject {
    pub fn new(events: EventStream, scope: Arc<Scope>) -> Self {
        EventsObject { scope, events: Mutex::new(events) }
    }
}

/// Waits for the next event. A stream that is more than 1,024 events behind has lost the oldest ones; nothing ever waits
/// for it.
///
/// Gives an event as JSON, with `boxlite_operation_take_result`: an object with a `type` (`box_created`, `box_starting`,
/// `box_stage`, `box_started`, `box_stopped`, `box_removed`, `exec_started`, `exec_completed`, `file_copied_in`,
/// `file_copied_out`, `pull`) and what belongs to it. Its count is 0 after the last one, when the runtime is shut down.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_events_next(
    events: *mut boxlite_events,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let events = handle::get(events)?;
        // SAFETY: the contract of places.
        let out = unsafe { Out::new(operation, "operation") }?;
        let scope = events.scope.clone();
        Ok(submit(Within::ScopeWhileOpen(&scope), out, |begun| {
            let begun = begun.clone();
            async move {
                let next = async { events.events.lock().await.next().await };
                Ok(Data::Event(begun.unless_cancelled(next).await?).into())
            }
        })
        .during("events.next")?)
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Frees an event stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_events_free(events: *mut boxlite_events) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(events).map(drop)?)) }
}
