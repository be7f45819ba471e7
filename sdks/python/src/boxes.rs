//! The handle to one box.

use std::path::PathBuf;

use boxlite::{BoxHandle, CopyOptions, ExecSpec, LogOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::bound::ProcessBound;
use crate::convert;
use crate::execution::Execution;
use crate::failure::Failure;
use crate::operation::Operation;
use crate::streams::{Archive, Logs};

/// The handle to one box.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Box {
    handle: ProcessBound<BoxHandle>,
    #[pyo3(get)]
    id: String,
}

/// What `boxlite.CopyOptions` holds.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Copying {
    overwrite: bool,
    follow_symlinks: bool,
    owner: Option<(u32, u32)>,
}

fn copying(options: &Bound<'_, PyAny>) -> boxlite::Result<CopyOptions> {
    let Copying { overwrite, follow_symlinks, owner } = convert::from_python("copy options", options)?;
    Ok(CopyOptions { overwrite, follow_symlinks, owner })
}

impl Box {
    pub fn new(handle: BoxHandle) -> Self {
        Box { id: handle.id().to_string(), handle: ProcessBound::new(handle) }
    }

    fn begin(&self, begin: impl FnOnce(BoxHandle) -> boxlite::Result<Operation>) -> Operation {
        Operation::begin(self.handle.get().cloned().and_then(begin))
    }
}

#[pymethods]
impl Box {
    fn info(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.info().await })))
    }

    fn start(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.start().await })))
    }

    fn start_attached(&self) -> Operation {
        self.begin(|handle| {
            Ok(Execution::begun(handle.clone(), async move { handle.start_attached().await }))
        })
    }

    fn attach(&self) -> Operation {
        self.begin(|handle| Ok(Execution::begun(handle.clone(), async move { handle.attach().await })))
    }

    fn exec(&self, spec: &Bound<'_, PyAny>) -> Operation {
        self.begin(|handle| {
            let spec: ExecSpec = convert::from_python("command", spec)?;
            Ok(Execution::begun(handle.clone(), async move { handle.exec(spec).await }))
        })
    }

    fn detach(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.detach().await })))
    }

    fn stop(&self, timeout_secs: f64) -> Operation {
        self.begin(|handle| {
            let timeout = convert::seconds("timeout", timeout_secs)?;
            Ok(Operation::data(async move { handle.stop(timeout).await }))
        })
    }

    fn restart(&self, timeout_secs: f64) -> Operation {
        self.begin(|handle| {
            let timeout = convert::seconds("timeout", timeout_secs)?;
            Ok(Operation::data(async move { handle.restart(timeout).await }))
        })
    }

    fn kill(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.kill().await })))
    }

    fn signal(&self, signal: i32) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.signal(signal).await })))
    }

    /// Waits until the box has stopped.
    fn wait(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.wait().await })))
    }

    fn metrics(&self) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.metrics().await })))
    }

    fn copy_in(&self, host: PathBuf, inside: String, options: &Bound<'_, PyAny>) -> Operation {
        self.begin(|handle| {
            let options = copying(options)?;
            Ok(Operation::data(async move { handle.copy_in(host, &inside, options).await }))
        })
    }

    fn copy_out(&self, inside: String, host: PathBuf, options: &Bound<'_, PyAny>) -> Operation {
        self.begin(|handle| {
            let options = copying(options)?;
            Ok(Operation::data(async move { handle.copy_out(&inside, host, options).await }))
        })
    }

    fn put_archive(&self, directory: String, archive: &[u8], options: &Bound<'_, PyAny>) -> Operation {
        self.begin(|handle| {
            let (options, archive) = (copying(options)?, std::io::Cursor::new(archive.to_vec()));
            Ok(Operation::data(async move { handle.put_archive(&directory, archive, options).await }))
        })
    }

    fn get_archive(&self, path: String, options: &Bound<'_, PyAny>) -> Operation {
        self.begin(|handle| {
            let options = copying(options)?;
            Ok(Operation::object(async move { handle.get_archive(&path, options).await }, Archive::new))
        })
    }

    fn stat(&self, path: String, follow_symlinks: bool) -> Operation {
        self.begin(|handle| {
            Ok(Operation::new(async move { handle.stat(&path, follow_symlinks).await }, |py, stat| {
                let fields = PyDict::new(py);
                fields.set_item("mode", stat.mode)?;
                fields.set_item("size_bytes", stat.size_bytes)?;
                fields.set_item("uid", stat.uid)?;
                fields.set_item("gid", stat.gid)?;
                fields.set_item("modified_ns", stat.modified_ns)?;
                let target = stat.link_target.as_ref().map(|target| PyBytes::new(py, target));
                fields.set_item("link_target", target)?;
                Ok(fields.into_any().unbind())
            }))
        })
    }

    #[pyo3(signature = (follow, tail))]
    fn logs(&self, follow: bool, tail: Option<usize>) -> Operation {
        self.begin(|handle| {
            let options = LogOptions { follow, tail };
            Ok(Operation::object(async move { handle.logs(options).await }, Logs::new))
        })
    }

    fn remove(&self, force: bool) -> Operation {
        self.begin(|handle| Ok(Operation::data(async move { handle.remove(force).await })))
    }

    fn check_open(&self) -> Option<Failure> {
        self.handle.get().and_then(|handle| handle.check_open()).err().map(Failure)
    }
}
