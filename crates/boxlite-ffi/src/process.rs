//! What the library holds for a process: its table of handles and the thread that polls its operations.
//!
//! After a fork the child has a copy of both that is of no use: the thread does not exist there, and any lock may have been
//! held at that moment. So a child never touches the copy: its first call leaves it behind and begins anew, and handles of
//! the parent are told from the child's own by their lineage. That it is a child is seen before any lock is taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::driver::Driver;
use crate::table::Table;

/// The state of one process.
pub(crate) struct Process {
    id: u32,
    pub table: Table,
    driver: OnceLock<Driver>,
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
            elder => Process::begin(id, known, elder.map_or(0, |parent| parent.table.lineage())),
        }
    }

    #[cold]
    fn begin(id: u32, known: *mut Process, parent_lineage: u8) -> &'static Process {
        // A chain of more forks than lineages can count shares the last one: handles then answer `InvalidHandle`.
        let table = Table::new(parent_lineage.saturating_add(1));
        let made = Box::into_raw(Box::new(Process { id, table, driver: OnceLock::new() }));
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
    /// `ResourceExhausted` if there can be no more threads.
    pub fn driver(&self) -> boxlite::Result<&Driver> {
        if let Some(driver) = self.driver.get() {
            return Ok(driver);
        }
        let started = Driver::start()?;
        // Of two that start at once, one is dropped, which ends it.
        Ok(self.driver.get_or_init(|| started))
    }
}
