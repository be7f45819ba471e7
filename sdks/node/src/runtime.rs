//! The open handle to a home.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use boxlite::{Runtime, StartStage};
use futures::channel::mpsc;
use napi::bindgen_prelude::{Either, Function, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use crate::answer::{error_text, parse, text};
use crate::executor::Executor;
use crate::listener::{Listener, while_telling};
use crate::options::{BoxRequest, PrepareRequest, RuntimeOptions};
use crate::promise::promise;
use crate::{NativeBox, NativeEvents, NativeImages, NativeKernels};

/// A runtime. When the garbage collector finds it, it is shut down.
#[napi]
pub struct NativeRuntime {
    runtime: Runtime,
    executor: Rc<Executor>,
    key: u64,
}

impl Drop for NativeRuntime {
    fn drop(&mut self) {
        self.executor.release(self.key);
    }
}

/// A step of a preparation: its duration is missing when it begins.
#[derive(serde::Serialize)]
struct Preparation {
    stage: StartStage,
    elapsed_us: Option<u64>,
}

impl NativeRuntime {
    fn new(executor: Rc<Executor>, runtime: Runtime) -> Self {
        let key = executor.keep(runtime.clone());
        NativeRuntime { runtime, executor, key }
    }
}

async fn open(options: String) -> boxlite::Result<Runtime> {
    Runtime::open(parse::<RuntimeOptions>("runtime options", &options)?.resolve()?).await
}

#[napi]
impl NativeRuntime {
    /// Opens a home.
    #[napi(catch_unwind)]
    pub fn open<'env>(env: &'env Env, options: String, operation: u32) -> Result<Unknown<'env>> {
        let executor = Executor::of(env)?;
        promise(env, operation, async move { Ok(NativeRuntime::new(executor, open(options).await?)) })
    }

    /// Opens a home, and waits for it on this thread; gives the text of an error otherwise.
    #[napi(catch_unwind)]
    pub fn open_sync(env: &Env, options: String) -> Result<Either<NativeRuntime, String>> {
        let executor = Executor::of(env)?;
        // The library has threads of its own: nothing it waits for needs this one.
        Ok(match futures::executor::block_on(open(options)) {
            Ok(runtime) => Either::A(NativeRuntime::new(executor, runtime)),
            Err(error) => Either::B(error_text(&error)),
        })
    }

    /// Returns the image handle; `lib/` asks for it once.
    #[napi]
    pub fn images(&self) -> NativeImages {
        NativeImages::new(self.runtime.images().clone())
    }

    /// Returns the guest kernels.
    #[napi]
    pub fn kernels(&self) -> NativeKernels {
        NativeKernels::new(self.runtime.kernels().clone())
    }

    /// Returns the home directory.
    #[napi]
    pub fn home(&self) -> String {
        self.runtime.home().to_string_lossy().into_owned()
    }

    /// Makes a box.
    #[napi(catch_unwind)]
    pub fn create<'env>(&self, env: &'env Env, options: String, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move {
            let spec = parse::<BoxRequest>("box options", &options)?.resolve()?;
            runtime.create(spec).await.map(NativeBox::new)
        })
    }

    /// Finds a box.
    #[napi(catch_unwind)]
    pub fn get<'env>(&self, env: &'env Env, name: String, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { runtime.get(&name).await.map(NativeBox::new) })
    }

    /// Lists all boxes.
    #[napi(catch_unwind)]
    pub fn list<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { text(runtime.list().await?) })
    }

    /// Removes a box.
    #[napi(catch_unwind)]
    pub fn remove<'env>(
        &self,
        env: &'env Env,
        name: String,
        force: bool,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { runtime.remove(&name, force).await })
    }

    /// Listens to what happens from now on.
    #[napi]
    pub fn events(&self) -> NativeEvents {
        NativeEvents::new(self.runtime.events())
    }

    /// Measures what takes space.
    #[napi(catch_unwind)]
    pub fn usage<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { text(runtime.usage().await?) })
    }

    /// Examines the home.
    #[napi(catch_unwind)]
    pub fn check<'env>(&self, env: &'env Env, repair: bool, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { text(runtime.check(repair).await?) })
    }

    /// Prepares the first start.
    #[napi(catch_unwind)]
    pub fn prepare<'env>(
        &self,
        env: &'env Env,
        resources: String,
        progress: Option<Function<'_, String, ()>>,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        let listener = progress.map(|function| Listener::new(env, &function)).transpose()?;
        promise(env, operation, async move {
            let resources = parse::<PrepareRequest>("prepare options", &resources)?.resolve();
            let (sender, steps) = mpsc::unbounded();
            let tell = Arc::new(move |stage, elapsed: Option<Duration>| {
                let elapsed_us = elapsed.map(|elapsed| elapsed.as_micros() as u64);
                // Fails when nobody waits for the preparation any more.
                let _ = sender.unbounded_send(Preparation { stage, elapsed_us });
            });
            while_telling(listener, steps, runtime.prepare(&resources, Some(tell))).await
        })
    }

    /// Looks at the host.
    #[napi(catch_unwind)]
    pub fn doctor<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { text(runtime.doctor().await?) })
    }

    /// Returns what this runtime has done.
    #[napi(catch_unwind)]
    pub fn metrics<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        promise(env, operation, async move { text(runtime.metrics().await?) })
    }

    /// Shuts the runtime down.
    #[napi(catch_unwind)]
    pub fn shutdown<'env>(&self, env: &'env Env, timeout_ms: f64) -> Result<Unknown<'env>> {
        let runtime = self.runtime.clone();
        let timeout = duration(timeout_ms);
        promise(env, 0, async move { runtime.shutdown(timeout).await })
    }
}

/// Reads a duration that `lib/` has checked.
pub(crate) fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX / 4)
}
