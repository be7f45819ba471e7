//! The image handle.

use std::sync::Arc;

use boxlite::{Images, PullOptions};
use futures::channel::mpsc;
use napi::bindgen_prelude::{Function, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use crate::answer::{parse, refusal, text};
use crate::listener::{Listener, while_telling};
use crate::options::{PullRequest, platform};
use crate::promise::promise;

/// The images of a home. Does not keep the runtime open.
#[napi]
pub struct NativeImages {
    images: Images,
}

impl NativeImages {
    pub(crate) fn new(images: Images) -> Self {
        NativeImages { images }
    }
}

#[napi]
impl NativeImages {
    /// Returns the error of a runtime that is not open.
    #[napi]
    pub fn check_open(&self) -> Option<String> {
        refusal(self.images.check_open())
    }

    /// Fetches an image, telling `progress` how it goes.
    #[napi(catch_unwind)]
    pub fn pull<'env>(
        &self,
        env: &'env Env,
        reference: String,
        options: String,
        progress: Option<Function<'_, String, ()>>,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        let listener = progress.map(|function| Listener::new(env, &function)).transpose()?;
        promise(env, operation, async move {
            let request = parse::<PullRequest>("pull options", &options)?;
            let mut options = PullOptions {
                platform: platform(request.platform.as_deref())?,
                policy: request.policy,
                ..PullOptions::default()
            };
            let (sender, events) = mpsc::unbounded();
            if listener.is_some() {
                options.progress = Some(Arc::new(move |event| {
                    // Fails when nobody waits for the pull any more.
                    let _ = sender.unbounded_send(event);
                }));
            }
            text(while_telling(listener, events, images.pull(&reference, options)).await?)
        })
    }

    /// Lists what is held.
    #[napi(catch_unwind)]
    pub fn list<'env>(&self, env: &'env Env, operation: u32) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(env, operation, async move { text(images.list().await?) })
    }

    /// Returns what is held under a reference.
    #[napi(catch_unwind)]
    pub fn get<'env>(
        &self,
        env: &'env Env,
        reference: String,
        wanted: Option<String>,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(
            env,
            operation,
            async move { text(images.get(&reference, platform(wanted.as_deref())?).await?) },
        )
    }

    /// Returns everything known of an image.
    #[napi(catch_unwind)]
    pub fn inspect<'env>(
        &self,
        env: &'env Env,
        reference: String,
        wanted: Option<String>,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(env, operation, async move {
            text(images.inspect(&reference, platform(wanted.as_deref())?).await?)
        })
    }

    /// Gives an image another name.
    #[napi(catch_unwind)]
    pub fn tag<'env>(
        &self,
        env: &'env Env,
        reference: String,
        name: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(env, operation, async move { text(images.tag(&reference, &name).await?) })
    }

    /// Removes a name and, with its last one, the image.
    #[napi(catch_unwind)]
    pub fn remove<'env>(
        &self,
        env: &'env Env,
        reference: String,
        force: bool,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(env, operation, async move { text(images.remove(&reference, force).await?) })
    }

    /// Writes the root filesystem as one file.
    #[napi(catch_unwind)]
    pub fn export_erofs<'env>(
        &self,
        env: &'env Env,
        reference: String,
        wanted: Option<String>,
        file: String,
        operation: u32,
    ) -> Result<Unknown<'env>> {
        let images = self.images.clone();
        promise(env, operation, async move {
            images.export_erofs(&reference, platform(wanted.as_deref())?, file).await
        })
    }
}
