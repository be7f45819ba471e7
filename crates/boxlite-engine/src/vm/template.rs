//! Warm templates: the state of a machine whose agent waits to be told which box it is.
//!
//! ```text
//! templates/<key>/memory      memory, sparse; every machine maps it copy-on-write
//!                 state       devices
//!                 meta.json   what it was made of, how long the files are, digest of the state
//! templates/<key>.lock
//! ```
//! A key covers all a state depends on: kernel, agent, emulator and all its arguments, so processors, memory, time-stamp
//! counter.
//! There is nothing secret in a template, and a template that is there has answered after a restore. It is kept by who
//! uses it: `meta.json` is touched, and what was not for long, or is too much, goes.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use boxlite_types::{Digest, DiskLayout, Error, ErrorCode, Home, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::boot::{self, ServeImage};
use super::command;
use super::durable::{Cancel, FileLock, Workshop};
use super::machine::{DISK_BYTES, MachineSpec, Memory};
use super::mounted;
use super::process::Spawn;
use super::snapshot::{self, MEMORY_FILE, STATE_FILE};

const META_FILE: &str = "meta.json";

/// Longest time saving the state may take; usual are 16 ms.
pub(super) const SAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Number of templates kept, plain ones and such with a root mounted; one takes some 100 MB of disk.
const KEPT: usize = 12;
const KEPT_MOUNTED: usize = 8;

/// A template not used for this long is removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// How old the note of the last use may be.
const TOUCH_INTERVAL: Duration = Duration::from_secs(3600);

#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    spec: MachineSpec,
    qemu_version: String,
    memory_bytes: u64,
    state_bytes: u64,
    state_digest: Digest,
    /// The image whose root is mounted in it: it goes with that.
    #[serde(default)]
    root: Option<DiskLayout>,
}

/// Returns the directory of the template for a machine, whether or not it is there.
///
/// # Errors
/// `InvalidArgument` for a path that QEMU's option syntax cannot carry; `Storage` if the kernel cannot be looked at.
pub fn directory(home: &Home, spec: &MachineSpec, qemu_version: &str) -> Result<PathBuf> {
    let memory = Memory::Recorded(PathBuf::from(MEMORY_FILE));
    let mut hash = Sha256::new();
    hash.update(qemu_version);
    hash.update("\n");
    hash.update(&spec.kernel_release);
    for argument in command::arguments(spec, &memory)? {
        hash.update("\n");
        hash.update(argument.as_bytes());
    }
    // A release may be installed anew under its name.
    for file in [&spec.kernel, &spec.initramfs] {
        let found = fs::metadata(file).map_err(|source| Error::io("look at", file, source))?;
        [found.size(), found.mtime() as u64, found.mtime_nsec() as u64]
            .iter()
            .for_each(|number| hash.update(number.to_le_bytes()));
    }
    Ok(home.templates().join(&Digest::from_bytes(hash.finalize().into()).hex()[..24]))
}

/// Returns whether the template in `directory` is whole, and notes its use.
pub fn is_ready(directory: &Path) -> bool {
    let meta_path = directory.join(META_FILE);
    let Some(meta) = read_meta(directory) else { return false };
    let length = |name| fs::metadata(directory.join(name)).map(|file| file.len()).ok();
    let whole = length(MEMORY_FILE) == Some(meta.memory_bytes)
        && length(STATE_FILE) == Some(meta.state_bytes)
        && state_digest(directory).is_ok_and(|digest| digest == meta.state_digest);
    if whole {
        let used = fs::metadata(&meta_path).and_then(|file| file.modified()).ok();
        if used.and_then(|used| used.elapsed().ok()).is_none_or(|age| age > TOUCH_INTERVAL) {
            let _ = File::open(&meta_path).and_then(|file| file.set_modified(SystemTime::now()));
        }
    }
    whole
}

/// Takes a template out of use: a restore from it failed.
pub fn condemn(directory: &Path) {
    let _ = fs::remove_file(directory.join(META_FILE));
}

