//! The writable disk of a box: the upper side of its root.
//!
//! A sparse file of [`DISK_BYTES`], the size every machine expects, at its start an ext4 filesystem of the size the box
//! may use: what is full is the filesystem, and the rest of the file is never touched. Made without root, by `mke2fs`
//! once per size into a blank, of which each box gets a sparse copy.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boxlite_types::{Context, Error, ErrorCode, Home, Result};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::durable::{Cancel, FileLock, unique_name};
use super::machine::DISK_BYTES;
use super::qemu::find_program;

/// Name of the disk in the directory of a box.
pub const DISK_FILE: &str = "disk";

/// Features every ext4 of the last ten years has; named one by one, so that the host's configuration does not matter.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,sparse_super,large_file,huge_file,extent,flex_bg,\
                        dir_nlink,extra_isize,metadata_csum,64bit";

/// Returns the disk in `directory`, made with `disk_mib` MiB if the box has none yet.
///
/// # Errors
/// `Unsupported` if `mke2fs` is missing, `InvalidArgument` for a size that cannot be, `Storage`, `NoSpace`, `Cancelled`.
pub fn ensure(home: &Home, disk_mib: u32, directory: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let disk = directory.join(DISK_FILE);
    if disk.exists() {
        return Ok(disk);
    }
    place_copy(&blank(home, disk_mib, cancel)?, directory)?;
    Ok(disk)
}

/// Makes a copy of `from` the disk of the box in `directory`, unless it has one by then: a start that was given up may still
/// be making one, and the machine of the next may have it open. Returns whether it did.
pub(super) fn place_copy(from: &Path, directory: &Path) -> Result<bool> {
    let disk = directory.join(DISK_FILE);
    let temporary = directory.join(format!("{DISK_FILE}.{}", unique_name()));
    // A link, unlike a renaming, never takes the place of what is there.
    let made = sparse_copy(from, &temporary).and_then(|()| match fs::hard_link(&temporary, &disk) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    let _ = fs::remove_file(&temporary);
    made.map_err(|source| Error::io("create", &disk, source))
}

/// Finds the program that makes filesystems.
pub(super) fn mke2fs() -> Result<PathBuf> {
    find_program("mke2fs").ok_or_else(|| {
        Error::new(ErrorCode::Unsupported, "`mke2fs` is not installed; it makes the disks of boxes")
            .hint("install e2fsprogs; on Debian and Ubuntu: `apt-get install e2fsprogs`")
    })
}

/// Returns the blank disk of a size, made at the first call.
pub(super) fn blank(home: &Home, disk_mib: u32, cancel: &Cancel) -> Result<PathBuf> {
    if u64::from(disk_mib) << 20 > DISK_BYTES || disk_mib < 16 {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("a disk of {disk_mib} MiB is out of range"),
        ));
    }
    let directory = home.templates().join("disks");
    let blank = directory.join(format!("{disk_mib}.ext4"));
    if blank.exists() {
        return Ok(blank);
    }
    let _lock = FileLock::acquire(&directory.join(".lock"), cancel)?;
    if blank.exists() {
        return Ok(blank);
    }
    let program = mke2fs()?;
    let temporary = directory.join("unfinished");
    let made = File::create(&temporary).and_then(|file| file.set_len(DISK_BYTES));
    made.map_err(|source| Error::io("create", &temporary, source))?;
    // A sparse file is all zero, which newer versions can be told: then neither they nor the guest's kernel writes zeros.
    let prezeroed = make_filesystem(&program, &temporary, disk_mib, "assume_storage_prezeroed=1,");
    prezeroed.or_else(|_| make_filesystem(&program, &temporary, disk_mib, ""))?;
    File::open(&temporary)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&temporary, &blank))
        .map_err(|source| Error::io("create", &blank, source))?;
    Ok(blank)
}

fn make_filesystem(program: &Path, file: &Path, disk_mib: u32, extended: &str) -> Result<()> {
    let journal_mib = (disk_mib / 64).clamp(4, 64);
    let output = Command::new(program)
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O", FEATURES])
        .args(["-J", &format!("size={journal_mib}"), "-E"])
        .arg(format!("{extended}nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"))
        .arg(file)
        .arg(format!("{disk_mib}M"))
        .env("MKE2FS_CONFIG", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::io("run", program, source))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let reason =
        complaint.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
    Err(Error::new(ErrorCode::Storage, format!("`mke2fs` cannot make a disk of {disk_mib} MiB: {reason}"))
        .with(Context::Path, file.display().to_string()))
}

/// Copies a sparse file with its holes, sharing its blocks where the filesystem can.
pub(super) fn sparse_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let source = File::open(from)?;
    let target = File::options().write(true).create_new(true).open(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data any more.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        at = rustix::fs::seek(&source, SeekFrom::Hole(start))?;
        let mut position = start;
        while position < at {
            let piece = buffer.len().min((at - position) as usize);
            source.read_exact_at(&mut buffer[..piece], position)?;
            target.write_all_at(&buffer[..piece], position)?;
            position += piece as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_box_gets_its_own_sparse_disk_once() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let make = |name: &str, disk_mib: u32| {
            let directory = directory.path().join(name);
            fs::create_dir_all(&directory).unwrap();
            ensure(&home, disk_mib, &directory, &Cancel::default()).unwrap()
        };
        for (name, disk_mib) in [("a", 64), ("b", 64), ("c", 10240), ("d", 61440)] {
            let disk = make(name, disk_mib);
            let metadata = fs::metadata(&disk).unwrap();
            assert_eq!(metadata.len(), DISK_BYTES);
            assert!(metadata.blocks() * 512 < 8 << 20, "{disk_mib} MiB take {} KiB", metadata.blocks() / 2);
            // The superblock: magic, and the number of blocks of 4 KiB.
            let mut superblock = [0; 1024];
            File::open(&disk).unwrap().read_exact_at(&mut superblock, 1024).unwrap();
            assert_eq!(superblock[56..58], [0x53, 0xef]);
            assert_eq!(superblock[4..8], (disk_mib * 256).to_le_bytes());
        }
        File::options().write(true).open(make("a", 64)).unwrap().write_all_at(b"kept", 0).unwrap();
        let mut first = [0; 4];
        File::open(make("a", 64)).unwrap().read_exact_at(&mut first, 0).unwrap();
        assert_eq!(&first, b"kept");
        File::open(make("b", 64)).unwrap().read_exact_at(&mut first, 0).unwrap();
        assert_eq!(first, [0; 4]);
    }

    #[test]
    fn a_size_that_cannot_be_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        for disk_mib in [0, 15, 70_000, u32::MAX] {
            let error = ensure(&home, disk_mib, directory.path(), &Cancel::default()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
        }
    }
}
