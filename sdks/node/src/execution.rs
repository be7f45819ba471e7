//! A command that runs in a box.

use std::cell::{RefCell, RefMut};

use boxlite::{Error, ErrorCode, Execution, TerminalSize};
use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use crate::answer::text;
use crate::promise::promise;
use crate::{NativeInput, NativeOutput};

/// A command. When it is released, or the garbage collector finds it, and every stream taken from it has gone too, the
/// command is killed.
#[napi]
pub struct NativeExecution {
    id: String,
    pid: u32,
    /// Nothing once it is released.
    execution: RefCell<Option<Execution>>,
}

impl NativeExecution {
    pub(crate) fn new(execution: Execution) -> Self {
        let (id, pid) = (execution.id().to_owned(), execution.pid());
        NativeExecution { id, pid, execution: RefCell::new(Some(execution)) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Execution) -> T) -> boxlite::Result<T> {
        let execution = RefMut::filter_map(self.execution.borrow_mut(), Option::as_mut);
        let mut execution =
            execution.map_err(|_| Error::new(ErrorCode::InvalidState, "the execution handle is closed"))?;
        Ok(act(&mut execution))
    }
}

#[napi]
impl NativeExecution {
    /// Returns the id.
    #[napi]
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// Returns the process id inside the box.
    #[napi]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets go of the command. Streams that were taken stay.
    #[napi]
    pub fn release(&self) {
        let execution = self.execution.borrow_mut().take();
        drop(execution);
    }

    /// Takes stdin, if it is there.
    #[napi]
    pub fn take_stdin(&self) -> Option<NativeInput> {
        self.with(Execution::take_stdin).ok().flatten().map(NativeInput::new)
    }

    /// Takes stdout, if it is there.
    #[napi]
    pub fn take_stdout(&self) -> Option<NativeOutput> {
        self.with(Execution::take_stdout).ok().flatten().map(NativeOutput::new)
    }

    /// Takes stderr, if it is there.
    #[napi]
    pub fn take_stderr(&self) -> Option<NativeOutput> {
        self.with(Execution::take_stderr).ok().flatten().map(NativeOutput::new)
    }

    /// Waits for its end; output that nobody took by now is thrown away.
    #[napi(catch_unwind)]
    pub fn wait<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let ended = self.with(|execution| {
            drop((execution.take_stdout(), execution.take_stderr()));
            execution.ended()
        });
        promise(env, operation, async move { text(ended?.await?) })
    }

    /// Kills the whole process tree.
    #[napi(catch_unwind)]
    pub fn kill<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let killed = self.with(|execution| execution.kill());
        promise(env, operation, async move { killed?.await })
    }

    /// Sends a signal.
    #[napi(catch_unwind)]
    pub fn signal<'env>(&self, env: &'env Env, signal: i32, operation: u32) -> Result<Unknown<'env>> {
        let signalled = self.with(|execution| execution.signal(signal));
        promise(env, operation, async move { signalled?.await })
    }

    /// Changes the size of its terminal.
    #[napi(catch_unwind)]
    pub fn resize<'env>(
        &self,
        env: &'env Env,
        rows: u16,
        columns: u16,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let resized = self.with(|execution| execution.resize(TerminalSize { rows, columns }));
        promise(env, operation, async move { resized?.await })
    }
}