/// Makes the template of `spec` in `directory`, unless somebody else made it meanwhile.
///
/// # Errors
/// `Engine` or `Timeout` if no machine comes up or what was saved cannot be restored; `Storage`, `NoSpace`.
pub fn make(
    directory: &Path,
    spec: &MachineSpec,
    qemu_version: &str,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<()> {
    let cancel = Cancel::default();
    let lock_path = directory.with_extension("lock");
    let _lock = FileLock::acquire(&lock_path, &cancel)?;
    if is_ready(directory) {
        return Ok(());
    }
    let root = directory.parent().ok_or_else(|| Error::new(ErrorCode::Internal, "a template has no home"))?;
    // A workshop is swept by whoever makes the next, so each key has a place of its own.
    let workplace = root.join("making").join(directory.file_name().unwrap_or_default());
    let workshop = Workshop::new(&workplace)?;
    let spec = MachineSpec { template: None, ..spec.clone() };
    let disk = workshop.path().join("disk");
    let memory = workshop.path().join(MEMORY_FILE);
    sparse_file(&disk, DISK_BYTES)?;
    sparse_file(&memory, u64::from(spec.memory_mib) << 20)?;
    {
        let recorded = Memory::Recorded(memory.clone());
        let mut machine = boot::cold_boot(&spec, &disk, &recorded, spawn, serve_image)?;
        snapshot::save(&mut machine.qmp, workshop.path(), Instant::now() + SAVE_TIMEOUT)
            .map_err(|error| machine.process.explain(error))?;
    }
    drop(boot::restore(&spec, workshop.path(), &disk, spawn, serve_image)?);
    fs::remove_file(&disk).map_err(|source| Error::io("remove", &disk, source))?;
    describe(workshop.path(), &spec, qemu_version, None)?;
    workshop.publish(directory)?;
    let _ = fs::remove_dir(workplace);
    prune(root, directory);
    Ok(())
}

fn sparse_file(path: &Path, size_bytes: u64) -> Result<()> {
    let made = File::create(path).and_then(|file| file.set_len(size_bytes));
    made.map_err(|source| Error::io("create", path, source))
}

fn state_digest(directory: &Path) -> std::io::Result<Digest> {
    Ok(Digest::from_bytes(Sha256::digest(fs::read(directory.join(STATE_FILE))?).into()))
}

/// Writes down what the template in a directory is, which makes it one.
pub(super) fn describe(
    directory: &Path,
    spec: &MachineSpec,
    qemu_version: &str,
    root: Option<&DiskLayout>,
) -> Result<()> {
    let length = |name: &str| {
        let path = directory.join(name);
        fs::metadata(&path).map(|file| file.len()).map_err(|source| Error::io("read", &path, source))
    };
    let meta = Meta {
        spec: spec.clone(),
        qemu_version: qemu_version.to_owned(),
        memory_bytes: length(MEMORY_FILE)?,
        state_bytes: length(STATE_FILE)?,
        state_digest: state_digest(directory).map_err(|source| Error::io("read", directory, source))?,
        root: root.cloned(),
    };
    let path = directory.join(META_FILE);
    fs::write(&path, serde_json::to_vec_pretty(&meta).expect("plain data becomes JSON"))
        .map_err(|source| Error::io("write", &path, source))
}

/// Removes templates that are out of use, those first that were not used for longest. Machines that were restored from one go
/// on: they have its memory open.
pub(super) fn prune(root: &Path, made: &Path) {
    let mut others: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path == made || !path.join(MEMORY_FILE).exists() {
            continue;
        }
        // One without its description was condemned.
        let used = fs::metadata(path.join(META_FILE)).and_then(|file| file.modified());
        others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), path));
    }
    others.sort_by(|a, b| b.cmp(a));
    let (mut plain, mut mounted) = (KEPT, KEPT_MOUNTED);
    *(if mounted::is_mounted(made) { &mut mounted } else { &mut plain }) -= 1;
    for (used, path) in others {
        let places = if mounted::is_mounted(&path) { &mut mounted } else { &mut plain };
        if *places == 0 || used.elapsed().is_ok_and(|age| age > UNUSED) {
            remove(&path);
        } else {
            *places -= 1;
        }
    }
    sweep_notes(root);
}

/// Removes the notes of templates that nobody has wanted for long.
fn sweep_notes(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|file| file.modified());
        let is_old = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > UNUSED));
        if mounted::is_note(&entry.path()) && is_old {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes the templates of images that are gone.
pub fn forget_images(home: &Home) {
    for entry in fs::read_dir(home.templates()).into_iter().flatten().flatten() {
        let path = entry.path();
        let root = read_meta(&path).and_then(|meta| meta.root);
        if root.is_some_and(|root| root.extents.iter().any(|extent| !extent.path.exists())) {
            remove(&path);
        }
    }
}

fn remove(template: &Path) {
    condemn(template);
    let _ = fs::remove_dir_all(template);
    let _ = fs::remove_file(template.with_extension("lock"));
}

fn read_meta(directory: &Path) -> Option<Meta> {
    serde_json::from_slice(&fs::read(directory.join(META_FILE)).ok()?).ok()
}

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;
