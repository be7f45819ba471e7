//! Templates that go further: the root of one image is mounted in them, over a disk nobody has used.
//!
//! ```text
//! templates/<key>.<unique>/  memory, state, meta.json   as of any template
//!                            disk                       the writable disk as the machine had it when it was saved
//! templates/<key>.seen       how many boxes of the image have been started without, until there are enough to make it
//! ```
//! For boxes that start for the first time; one that has a disk of its own mounts that in a machine from the plain
//! template. The invariant: what a machine remembers of its disks is what is on them. So a box gets memory, state and disk of
//! one directory, which is never written again and whose name is never used again; and a key covers the plain template, the
//! size of the disk, and the image's files with the times they were last changed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxlite_protocol::{AgentRequest, Answer, Root};
use boxlite_types::{Digest, DiskLayout, Error, ErrorCode, Home, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::boot::{self, ServeImage};
use super::disk::{self, DISK_FILE};
use super::durable::{Cancel, FileLock, Workshop, unique_name};
use super::machine::{DISK_BYTES, DISK_SERIAL, IMAGE_SERIAL, MachineSpec, Memory};
use super::process::Spawn;
use super::snapshot::{self, MEMORY_FILE};
use super::template::{self, SAVE_TIMEOUT};

/// Longest time an agent may take to mount a root; usual are 130 ms, but the host may be busy.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// Between the key of a template and what makes its name unique.
const SEPARATOR: char = '.';

/// New boxes of an image that are started without a template of its own before one is made. That takes as long as some six of
/// them gain by it, and 100 MB of disk: nothing for an image that is started once or twice.
pub const STARTS_BEFORE: usize = 3;

/// Name of the note of boxes started without, and of the lock of whoever makes a template.
const SEEN: &str = "seen";
const STARTED: u8 = b'.';
const LOCK: &str = "lock";

/// Returns the key of the template in which `root` is mounted over a disk of `disk_mib` MiB, made out of the plain template
/// in `plain`.
///
/// # Errors
/// `Storage` if a file of the image is missing.
pub fn key(plain: &Path, root: &DiskLayout, disk_mib: u32) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(plain.file_name().unwrap_or_default().as_bytes());
    hash.update(disk_mib.to_le_bytes());
    hash.update(root.size_bytes.to_le_bytes());
    for extent in &root.extents {
        let file = fs::metadata(&extent.path).map_err(|source| Error::io("look at", &extent.path, source))?;
        hash.update(extent.path.as_os_str().as_bytes());
        let stamp = [file.ino(), file.size(), file.mtime() as u64, file.mtime_nsec() as u64];
        let place = [extent.file_offset, extent.disk_offset, extent.length];
        stamp.iter().chain(&place).for_each(|number| hash.update(number.to_le_bytes()));
    }
    Ok(Digest::from_bytes(hash.finalize().into()).hex()[..24].to_owned())
}

/// Returns whether a directory among the templates is one of these.
pub(super) fn is_mounted(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name.as_bytes().contains(&(SEPARATOR as u8)))
}

/// Returns whether a file among the templates is a note of one of these.
pub(super) fn is_note(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == SEEN)
}

/// Finds a template that can be used.
pub fn find(home: &Home, key: &str) -> Option<PathBuf> {
    let prefix = format!("{key}{SEPARATOR}");
    let entries = fs::read_dir(home.templates()).ok()?;
    let paths = entries.flatten().filter(|entry| entry.file_name().as_bytes().starts_with(prefix.as_bytes()));
    paths.map(|entry| entry.path()).find(|path| has_disk(path) && template::is_ready(path))
}

/// Returns whether one is to be made now, and otherwise notes one more start without.
///
/// # Errors
/// `Storage` if that cannot be noted.
pub fn is_due(home: &Home, key: &str) -> Result<bool> {
    let note = note(home, key);
    let noted = fs::read(&note).unwrap_or_default();
    // Anything else is the reason why none can be made.
    if noted.iter().any(|byte| *byte != STARTED) {
        return Ok(false);
    }
    if noted.len() >= STARTS_BEFORE {
        return Ok(true);
    }
    let file = File::options().append(true).create(true).open(&note);
    file.and_then(|mut file| file.write_all(&[STARTED]))
        .map(|()| false)
        .map_err(|source| Error::io("write", &note, source))
}

