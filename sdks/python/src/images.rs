//! The image handle.

use std::path::PathBuf;
use std::sync::Arc;

use boxlite::PullOptions;
use pyo3::prelude::*;

use crate::bound::ProcessBound;
use crate::convert;
use crate::failure::Failure;
use crate::operation::Operation;

/// The images of a home.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Images {
    images: ProcessBound<boxlite::Images>,
}

impl Images {
    pub fn new(images: boxlite::Images) -> Self {
        Images { images: ProcessBound::new(images) }
    }

    fn begin(&self, begin: impl FnOnce(boxlite::Images) -> boxlite::Result<Operation>) -> Operation {
        Operation::begin(self.images.get().cloned().and_then(begin))
    }
}

#[pymethods]
impl Images {
    #[pyo3(signature = (reference, platform, policy, progress))]
    fn pull(
        &self,
        reference: String,
        platform: Option<&str>,
        policy: Option<&str>,
        progress: bool,
    ) -> Operation {
        self.begin(|images| {
            let options = PullOptions {
                platform: convert::platform(platform)?,
                policy: convert::policy(policy)?,
                ..PullOptions::default()
            };
            let pull = |options| Operation::data(async move { images.pull(&reference, options).await });
            if !progress {
                return Ok(pull(options));
            }
            Ok(Operation::with_progress(|teller| {
                let progress = Some(Arc::new(move |event| teller.tell(event)) as boxlite::PullSink);
                pull(PullOptions { progress, ..options })
            }))
        })
    }

    fn list(&self) -> Operation {
        self.begin(|images| Ok(Operation::data(async move { images.list().await })))
    }

    #[pyo3(signature = (reference, platform))]
    fn get(&self, reference: String, platform: Option<&str>) -> Operation {
        self.begin(|images| {
            let platform = convert::platform(platform)?;
            Ok(Operation::data(async move { images.get(&reference, platform).await }))
        })
    }

    #[pyo3(signature = (reference, platform))]
    fn inspect(&self, reference: String, platform: Option<&str>) -> Operation {
        self.begin(|images| {
            let platform = convert::platform(platform)?;
            Ok(Operation::data(async move { images.inspect(&reference, platform).await }))
        })
    }

    fn tag(&self, reference: String, name: String) -> Operation {
        self.begin(|images| Ok(Operation::data(async move { images.tag(&reference, &name).await })))
    }

    fn remove(&self, reference: String, force: bool) -> Operation {
        self.begin(|images| Ok(Operation::data(async move { images.remove(&reference, force).await })))
    }

    #[pyo3(signature = (reference, platform, file))]
    fn export_erofs(&self, reference: String, platform: Option<&str>, file: PathBuf) -> Operation {
        self.begin(|images| {
            let platform = convert::platform(platform)?;
            Ok(Operation::data(async move { images.export_erofs(&reference, platform, file).await }))
        })
    }

    fn check_open(&self) -> Option<Failure> {
        self.images.get().and_then(|images| images.check_open()).err().map(Failure)
    }
}
