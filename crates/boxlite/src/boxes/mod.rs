//! Boxes: their rows, their states, and what moves them from one to the next.
//!
//! ```text
//!            start              stop, kill, main command ends, machine dies
//!  created ────────> starting ──> running ──> (stopping) ──> stopped ──> starting ...
//!                        └─ failed, cancelled: back to where it was
//! ```
//!
//! The row says what the last process that dealt with the box wanted; whether a box runs, only its supervisor's life says.
//! Every look at a row that claims to run therefore asks the engine first ([`truth`]), and whoever finds that a box has
//! ended settles the row, exactly one of all processes. Nothing here is seen before its row: a directory without a row is
//! garbage.

mod command;
mod connect;
mod create;
mod lock;
mod remove;
mod sessions;
mod start;
mod stop;
mod table;
mod truth;
mod validate;

pub(crate) use command::Defaults;
pub(crate) use connect::connect;
pub(crate) use create::create;
pub(crate) use lock::BoxLock;
pub(crate) use remove::remove;
pub(crate) use sessions::{Live, Sessions};
pub(crate) use start::{Attach, Attached, start, status};
pub(crate) use stop::{check_restart, kill, kill_owned, stop, stop_owned, wait};
pub(crate) use table::{BoxRow, Table};
pub(crate) use truth::{is_haunted, list, look_up, recover, sweep, truth};

use boxlite_types::{BoxId, Context, Error, ErrorCode};

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs() as i64)
}

/// What a person calls the box: its name, or its id.
pub(crate) fn title<'a>(name: &'a Option<String>, id: &'a BoxId) -> &'a str {
    name.as_deref().unwrap_or(id.as_str())
}

/// The answer to a name nothing has.
pub(crate) fn no_such_box(name: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("no box is named `{name}`"))
        .with(Context::Box, name)
        .hint("`boxlite ps -a` lists the boxes there are")
}
