//! The log of a main command, in the format of the real shim's (`boxlite_engine::shim::log`).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use boxlite_protocol::Channel;

/// A log that is being written.
pub(super) struct Log(Mutex<File>);

impl Log {
    /// Opens the log of a box, making it if there is none.
    pub fn open(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join("log");
        let mut file = File::options().append(true).create(true).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(b"BOXLOG1\n")?;
        }
        Ok(Log(Mutex::new(file)))
    }

    pub fn append(&self, channel: Channel, bytes: &[u8]) {
        let time_ns =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64);
        for chunk in bytes.chunks(boxlite_protocol::MAX_DATA_BYTES) {
            let mut record = time_ns.to_le_bytes().to_vec();
            record.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
            record.extend_from_slice(&[channel as u8, 0, 0, 0]);
            record.extend_from_slice(chunk);
            self.0.lock().unwrap().write_all(&record).expect("the home of a test can be written");
        }
    }
}
