//! The open handle to a home.

use std::time::Duration;

use boxlite_types::{BoxInfo, BoxSpec, CheckReport, Resources, Result, UsageReport};

use crate::{BoxHandle, DoctorReport, EventStream, Images, Kernels, Options, PrepareProgress};

/// The open handle to a home. Clones share it; when the last one is dropped, it is shut down with a short deadline.
#[derive(Clone)]
pub struct Runtime {}

/// What a runtime has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuntimeMetrics {
    /// Boxes created.
    pub boxes_created_total: u64,
    /// Creations and starts that failed.
    pub boxes_failed_total: u64,
    /// Boxes of the home that run now.
    pub num_running_boxes: u64,
    /// Commands started.
    pub total_commands_executed: u64,
    /// Commands that could not be started.
    pub total_exec_errors: u64,
}

impl Runtime {
    /// Opens a home, making it if it does not exist, and cleans up after processes that died.
    pub async fn open(_options: Options) -> Result<Runtime> {
        unimplemented!()
    }

    /// Returns the image handle: the same one each time, without any I/O.
    pub fn images(&self) -> &Images {
        unimplemented!()
    }

    /// Returns the home directory.
    pub fn home(&self) -> &std::path::Path {
        unimplemented!()
    }

    /// Makes a box of an image that is in the store.
    pub async fn create(&self, _spec: BoxSpec) -> Result<BoxHandle> {
        unimplemented!()
    }

    /// Finds a box by its name, its id or a unique prefix of its id.
    pub async fn get(&self, _name: &str) -> Result<BoxHandle> {
        unimplemented!()
    }

    /// Lists all boxes of the home, newest first.
    pub async fn list(&self) -> Result<Vec<BoxInfo>> {
        unimplemented!()
    }

    /// Removes a box and its disk; one that runs only if `force` is set, which kills it.
    pub async fn remove(&self, _name: &str, _force: bool) -> Result<()> {
        unimplemented!()
    }

    /// Listens to what happens in this runtime from now on.
    pub fn events(&self) -> EventStream {
        unimplemented!()
    }

    /// Measures what takes space in the home.
    pub async fn usage(&self) -> Result<UsageReport> {
        unimplemented!()
    }

    /// Examines the whole home, and mends what it can if `repair` is set.
    pub async fn check(&self, _repair: bool) -> Result<CheckReport> {
        unimplemented!()
    }

    /// Does now what the first start of a box with these resources would do: kernel, accelerator, warm template.
    pub async fn prepare(&self, _resources: &Resources, _progress: Option<PrepareProgress>) -> Result<()> {
        unimplemented!()
    }

    /// Returns the guest kernels.
    pub fn kernels(&self) -> Kernels {
        unimplemented!()
    }

    /// Looks at whether boxes can run on this host, and says what to do if not.
    pub async fn doctor(&self) -> Result<DoctorReport> {
        unimplemented!()
    }

    /// Returns what this runtime has done.
    pub async fn metrics(&self) -> Result<RuntimeMetrics> {
        unimplemented!()
    }

    /// Shuts the runtime down: refuses every new call, cancels what goes on, stops the boxes that are not detached, and
    /// lets go of the home. Returns within `timeout` and 250 ms.
    ///
    /// # Errors
    /// `Timeout` if something had to be abandoned to keep the deadline; the home is let go all the same.
    pub async fn shutdown(&self, _timeout: Duration) -> Result<()> {
        unimplemented!()
    }
}
