//! What the tests of this crate share: images converted here and unpacked by umoci, mounted, and compared as values.
//!
//! Mounting and unpacking with owners take root. A test that needs them asks [`is_root`] and says so when it skips.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod erofs;
pub mod model;
pub mod snapshot;

use std::path::{Path, PathBuf};
use std::process::Command;

use boxlite_rootfs::{
    LayerLimits, LayerWriter, ROOT_DISK_BYTES, export, layout, merge, verify_layer, verify_merged,
};
use boxlite_testkit::images::{Compression, Entry, Image, Layer, tar, write_layout};
use boxlite_types::{DiskLayout, Result};
use tempfile::TempDir;

pub use snapshot::Snapshot;

/// Returns whether the test may mount; otherwise says that it skips, and why.
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: {test} mounts and unpacks as root, and this is an ordinary user");
    }
    root
}

/// An image converted by the library under test.
pub struct Converted {
    directory: TempDir,
    layers: Vec<PathBuf>,
}

impl Converted {
    /// Converts and merges layer tars, lowest first; everything it writes must verify.
    pub fn of<T: AsRef<[u8]>>(tars: &[T]) -> Result<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut layers = Vec::new();
        for (number, tar) in tars.iter().enumerate() {
            let layer = directory.path().join(format!("layer{number}"));
            std::fs::create_dir(&layer).expect("a directory");
            let mut writer = LayerWriter::create(&layer, &LayerLimits::default())?;
            // Odd slices, so that headers and contents arrive in pieces.
            for slice in tar.as_ref().chunks(77_777) {
                writer.write(slice)?;
            }
            let summary = writer.finish()?;
            assert_eq!(verify_layer(&layer)?, summary);
            layers.push(layer);
        }
        let converted = Converted { directory, layers };
        let merged = merge(&converted.layers, &converted.metadata())?;
        assert_eq!(std::fs::metadata(converted.metadata()).unwrap().len(), merged.metadata_bytes);
        verify_merged(&converted.metadata())?;
        Ok(converted)
    }

    pub fn metadata(&self) -> PathBuf {
        self.directory.path().join("merged.erofs")
    }

    pub fn layers(&self) -> &[PathBuf] {
        &self.layers
    }

    /// Writes the self-contained file, which `fsck.erofs` must find sound.
    pub fn export(&self) -> PathBuf {
        let out = self.directory.path().join("export.erofs");
        export(&self.metadata(), &self.layers, &out, || false).expect("an export");
        let fsck = Command::new("fsck.erofs").arg(&out).output().expect("fsck.erofs (package erofs-utils)");
        assert!(fsck.status.success(), "fsck.erofs: {}", String::from_utf8_lossy(&fsck.stderr));
        out
    }

    /// Puts the disk of a box together as a sparse file, from its description alone.
    pub fn disk(&self) -> PathBuf {
        use std::os::unix::fs::FileExt;
        let DiskLayout { size_bytes, extents } = layout(&self.metadata(), &self.layers).expect("a layout");
        assert_eq!(size_bytes, ROOT_DISK_BYTES);
        let path = self.directory.path().join("disk");
        let disk = std::fs::File::create(&path).unwrap();
        disk.set_len(size_bytes).unwrap();
        for extent in extents {
            let bytes = std::fs::read(&extent.path).unwrap();
            let start = extent.file_offset as usize;
            let end = bytes.len().min(start + extent.length as usize);
            disk.write_all_at(&bytes[start..end], extent.disk_offset).unwrap();
        }
        path
    }

    /// Mounts the export and the disk, and returns their tree, which must be the same.
    pub fn snapshot(&self) -> Snapshot {
        let exported = Mount::of(&self.export()).snapshot();
        let disk = Mount::of(&self.disk()).snapshot();
        assert_eq!(exported.differences(&disk), [""; 0], "the layered form differs from the export");
        exported
    }
}

/// A file system image mounted read-only; unmounted on drop.
pub struct Mount(TempDir);

impl Mount {
    pub fn of(image: &Path) -> Self {
        let at = tempfile::tempdir().expect("a directory");
        let run = Command::new("mount")
            .args(["-t", "erofs", "-o", "loop,ro"])
            .arg(image)
            .arg(at.path())
            .output()
            .expect("mount");
        assert!(run.status.success(), "mount: {}", String::from_utf8_lossy(&run.stderr));
        Mount(at)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.path())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Unpacks layer tars with umoci; its complaint if it refuses them.
pub fn umoci<T: AsRef<[u8]>>(tars: &[T]) -> Result<Snapshot, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let layers = tars.iter().map(|tar| Layer::from_tar(tar.as_ref(), Compression::None));
    let image = Image::new(layers).build();
    write_layout(&directory.path().join("layout"), [("it", &image)]).expect("a layout");
    let run = Command::new("umoci")
        .current_dir(directory.path())
        .args(["raw", "unpack", "--image", "layout:it", "rootfs"])
        .output()
        .expect("umoci");
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into_owned());
    }
    Ok(Snapshot::of(&directory.path().join("rootfs")))
}

/// Makes the tar of a layer.
pub fn layer<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<u8> {
    tar(entries)
}

/// Proves that the kernel sees in our image what umoci unpacks from the same layers. Root only.
#[track_caller]
pub fn check_like_umoci<T: AsRef<[u8]>>(what: &str, tars: &[T]) {
    let expected = umoci(tars).unwrap_or_else(|complaint| panic!("{what}: umoci: {complaint}"));
    let converted = Converted::of(tars).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let ours = converted.snapshot();
    assert_eq!(ours.differences(&expected), [""; 0], "{what}: ours (-) differs from umoci's (+)");
}
