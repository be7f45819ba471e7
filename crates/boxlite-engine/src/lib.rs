//! How a box is isolated.
//!
//! The rest of the system knows engines only through the [`Engine`] trait and a running box only through a [`Session`].
//! The one engine here is [`vm`]: QEMU under a shim. Nothing in this crate knows of images, references or the database:
//! an engine is handed a disk layout and a directory.

mod engine;
pub mod session;
pub mod shim;
pub mod vm;

pub use engine::{Engine, ExitRecord, ProcessIdentity, StageSink, StartRequest};
pub use session::Session;
