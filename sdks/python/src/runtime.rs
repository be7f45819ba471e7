//! The open handle to a home.

use std::sync::Arc;
use std::time::Duration;

use boxlite::{BoxSpec, Error, ErrorCode, KernelSource, PrepareProgress, Resources, StartStage};
use pyo3::prelude::*;

use crate::bound::ProcessBound;
use crate::boxes::Box as NativeBox;
use crate::convert;
use crate::exit::{detached, is_leaving};
use crate::failure::Failure;
use crate::images::Images;
use crate::operation::Operation;
use crate::options::RuntimeOptions;
use crate::streams::Events;

/// Deadline of the shutdown that closing means.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The open handle to a home.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Runtime {
    runtime: ProcessBound<boxlite::Runtime>,
}

impl Runtime {
    /// Returns the library's runtime; none in a child of `fork`.
    pub fn opened(&self) -> Option<boxlite::Runtime> {
        self.runtime.get().ok().cloned()
    }

    fn begin(&self, begin: impl FnOnce(boxlite::Runtime) -> boxlite::Result<Operation>) -> Operation {
        Operation::begin(self.runtime.get().cloned().and_then(begin))
    }
}

#[pymethods]
impl Runtime {
    /// Opens a home.
    #[staticmethod]
    fn open(options: &Bound<'_, PyAny>) -> Operation {
        if is_leaving() {
            return Operation::failed(Error::new(ErrorCode::Stopped, "the interpreter is exiting"));
        }
        let options = convert::from_python::<RuntimeOptions>("options", options);
        Operation::begin(options.and_then(RuntimeOptions::resolve).map(|options| {
            let opening = boxlite::Runtime::open(options);
            Operation::object(opening, |runtime| Runtime { runtime: ProcessBound::new(runtime) })
        }))
    }

    fn home(&self) -> Option<std::path::PathBuf> {
        self.runtime.get().ok().map(|runtime| runtime.home().to_owned())
    }

    fn images(&self) -> Option<Images> {
        self.runtime.get().ok().map(|runtime| Images::new(runtime.images().clone()))
    }

    #[pyo3(signature = (spec, platform))]
    fn create(&self, spec: &Bound<'_, PyAny>, platform: Option<&str>) -> Operation {
        self.begin(|runtime| {
            let platform = convert::platform(platform)?;
            let spec = BoxSpec { platform, ..convert::from_python("box options", spec)? };
            Ok(Operation::object(async move { runtime.create(spec).await }, NativeBox::new))
        })
    }

    fn get(&self, name: String) -> Operation {
        self.begin(|runtime| Ok(Operation::object(async move { runtime.get(&name).await }, NativeBox::new)))
    }

    fn list(&self) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.list().await })))
    }

    fn remove(&self, name: String, force: bool) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.remove(&name, force).await })))
    }

    fn metrics(&self) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.metrics().await })))
    }

    fn usage(&self) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.usage().await })))
    }

    fn check(&self, repair: bool) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.check(repair).await })))
    }

    fn doctor(&self) -> Operation {
        self.begin(|runtime| Ok(Operation::data(async move { runtime.doctor().await })))
    }

    fn prepare(&self, resources: &Bound<'_, PyAny>) -> Operation {
        self.begin(|runtime| {
            let resources: Resources = convert::from_python("resources", resources)?;
            Ok(Operation::with_progress(|teller| {
                let stages: PrepareProgress = Arc::new(move |stage: StartStage, took: Option<Duration>| {
                    teller.tell((stage, took.map(|took| took.as_secs_f64())));
                });
                Operation::data(async move { runtime.prepare(&resources, Some(stages)).await })
            }))
        })
    }

    fn kernels(&self) -> Operation {
        self.begin(|runtime| {
            let kernels = runtime.kernels().clone();
            Ok(Operation::data(async move { kernels.list().await }))
        })
    }

    #[pyo3(signature = (package=None, image=None, modules=None))]
    fn install_kernel(
        &self,
        package: Option<std::path::PathBuf>,
        image: Option<std::path::PathBuf>,
        modules: Option<std::path::PathBuf>,
    ) -> Operation {
        self.begin(|runtime| {
            let source = match (package, image, modules) {
                (None, None, None) => KernelSource::Distribution,
                (Some(package), None, None) => KernelSource::Package(package),
                (None, Some(image), Some(modules)) => KernelSource::Files { image, modules },
                _ => {
                    return Err(Error::new(
                        ErrorCode::InvalidArgument,
                        "a kernel comes as a package, or as an image with its modules",
                    ));
                }
            };
            let kernels = runtime.kernels().clone();
            Ok(Operation::data(async move { kernels.install(source).await }))
        })
    }

    /// Listens; a runtime that is shut down, or another process's, has no events.
    fn events(&self) -> Option<Events> {
        self.runtime.get().ok().map(|runtime| Events::new(runtime.events()))
    }

    fn check_open(&self) -> Option<Failure> {
        self.runtime.get().and_then(|runtime| runtime.check_open()).err().map(Failure)
    }

    fn shutdown(&self, timeout_secs: f64) -> Operation {
        self.begin(|runtime| {
            let timeout = convert::seconds("timeout", timeout_secs)?;
            Ok(Operation::data(async move { runtime.shutdown(timeout).await }))
        })
    }

    /// Shuts down with a short deadline, on this thread. Does nothing in a child of `fork`.
    fn close(&self, py: Python<'_>) {
        if let Some(runtime) = self.opened() {
            // What could not be stopped in time was given up, and the home is let go all the same.
            let _ = detached(py, || futures::executor::block_on(runtime.shutdown(CLOSE_TIMEOUT)));
        }
    }
}
