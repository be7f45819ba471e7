//! Operations on the image handle.

use std::path::PathBuf;
use std::sync::Arc;

use boxlite::{Platform, PullOptions, PullSink};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::{RustSurface, to_json, unknown};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Progress, Request};

impl RustSurface {
    pub(super) async fn images(
        &self,
        request: &Request,
        arguments: &mut Arguments,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Json, Fault> {
        let images = self.handles.images(request)?;
        let reference: Option<String> = arguments.find("reference")?;
        let reference =
            || reference.clone().ok_or_else(|| Fault::Adapter("argument `reference` is missing".into()));
        match request.op.as_str() {
            "images.pull" => {
                let platform = platform(arguments)?;
                let policy = arguments.or_default("policy")?;
                let told = arguments.or_default::<bool>("progress")?;
                let sink: Option<PullSink> = told.then(|| {
                    let sink: PullSink = Arc::new(move |event| progress(to_json(event).unwrap_or_default()));
                    sink
                });
                let options = PullOptions { platform, policy, progress: sink, cancel };
                to_json(images.pull(&reference()?, options).await?)
            }
            "images.list" => to_json(images.list().await?),
            "images.get" => to_json(images.get(&reference()?, platform(arguments)?).await?),
            "images.inspect" => to_json(images.inspect(&reference()?, platform(arguments)?).await?),
            "images.tag" => {
                let name: String = arguments.take("name")?;
                to_json(images.tag(&reference()?, &name).await?)
            }
            "images.remove" => to_json(images.remove(&reference()?, arguments.or_default("force")?).await?),
            "images.export_erofs" => {
                let (platform, file) = (platform(arguments)?, arguments.take::<PathBuf>("file")?);
                to_json(images.export_erofs(&reference()?, platform, file).await?)
            }
            _ => Err(unknown(request)),
        }
    }
}

fn platform(arguments: &mut Arguments) -> Result<Option<Platform>, Fault> {
    let text: Option<String> = arguments.find("platform")?;
    Ok(text.map(|text| text.parse()).transpose()?)
}
