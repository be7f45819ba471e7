//! What the main command of a box wrote, kept as `log` in the directory of the box.
//!
//! ```text
//! file    "BOXLOG1\n", then records
//! record  | time_ns u64 | length u32 | channel u8 (1 stdout, 2 stderr) | zero [u8; 3] | length bytes |   little-endian
//! ```
//!
//! The bytes are exactly those written. Runs of a box follow one another in the same log. The file is bounded: past
//! [`ROTATE_BYTES`] it becomes `log.1`, taking the place of the one before. Each record is written by a single call, and a
//! record cut short by a crash is cut off before the next one is appended; a reader that meets one takes it for the end.

mod follow;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use follow::LogFollower;
pub use reader::read_log;
pub(crate) use writer::LogWriter;

use boxlite_protocol::Channel;

/// Size in bytes past which a log is put aside: with the one before, the most that a box's log takes is twice this.
pub const ROTATE_BYTES: u64 = 32 * 1024 * 1024;

/// Name of the log in the directory of a box.
pub const LOG_FILE: &str = "log";

/// Name of what came before it.
pub const OLDER_LOG_FILE: &str = "log.1";

const MAGIC: &[u8; 8] = b"BOXLOG1\n";
const HEADER_BYTES: usize = 16;

/// Something the main command wrote at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// `Stdout` or `Stderr`.
    pub channel: Channel,
    /// What.
    pub bytes: Vec<u8>,
}

impl LogRecord {
    fn encode(time_ns: u64, channel: Channel, bytes: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(HEADER_BYTES + bytes.len());
        record.extend_from_slice(&time_ns.to_le_bytes());
        record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(&[channel as u8, 0, 0, 0]);
        record.extend_from_slice(bytes);
        record
    }
}

/// Header of a record: time, channel, length. `None` for bytes that are none.
fn decode_header(header: &[u8; HEADER_BYTES]) -> Option<(u64, Channel, usize)> {
    let time_ns = u64::from_le_bytes(*header.first_chunk()?);
    let length = u32::from_le_bytes(*header[8..].first_chunk()?) as usize;
    let channel = match header[12..] {
        [1, 0, 0, 0] => Channel::Stdout,
        [2, 0, 0, 0] => Channel::Stderr,
        _ => return None,
    };
    (length <= boxlite_protocol::MAX_DATA_BYTES).then_some((time_ns, channel, length))
}
