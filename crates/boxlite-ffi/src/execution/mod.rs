//! A command that runs in a box.
//!
//! Its streams are taken as handles of their own. As long as the execution or one of them is held the command goes on;
//! when all of them have been freed before it has ended, it is killed.

mod exports;
mod options;

use std::ffi::c_char;
use std::sync::{Arc, Mutex, MutexGuard};

use boxlite::{ExecSpec, Execution, Result};

use crate::handle::{Handle, Kind, Owned};
use crate::input;
use crate::options as option_objects;
use crate::scope::Scope;
use crate::text::Texts;

pub use exports::*;
pub use options::*;

/// A command that runs in a box. Freed with `boxlite_execution_free`.
pub struct boxlite_execution {
    _private: [u8; 0],
}

impl Handle for boxlite_execution {
    type Object = ExecutionObject;
    type Ownership = Owned;
    const KIND: Kind = Kind::Execution;
    const NOUN: &'static str = "execution";
}

/// What is behind the handle of an execution.
pub(crate) struct ExecutionObject {
    execution: Mutex<Execution>,
    scope: Arc<Scope>,
    texts: Texts,
}

impl ExecutionObject {
    pub fn new(execution: Execution, scope: Arc<Scope>) -> Self {
        ExecutionObject { execution: Mutex::new(execution), scope, texts: Texts::default() }
    }

    /// Locked for moments only: what waits is made under the lock, and waits without it.
    pub fn lock(&self) -> MutexGuard<'_, Execution> {
        self.execution.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Reads a command: its arguments, and how it is run. Arguments win over those of the options.
///
/// # Safety
/// The contract of lists of text.
pub(crate) unsafe fn spec(
    arguments: *const *const c_char,
    count: usize,
    how: *const boxlite_exec_options,
) -> Result<ExecSpec> {
    let mut spec: ExecSpec = option_objects::copy(how)?;
    if count > 0 {
        // SAFETY: as promised by the caller.
        spec.argv = unsafe { input::list(arguments, count, "arguments") }?;
    }
    Ok(spec)
}
