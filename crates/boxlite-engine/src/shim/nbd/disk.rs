//! A disk put together from files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use boxlite_types::{DISK_SECTOR_BYTES, DiskLayout, Error, ErrorCode, Result};

/// A [`DiskLayout`] with its files open.
pub(in crate::shim) struct Disk {
    size_bytes: u64,
    /// Sorted by place, not overlapping.
    extents: Vec<Extent>,
    files: Vec<File>,
}

struct Extent {
    start: u64,
    length: u64,
    file: usize,
    file_offset: u64,
}

impl Disk {
    /// Opens the files of `layout`, shown as a disk of `size_bytes`.
    ///
    /// # Errors
    /// `Storage` if a file cannot be opened, `InvalidArgument` if the layout is no layout.
    pub fn open(layout: &DiskLayout, size_bytes: u64) -> Result<Arc<Self>> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut disk = Disk { size_bytes, extents: Vec::new(), files: Vec::new() };
        let mut free_from = 0;
        for extent in &layout.extents {
            let ends = extent.disk_offset.checked_add(extent.length);
            let file_ends = extent.file_offset.checked_add(extent.length);
            let sound = extent.disk_offset >= free_from
                && extent.disk_offset % DISK_SECTOR_BYTES == 0
                && file_ends.is_some_and(|end| end <= i64::MAX as u64);
            let Some(end) = ends.filter(|end| sound && *end <= size_bytes) else {
                let message = format!("the disk has an impossible extent at byte {}", extent.disk_offset);
                return Err(Error::new(ErrorCode::InvalidArgument, message));
            };
            free_from = end;
            let known = paths.iter().rposition(|path| *path == extent.path);
            let file = match known {
                Some(file) => file,
                None => {
                    let file =
                        File::open(&extent.path).map_err(|error| Error::io("open", &extent.path, error))?;
                    disk.files.push(file);
                    paths.push(extent.path.clone());
                    paths.len() - 1
                }
            };
            disk.extents.push(Extent {
                start: extent.disk_offset,
                length: extent.length,
                file,
                file_offset: extent.file_offset,
            });
        }
        Ok(Arc::new(disk))
    }

    /// Returns its size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Fills `buffer` with what is at `offset`, which lies on the disk with all of its length. What no file holds is zero.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        let mut next = self.extents.partition_point(|extent| extent.start + extent.length <= offset);
        while done < buffer.len() {
            let position = offset + done as u64;
            let left = (buffer.len() - done) as u64;
            let Some(extent) = self.extents.get(next) else {
                buffer[done..].fill(0);
                return Ok(());
            };
            if position < extent.start {
                let length = (extent.start - position).min(left) as usize;
                buffer[done..done + length].fill(0);
                done += length;
                continue;
            }
            let within = position - extent.start;
            let length = (extent.length - within).min(left) as usize;
            let part = &mut buffer[done..done + length];
            read_or_zero(&self.files[extent.file], extent.file_offset + within, part)?;
            done += length;
            next += 1;
        }
        Ok(())
    }
}

/// The disk a client is shown. While it looks at nothing and remembers nothing, it can be shown another one of the same size.
pub(in crate::shim) struct Shown(RwLock<Arc<Disk>>);

impl Shown {
    /// Shows the disk of `layout`; see [`Disk::open`].
    pub fn open(layout: &DiskLayout, size_bytes: u64) -> Result<Arc<Self>> {
        Ok(Arc::new(Shown(RwLock::new(Disk::open(layout, size_bytes)?))))
    }

    /// Shows the disk of `layout` from now on.
    ///
    /// # Errors
    /// As [`Disk::open`]; the old one stays then.
    pub fn show(&self, layout: &DiskLayout) -> Result<()> {
        let disk = Disk::open(layout, self.size_bytes())?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = disk;
        Ok(())
    }

    /// Returns the disk that is shown.
    pub fn disk(&self) -> Arc<Disk> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns its size.
    pub fn size_bytes(&self) -> u64 {
        self.disk().size_bytes()
    }
}

/// Reads from a file; past its end it is zero.
fn read_or_zero(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => {
                buffer.fill(0);
                return Ok(());
            }
            Ok(length) => {
                offset += length as u64;
                buffer = &mut buffer[length..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
