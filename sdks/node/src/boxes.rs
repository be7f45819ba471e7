//! The handle to one box.

use boxlite::{BoxHandle, Error, ErrorCode};
use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use crate::answer::{parse, refusal, text};
use crate::options::{CopyRequest, ExecRequest, LogRequest};
use crate::promise::promise;
use crate::runtime::duration;
use crate::{NativeExecution, NativeLogs, NativeOutput, NativePipe};

/// A box. Does not keep the runtime open.
#[napi]
pub struct NativeBox {
    handle: BoxHandle,
}

impl NativeBox {
    pub(crate) fn new(handle: BoxHandle) -> Self {
        NativeBox { handle }
    }
}

#[napi]
impl NativeBox {
    /// Returns the id.
    #[napi]
    pub fn id(&self) -> String {
        self.handle.id().to_string()
    }

    /// Returns the error of a runtime that is not open.
    #[napi]
    pub fn check_open(&self) -> Option<String> {
        refusal(self.handle.check_open())
    }

    /// Returns what is known of the box.
    #[napi(catch_unwind)]
    pub fn info<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { text(handle.info().await?) })
    }

    /// Starts it.
    #[napi(catch_unwind)]
    pub fn start<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.start().await })
    }

    /// Starts it, attached to its main command.
    #[napi(catch_unwind)]
    pub fn start_attached<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.start_attached().await.map(NativeExecution::new) })
    }

    /// Makes it outlive this process from its next start on.
    #[napi(catch_unwind)]
    pub fn detach<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.detach().await })
    }

    /// Stops and starts it.
    #[napi(catch_unwind)]
    pub fn restart<'env>(&self, env: &'env Env, timeout_ms: f64, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.restart(duration(timeout_ms)).await })
    }

    /// Runs a command.
    #[napi(catch_unwind)]
    pub fn exec<'env>(&self, env: &'env Env, command: String, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move {
            let spec = parse::<ExecRequest>("exec options", &command)?.resolve();
            handle.exec(spec).await.map(NativeExecution::new)
        })
    }

    /// Attaches to its main command.
    #[napi(catch_unwind)]
    pub fn attach<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.attach().await.map(NativeExecution::new) })
    }

    /// Stops it.
    #[napi(catch_unwind)]
    pub fn stop<'env>(&self, env: &'env Env, timeout_ms: f64, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.stop(duration(timeout_ms)).await })
    }

    /// Kills it.
    #[napi(catch_unwind)]
    pub fn kill<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.kill().await })
    }

    /// Sends a signal to its main command.
    #[napi(catch_unwind)]
    pub fn signal<'env>(&self, env: &'env Env, signal: i32, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.signal(signal).await })
    }

    /// Waits until it has stopped.
    #[napi(catch_unwind)]
    pub fn wait<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.wait().await })
    }

    /// Copies into it.
    #[napi(catch_unwind)]
    pub fn copy_in<'env>(
        &self,
        env: &'env Env,
        host: String,
        inside: String,
        options: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move {
            let options = parse::<CopyRequest>("copy options", &options)?.resolve();
            handle.copy_in(host, &inside, options).await
        })
    }

    /// Copies out of it.
    #[napi(catch_unwind)]
    pub fn copy_out<'env>(
        &self,
        env: &'env Env,
        inside: String,
        host: String,
        options: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move {
            let options = parse::<CopyRequest>("copy options", &options)?.resolve();
            handle.copy_out(&inside, host, options).await
        })
    }

    /// Unpacks the archive that comes through the pipe.
    #[napi(catch_unwind)]
    pub fn put_archive<'env>(
        &self,
        env: &'env Env,
        directory: String,
        pipe: &NativePipe,
        options: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let (handle, archive) = (self.handle.clone(), pipe.take_reader());
        promise(env, operation, async move {
            let options = parse::<CopyRequest>("copy options", &options)?.resolve();
            let archive = archive.ok_or_else(|| Error::new(ErrorCode::InvalidState, "the pipe is in use"))?;
            handle.put_archive(&directory, archive, options).await
        })
    }

    /// Packs what is at a path.
    #[napi(catch_unwind)]
    pub fn get_archive<'env>(
        &self,
        env: &'env Env,
        path: String,
        options: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move {
            let options = parse::<CopyRequest>("copy options", &options)?.resolve();
            handle.get_archive(&path, options).await.map(NativeOutput::new)
        })
    }

    /// Looks up what is at a path.
    #[napi(catch_unwind)]
    pub fn stat<'env>(
        &self,
        env: &'env Env,
        path: String,
        follow_symlinks: bool,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { text(handle.stat(&path, follow_symlinks).await?) })
    }

    /// Returns what it uses.
    #[napi(catch_unwind)]
    pub fn metrics<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { text(handle.metrics().await?) })
    }

    /// Reads what its main command printed.
    #[napi(catch_unwind)]
    pub fn logs<'env>(&self, env: &'env Env, options: String, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move {
            let options = parse::<LogRequest>("log options", &options)?.resolve();
            handle.logs(options).await.map(NativeLogs::new)
        })
    }

    /// Removes it.
    #[napi(catch_unwind)]
    pub fn remove<'env>(&self, env: &'env Env, force: bool, operation: u32) -> Result<Unknown<'env>> {
        let handle = self.handle.clone();
        promise(env, operation, async move { handle.remove(force).await })
    }
}
