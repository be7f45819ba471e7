//! A machine that waits for a box: restored, warmed up, and told which one it is when there is one.
//!
//! What a start costs under the emulator is translating code of the guest that has not run since the restore. A spare has that
//! behind it: its agent has played a start through ([`AgentRequest::Rehearse`]), over the disk of an image and a writable
//! disk of its own that nobody ever sees. Then both disks are exchanged under it, which a guest that uses neither and remembers
//! nothing of them cannot tell; it is the invariant every template relies on, too.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxlite_protocol::{AgentRequest, Answer, Root};
use boxlite_types::{DiskLayout, Error, ErrorCode, Home, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::boot::{self, Machine, ServeImage};
use super::command::{DISK_NODE, DISK_SET, open_disk};
use super::disk;
use super::durable::{Cancel, UNFINISHED, unique_name};
use super::machine::{DISK_SERIAL, IMAGE_SERIAL, MachineSpec};
use super::process::Spawn;

/// Longest time a rehearsal may take; usual are 300 ms, but the host may be busy.
const REHEARSAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time an exchange of disks may take; usual is 1 ms.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The set of descriptors for the disk of the box; that of the command line holds the one used before.
const BOX_SET: u32 = DISK_SET + 1;

/// What a spare is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpareOrder {
    /// Root of the home it serves.
    pub home: PathBuf,
    /// The machine, with the template it comes out of.
    pub spec: MachineSpec,
    /// Disk of the image it is warmed up with.
    pub root: DiskLayout,
    /// Size of the filesystem on the writable disk it is warmed up with, in MiB.
    pub disk_mib: u32,
}

/// Brings a spare up. `serve_image` shows the order's image.
///
/// # Errors
/// As [`boot::restore`]; `Internal` if the machine has no template.
pub fn prepare(order: &SpareOrder, spawn: &dyn Spawn, serve_image: ServeImage<'_>) -> Result<Machine> {
    let template = order.spec.template.as_deref();
    let template = template.ok_or_else(|| Error::new(ErrorCode::Internal, "a spare has no template"))?;
    let disk = nameless_disk(&Home::new(&order.home), order.disk_mib)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", disk.as_raw_fd()));
    let mut machine = boot::restore(&order.spec, template, &path, spawn, serve_image)?;
    let root = Root { image_serial: IMAGE_SERIAL.into(), disk_serial: DISK_SERIAL.into() };
    match machine.ask(AgentRequest::Rehearse(root), Instant::now() + REHEARSAL_TIMEOUT) {
        Ok(Answer::Done) => Ok(machine),
        Ok(_) => Err(Error::new(ErrorCode::Engine, "the agent answers what it was not asked")),
        Err(error) => Err(machine.process.explain(error)),
    }
}

/// Puts the disk of a box in place of the one the spare was warmed up with.
///
/// # Errors
/// `Storage` if it cannot be opened, `Engine` or `Timeout` if the VMM does not take it.
pub fn exchange_disk(machine: &mut Machine, disk: &Path) -> Result<()> {
    const BOX_FILE: &str = "box-file";
    let (file, deadline) = (open_disk(disk)?, Instant::now() + EXCHANGE_TIMEOUT);
    let qmp = &mut machine.qmp;
    qmp.pass_set(BOX_SET, file.as_fd(), deadline)?;
    let node = json!({
        "driver": "file", "node-name": BOX_FILE, "filename": format!("/dev/fdset/{BOX_SET}"), "discard": "unmap",
    });
    qmp.execute("blockdev-add", node, deadline)?;
    let options = json!({ "driver": "raw", "node-name": DISK_NODE, "discard": "unmap", "file": BOX_FILE });
    qmp.execute("blockdev-reopen", json!({ "options": [options] }), deadline)?;
    // The last that held the other one.
    qmp.execute("remove-fd", json!({ "fdset-id": DISK_SET }), deadline).map(drop)
}

/// Makes a writable disk that is gone when nobody has it open.
fn nameless_disk(home: &Home, disk_mib: u32) -> Result<File> {
    let blank = disk::blank(home, disk_mib, &Cancel::default())?;
    let path = blank.with_file_name(format!("{UNFINISHED}{}", unique_name()));
    let made = disk::sparse_copy(&blank, &path).and_then(|()| {
        let file = File::options().read(true).write(true).open(&path);
        fs::remove_file(&path)?;
        file
    });
    made.map_err(|source| {
        let _ = fs::remove_file(&path);
        Error::io("create", &path, source)
    })
}
