//! BoxLite: pull any OCI image and run code from it in a **box**, a machine with its own kernel. No daemon, no root.
//!
//! ```no_run
//! use boxlite::{BoxSpec, ExecSpec, Options, PullOptions, Runtime};
//!
//! # async fn hello() -> boxlite::Result<()> {
//! let runtime = Runtime::open(Options::default()).await?;
//! let image = runtime.images().pull("debian:12-slim", PullOptions::default()).await?;
//! let machine = runtime.create(BoxSpec { image: image.reference, ..BoxSpec::default() }).await?;
//! machine.start().await?;
//! let hello = ExecSpec { argv: vec!["echo".into(), "hello".into()], ..ExecSpec::default() };
//! let output = machine.exec(hello).await?.output().await?;
//! assert_eq!(output.stdout, b"hello\n");
//! runtime.shutdown(std::time::Duration::from_secs(10)).await
//! # }
//! ```
//!
//! **Handles that cannot lie.** [`Images`], [`BoxHandle`] and [`Execution`] work while their runtime is open, and answer
//! [`ErrorCode::Stopped`] from the moment [`Runtime::shutdown`] is called or the last clone of the [`Runtime`] is dropped,
//! however many of them are still held. When shutdown has returned, nothing in this process touches the home.
//!
//! **Any executor.** A runtime owns its worker threads (`boxlite-*`); the futures here only wait for them, so they can be
//! polled by any executor, or by `futures::executor::block_on`. Dropping a future cancels what it waits for, and the
//! cancelled work rolls back on its own; [`cancelled_by`] waits for that.

mod archive;
mod boxes;
mod bundled;
mod core;
mod events;
mod execution;
mod gate;
mod handle;
mod images;
mod keeper;
mod logs;
mod machine;
mod operation;
mod options;
mod process;
mod runtime;
mod threads;
mod upkeep;

pub use archive::{ArchiveReader, CopyOptions};
pub use boxlite_engine::Engine;
pub use boxlite_image::{
    ImageOptions, PullOptions, PullSink, RegistryAuth, RegistryOptions, RetryOptions, Transport,
};
pub use boxlite_protocol::FileStat;
pub use boxlite_types::*;
pub use events::EventStream;
pub use execution::{Execution, ExecutionOutput, ExecutionStdin, Output};
pub use handle::BoxHandle;
pub use images::Images;
pub use logs::{LogEntry, LogOptions, LogSource, LogStream};
pub use machine::{DoctorCheck, DoctorReport, KernelInfo, KernelSource, Kernels, PrepareProgress};
pub use operation::cancelled_by;
pub use options::{AcceleratorChoice, EngineOptions, Options};
pub use runtime::{Runtime, RuntimeMetrics};
pub use tokio_util::sync::CancellationToken;
