//! The handle to one box.

use std::path::Path;
use std::time::Duration;

use boxlite_protocol::FileStat;
use boxlite_types::{BoxId, BoxInfo, BoxMetrics, ExecSpec, Result, Signal};
use tokio::io::AsyncRead;

use crate::{ArchiveReader, CopyOptions, Execution, LogOptions, LogStream};

/// The handle to one box. It is a name, not a connection: it stays good across stops and starts.
#[derive(Clone)]
pub struct BoxHandle {}

impl BoxHandle {
    /// Returns the id.
    pub fn id(&self) -> &BoxId {
        unimplemented!()
    }

    /// Returns what is known of the box now.
    pub async fn info(&self) -> Result<BoxInfo> {
        unimplemented!()
    }

    /// Starts the box, and its main command if it has one. Returns when commands can run in it.
    pub async fn start(&self) -> Result<()> {
        unimplemented!()
    }

    /// Stops the box if it runs, and starts it.
    pub async fn restart(&self, _timeout: Duration) -> Result<()> {
        unimplemented!()
    }

    /// Runs a command.
    pub async fn exec(&self, _spec: ExecSpec) -> Result<Execution> {
        unimplemented!()
    }

    /// Attaches to the main command: its streams from now on are the execution's.
    pub async fn attach(&self) -> Result<Execution> {
        unimplemented!()
    }

    /// Stops the box: asks every process to end, unmounts, and kills what is left after `timeout`.
    pub async fn stop(&self, _timeout: Duration) -> Result<()> {
        unimplemented!()
    }

    /// Kills the box at once.
    pub async fn kill(&self) -> Result<()> {
        unimplemented!()
    }

    /// Sends a signal to the main command.
    pub async fn signal(&self, _signal: Signal) -> Result<()> {
        unimplemented!()
    }

    /// Waits until the box has stopped, and returns its exit code.
    pub async fn wait(&self) -> Result<i32> {
        unimplemented!()
    }

    /// Copies a file or directory of the host into the box.
    pub async fn copy_in(&self, _host: &Path, _inside: &str, _options: CopyOptions) -> Result<()> {
        unimplemented!()
    }

    /// Copies a file or directory of the box to the host.
    pub async fn copy_out(&self, _inside: &str, _host: &Path, _options: CopyOptions) -> Result<()> {
        unimplemented!()
    }

    /// Unpacks a tar archive in an existing directory of the box.
    pub async fn put_archive(
        &self,
        _directory: &str,
        _archive: impl AsyncRead + Send + Unpin + 'static,
        _options: CopyOptions,
    ) -> Result<()> {
        unimplemented!()
    }

    /// Packs a file or directory of the box as a tar archive.
    pub async fn get_archive(&self, _path: &str, _options: CopyOptions) -> Result<ArchiveReader> {
        unimplemented!()
    }

    /// Looks up what is at a path in the box.
    pub async fn stat(&self, _path: &str, _follow_symlinks: bool) -> Result<FileStat> {
        unimplemented!()
    }

    /// Returns what the box uses at this moment.
    pub async fn metrics(&self) -> Result<BoxMetrics> {
        unimplemented!()
    }

    /// Reads what its main command printed.
    pub async fn logs(&self, _options: LogOptions) -> Result<LogStream> {
        unimplemented!()
    }

    /// Removes the box and its disk; see [`crate::Runtime::remove`].
    pub async fn remove(&self, _force: bool) -> Result<()> {
        unimplemented!()
    }
}
