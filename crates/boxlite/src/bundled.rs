//! The engine of virtual machines with the helper programs that travel in this library.
//!
//! Neither is touched before the first box needs it: opening a home stays a matter of milliseconds, and a program that only
//! pulls images never has a helper on its disk.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use boxlite_engine::vm::{Accelerator, VmEngine, VmEngineOptions};
use boxlite_engine::{Engine, ExitRecord, ProcessIdentity, Session, StageSink, StartRequest};
use boxlite_types::{Error, ErrorCode, Home, Resources, Result};

use crate::{AcceleratorChoice, EngineOptions};

/// The engine.
#[derive(Clone)]
pub(crate) struct BundledEngine {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    options: EngineOptions,
    engine: OnceLock<VmEngine>,
}

impl BundledEngine {
    pub fn new(home: Home, options: EngineOptions) -> Self {
        BundledEngine { inner: Arc::new(Inner { home, options, engine: OnceLock::new() }) }
    }

    /// Returns the engine, after unpacking the helpers the first time.
    async fn ready(&self) -> Result<&VmEngine> {
        if let Some(engine) = self.inner.engine.get() {
            return Ok(engine);
        }
        let inner = self.inner.clone();
        let made = tokio::task::spawn_blocking(move || inner.ready().map(|_| ())).await;
        made.map_err(|error| {
            Error::new(ErrorCode::Internal, format!("unpacking the helper programs failed: {error}"))
        })??;
        self.inner.ready()
    }
}

impl Inner {
    fn ready(&self) -> Result<&VmEngine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let options = vm_options(&self.home, &self.options)?;
        Ok(self.engine.get_or_init(|| VmEngine::new(options)))
    }
}

/// Returns what the engine is to use, with the helpers unpacked. Blocks.
///
/// # Errors
/// `Storage`, `NoSpace` if they cannot be written.
pub(crate) fn vm_options(home: &Home, options: &EngineOptions) -> Result<VmEngineOptions> {
    let helpers = boxlite_helpers::unpack(&home.bin())?;
    Ok(VmEngineOptions {
        home: home.clone(),
        agent: helpers.agent,
        shim: helpers.shim,
        qemu: options.qemu.clone(),
        kernel: options.kernel.clone(),
        accelerator: match options.accelerator {
            AcceleratorChoice::Fastest => None,
            AcceleratorChoice::Kvm => Some(Accelerator::Kvm),
            AcceleratorChoice::Tcg => Some(Accelerator::Tcg),
        },
        spare_machine: options.spare_machine,
    })
}

#[async_trait]
impl Engine for BundledEngine {
    fn name(&self) -> &'static str {
        "vm"
    }

    async fn prepare(&self, resources: &Resources, stages: StageSink) -> Result<()> {
        self.ready().await?.prepare(resources, stages).await
    }

    async fn start(&self, request: StartRequest, stages: StageSink) -> Result<Session> {
        self.ready().await?.start(request, stages).await
    }

    async fn connect(&self, directory: &Path) -> Result<Option<Session>> {
        self.ready().await?.connect(directory).await
    }

    fn supervisor(&self, directory: &Path) -> Result<Option<ProcessIdentity>> {
        self.inner.ready()?.supervisor(directory)
    }

    async fn reap(&self, directory: &Path) -> Result<Option<ExitRecord>> {
        self.ready().await?.reap(directory).await
    }

    async fn close(&self) {
        if let Some(engine) = self.inner.engine.get() {
            engine.close().await;
        }
    }
}
