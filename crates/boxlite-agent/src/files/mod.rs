//! Files of the box: archives in and out, look-ups, measuring. Everything here may block and runs as a [job](crate::jobs).
//!
//! Paths are resolved in the agent's own root, which in a machine is the box's. Errors name the entry they are about.

mod get;
mod metrics;
mod put;
mod stat;
mod tarball;

use boxlite_types::{Error, ErrorCode, Result};

pub(crate) use get::get;
pub(crate) use metrics::{Sources, memory_bytes, metrics};
pub(crate) use put::put;
pub(crate) use stat::stat;

use crate::failure::show;

/// Size of the pieces files are copied in: few system calls, little memory.
const COPY_BYTES: usize = 128 * 1024;

fn check_path(path: &[u8]) -> Result<()> {
    if !path.starts_with(b"/") || path.contains(&0) {
        return Err(invalid(format!("`{}` is not an absolute path", show(path))));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// Seconds and nanoseconds as nanoseconds since the Unix epoch.
fn nanoseconds(stat: &rustix::fs::Stat) -> i64 {
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64)
}