/// Notes why one cannot be made, so that not every start tries it anew.
pub fn give_up(home: &Home, key: &str, reason: &Error) {
    let _ = fs::write(note(home, key), reason.to_string());
}

fn note(home: &Home, key: &str) -> PathBuf {
    home.templates().join(format!("{key}{SEPARATOR}{SEEN}"))
}

/// A template to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// As [`key`] returns it.
    pub key: String,
    /// The image's disk.
    pub root: DiskLayout,
    /// Size of the filesystem on the writable disk in MiB.
    pub disk_mib: u32,
}

/// Makes a template of `spec`, which names its plain template, unless somebody else made it meanwhile. `serve_image` shows
/// the image's disk.
///
/// # Errors
/// As [`template::make`].
pub fn make(
    home: &Home,
    order: &Order,
    spec: &MachineSpec,
    qemu_version: &str,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<()> {
    let Order { key, root, disk_mib } = order;
    let plain = spec.template.as_deref();
    let plain = plain.ok_or_else(|| Error::new(ErrorCode::Internal, "there is no template to begin with"))?;
    let templates = home.templates();
    let cancel = Cancel::default();
    let _lock = FileLock::acquire(&templates.join(format!("{key}{SEPARATOR}{LOCK}")), &cancel)?;
    if find(home, key).is_some() {
        return Ok(());
    }
    let workplace = templates.join("making").join(key);
    let workshop = Workshop::new(&workplace)?;
    let (disk, memory) = (workshop.path().join(DISK_FILE), workshop.path().join(MEMORY_FILE));
    let copy = |from: &Path, to: &Path| {
        disk::sparse_copy(from, to).map_err(|source| Error::io("create", to, source))
    };
    copy(&disk::blank(home, *disk_mib, &cancel)?, &disk)?;
    copy(&plain.join(MEMORY_FILE), &memory)?;
    {
        let continued = Memory::Continued { template: plain.to_owned(), memory };
        let mut machine = boot::bring_back(spec, &continued, &disk, spawn, serve_image)?;
        let root = Root { image_serial: IMAGE_SERIAL.into(), disk_serial: DISK_SERIAL.into() };
        let mounted = machine.ask(AgentRequest::Mount(root), Instant::now() + MOUNT_TIMEOUT);
        let saved = mounted.and_then(|answer| match answer {
            Answer::Done => snapshot::save(&mut machine.qmp, workshop.path(), Instant::now() + SAVE_TIMEOUT),
            _ => Err(Error::new(ErrorCode::Engine, "the agent answers what it was not asked")),
        });
        saved.map_err(|error| machine.process.explain(error))?;
    }
    // On a copy of the disk: a machine that runs writes to it.
    let proof = workshop.path().join("proof");
    copy(&disk, &proof)?;
    drop(boot::restore(spec, workshop.path(), &proof, spawn, serve_image)?);
    fs::remove_file(&proof).map_err(|source| Error::io("remove", &proof, source))?;
    template::describe(workshop.path(), spec, qemu_version, Some(root))?;
    let directory = templates.join(format!("{key}{SEPARATOR}{}", unique_name()));
    workshop.publish(&directory)?;
    let _ = fs::remove_dir(workplace);
    let _ = fs::remove_file(note(home, key));
    template::prune(&templates, &directory);
    Ok(())
}

/// Gives a box the disk of a template; false if it has one.
///
/// # Errors
/// `Storage`, `NoSpace`; also if the template went away.
pub fn take_disk(template: &Path, directory: &Path) -> Result<bool> {
    disk::place_copy(&template.join(DISK_FILE), directory)
}

/// Returns whether the disk of a template has the size that machines expect.
fn has_disk(directory: &Path) -> bool {
    File::open(directory.join(DISK_FILE))
        .and_then(|file| file.metadata())
        .is_ok_and(|file| file.len() == DISK_BYTES)
}
