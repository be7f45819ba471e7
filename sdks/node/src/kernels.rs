//! The guest kernels of a home.

use boxlite::Kernels;
use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;

use crate::answer::{parse, text};
use crate::options::KernelRequest;
use crate::promise::promise;

/// The guest kernels of a home. Does not keep the runtime open.
#[napi]
pub struct NativeKernels {
    kernels: Kernels,
}

impl NativeKernels {
    pub(crate) fn new(kernels: Kernels) -> Self {
        NativeKernels { kernels }
    }
}

#[napi]
impl NativeKernels {
    /// Lists what is installed.
    #[napi(catch_unwind)]
    pub fn list<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let kernels = self.kernels.clone();
        promise(env, operation, async move { text(kernels.list().await?) })
    }

    /// Installs one.
    #[napi(catch_unwind)]
    pub fn install<'env>(&self, env: &'env Env, source: String, operation: u32) -> Result<Unknown<'env>> {
        let kernels = self.kernels.clone();
        promise(env, operation, async move {
            text(kernels.install(parse::<KernelRequest>("kernel source", &source)?.resolve()?).await?)
        })
    }
}
