//! The vocabulary of BoxLite: errors, ids, specs, states, events. Plain data that every other crate shares.
//!
//! Nothing here opens a file, a socket or a thread, and nothing knows how an image is stored or a box isolated.
//! `*Spec` is what is wanted, `*Options` are knobs with defaults, `*Info` and `*State` are what is, `*Event` is an item
//! of a stream.

mod boxes;
mod check;
mod digest;
mod disk;
mod error;
mod error_code;
mod event;
mod exec;
mod home;
mod id;
mod image;
mod platform;

pub use boxes::{BoxInfo, BoxMetrics, BoxSpec, BoxState, Isolation, IsolationInfo, Resources};
pub use check::{CheckReport, Finding};
pub use digest::{DiffId, Digest};
pub use disk::{DISK_SECTOR_BYTES, DiskExtent, DiskLayout};
pub use error::{Context, Error, Result, ResultExt};
pub use error_code::ErrorCode;
pub use event::{Event, StartStage};
pub use exec::{ExecSpec, ExitStatus, Signal, TerminalSize};
pub use home::Home;
pub use id::{BoxId, new_id};
pub use image::{
    ImageConfig, ImageDetails, ImageInfo, LayerInfo, PullEvent, PullPolicy, PulledImage, RemovedImage,
    UsageReport,
};
pub use platform::Platform;
