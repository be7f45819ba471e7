//! What a header says about an inode, brought into the ranges that Linux and the index have.

use boxlite_types::Result;

use super::record::Metadata;
use super::xattrs;
use crate::path::refused;
use crate::tar::Entry;

/// Metadata of an entry, kept while its content streams by.
pub(super) struct OwnedMetadata {
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl OwnedMetadata {
    /// Takes what the index keeps of an entry's header.
    pub(super) fn of(path: &[u8], entry: &Entry, max_xattr_bytes: usize) -> Result<Self> {
        let owner = |id: i64| {
            // The last value means "no change" to the kernel.
            u32::try_from(id)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| refused(path, format_args!("owner {id} is out of range")))
        };
        let xattrs = xattrs::kept(path, &entry.xattrs, max_xattr_bytes)?;
        let (uid, gid) = (owner(entry.uid)?, owner(entry.gid)?);
        Ok(OwnedMetadata { mode: entry.mode, uid, gid, mtime: entry.mtime, xattrs })
    }

    /// Returns it as a record has it.
    pub(super) fn borrowed(&self) -> Metadata<'_> {
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime.0,
            mtime_nanoseconds: self.mtime.1,
            xattrs: self.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
        }
    }
}

/// Returns the target of a symbolic link if a kernel would take it.
pub(super) fn link_target<'e>(path: &[u8], target: &'e [u8]) -> Result<&'e [u8]> {
    match target.len() {
        0 => Err(refused(path, "a symbolic link to nothing")),
        4096.. => Err(refused(path, "the target of the symbolic link is longer than 4095 bytes")),
        _ if target.contains(&0) => Err(refused(path, "the target of the symbolic link holds a NUL byte")),
        _ => Ok(target),
    }
}

/// Returns major and minor number of a device; Linux has 12 and 20 bits for them.
pub(super) fn device(path: &[u8], (major, minor): (i64, i64)) -> Result<(u32, u32)> {
    if (0..1 << 12).contains(&major) && (0..1 << 20).contains(&minor) {
        return Ok((major as u32, minor as u32));
    }
    Err(refused(path, format_args!("device number {major}:{minor} is out of range")))
}
