//! What the library holds for a process: its table of handles and the thread that polls its operations.
//!
//! After a fork the child has a copy of both that is of no use: the thread does not exist there, and any lock may have been
//! held at that moment. So a child never touches the copy: its first call leaves it behind and begins anew, and handles of
//! the parent are told from the child's own by their lineage. What needs the thread is refused in the child of a process that
//! had one, as `boxlite` refuses to open a runtime there. That it is a child is seen before any lock is taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use boxlite::{Error, ErrorCode};

use crate::driver::Driver;
use crate::table::Table;

/// The state of one process.
pub(crate) struct Process {
    id: u32,
    pub table: Table,
    driver: OnceLock<Driver>,
    /// Forked from a process that had the thread.
    orphaned: bool,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

impl Process {
    /// Returns the state of this process.
    pub fn current() -> &'static Process {
        let id = std::process::id();
        let known = CURRENT.load(Ordering::Acquire);
        // SAFETY: a published state is never freed.
        match unsafe { known.as_ref() } {
            Some(process) if process.id == id => process,
            parent => Process::begin(id, known, parent),
        }
    }

    #[cold]
    fn begin(id: u32, known: *mut Process, parent: Option<&Process>) -> &'static Process {
        // A chain of more forks than lineages can count shares the last one: handles then answer `InvalidHandle`.
        let table = Table::new(parent.map_or(0, |parent| parent.table.lineage()).saturating_add(1));
        let orphaned = parent.is_some_and(|parent| parent.orphaned || parent.driver.get().is_some());
        let made = Box::into_raw(Box::new(Process { id, table, driver: OnceLock::new(), orphaned }));
        let winner = match CURRENT.compare_exchange(known, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(first) => {
                // SAFETY: `made` came from a box just now, and nobody has seen it.
                drop(unsafe { Box::from_raw(made) });
                first
            }
        };
        // SAFETY: a published state is never freed; another thread of this process published its own.
        unsafe { &*winner }
    }

    /// Returns the thread that polls operations, starting it if this is the first one.
    ///
    /// # Errors
    /// `ForkedProcess` if a process this one was forked from had one; `ResourceExhausted` if there can be no more threads.
    pub fn driver(&self) -> boxlite::Result<&Driver> {
        if self.orphaned {
            return Err(Error::new(
                ErrorCode::ForkedProcess,
                "this process was forked from one that had opened a runtime",
            ));
        }
        if let Some(driver) = self.driver.get() {
            return Ok(driver);
        }
        let started = Driver::start()?;
        // Of two that start at once, one is dropped, which ends it.
        Ok(self.driver.get_or_init(|| started))
    }
}
