//! What belongs to one process.
//!
//! A child of `fork` has copies of all Python objects, but none of the threads behind them, and locks that nobody will
//! ever release. So it gets an error instead of the value, and its copies are forgotten instead of dropped.

use std::mem::ManuallyDrop;

use boxlite::{Error, ErrorCode, Result};

/// A value that only the process which made it can reach and drop.
pub struct ProcessBound<T> {
    value: ManuallyDrop<T>,
    process_id: u32,
}

impl<T> ProcessBound<T> {
    pub fn new(value: T) -> Self {
        ProcessBound { value: ManuallyDrop::new(value), process_id: std::process::id() }
    }

    /// Returns the value.
    ///
    /// # Errors
    /// `ForkedProcess` in a child of the process that made it.
    pub fn get(&self) -> Result<&T> {
        if self.is_foreign() {
            let message =
                format!("the runtime belongs to process {}, of which this one was forked", self.process_id);
            return Err(Error::new(ErrorCode::ForkedProcess, message)
                .hint("open a runtime of its own in the child, or start the child with the `spawn` method"));
        }
        Ok(&self.value)
    }

    fn is_foreign(&self) -> bool {
        self.process_id != std::process::id()
    }
}

impl<T> Drop for ProcessBound<T> {
    fn drop(&mut self) {
        if !self.is_foreign() {
            // SAFETY: this is the only place that drops the value, and nothing can reach it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}
