//! A runtime that was opened and that nobody holds yet.

use std::path::Path;

use boxlite::Runtime;

use super::FREE_TIMEOUT;
use crate::process::Process;

/// An open runtime between the operation that opened it and the handle. Dropping it shuts it down, without waiting.
pub(crate) struct OpenRuntime(Option<Runtime>);

impl OpenRuntime {
    pub fn new(runtime: Runtime) -> Self {
        OpenRuntime(Some(runtime))
    }

    pub fn home(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), Runtime::home)
    }

    pub fn into_runtime(mut self) -> Runtime {
        self.0.take().expect("it is there until it is taken")
    }
}

impl Drop for OpenRuntime {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        // Dropping the runtime itself would wait for its shutdown here, and freeing an operation never waits.
        if let Ok(driver) = Process::current().driver() {
            driver.run(async move {
                let _ = runtime.shutdown(FREE_TIMEOUT).await;
            });
        }
    }
}
