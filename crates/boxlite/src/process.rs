//! Which process the library is used in.
//!
//! The child of a `fork` has a copy of whatever the other threads of its parent were in the middle of. For handles of the parent the
//! gate says so. But a runtime of its own would not be safe there either: SQLite and the executor keep tables for the whole
//! process of who holds which lock and who waits for it, and those are the parent's; a child has been seen to hang in them.

use std::sync::atomic::{AtomicU32, Ordering};

use boxlite_types::{Error, ErrorCode, Result};

/// The process that opened the first runtime; 0 before that.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Refuses in a process that was forked from one that had opened a runtime.
pub(crate) fn claim() -> Result<()> {
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire) {
        Err(owner) if owner != own => Err(Error::new(
            ErrorCode::ForkedProcess,
            format!("this process was forked from process {owner}, which had opened a runtime"),
        )),
        _ => Ok(()),
    }
}
