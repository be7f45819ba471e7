//! What a header means together with the extension headers before it.
//!
//! GNU long names overrule PAX records, which overrule the header. Only files have content: the size field of a link,
//! directory or device is junk in many writers' output and is not looked at.

use boxlite_types::Result;

use super::header::{Block, Format, RawHeader, number};
use super::pax::Extensions;
use super::sparse;
use super::{Entry, EntryType};
use crate::path::refused;

/// What extension headers have said about the next entry.
#[derive(Default)]
pub(super) struct Pending {
    pub pax: Option<Extensions>,
    pub long_path: Option<Vec<u8>>,
    pub long_link: Option<Vec<u8>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_path.is_none() && self.long_link.is_none()
    }
}

/// An entry, and how its content is stored.
pub(super) struct Combined {
    pub entry: Entry,
    /// Bytes that follow the header, without padding.
    pub stored: u64,
    pub body: Body,
}

/// How content is stored.
pub(super) enum Body {
    /// As it is.
    Plain,
    /// As the ranges of a map, which extension blocks may continue.
    Sparse { map: Vec<u64>, goes_on: bool },
    /// As the ranges of a map that comes first.
    SparseMapFirst,
}

/// Puts a header, whose block is also given for its sparse fields, and its extensions together.
pub(super) fn combine(block: &Block, raw: RawHeader, pending: Pending) -> Result<Combined> {
    let pax = pending.pax.unwrap_or_default();
    let path = pending.long_path.or(pax.path).unwrap_or(raw.path);
    let entry_type = entry_type(raw.type_flag, &path)?;
    let mut entry = Entry {
        entry_type,
        link: pending.long_link.or(pax.link).unwrap_or(raw.link),
        mode: (raw.mode & 0o7777) as u16,
        uid: pax.uid.unwrap_or(raw.uid),
        gid: pax.gid.unwrap_or(raw.gid),
        mtime: pax.mtime.unwrap_or((raw.mtime, 0)),
        size: 0,
        device: (raw.device_major, raw.device_minor),
        xattrs: pax.xattrs,
        sparse: None,
        path,
    };
    if entry_type != EntryType::File {
        return Ok(Combined { entry, stored: 0, body: Body::Plain });
    }
    let out_of_range = |entry: &Entry| refused(&entry.path, "its size is out of range");
    let in_range = |size: i64| u64::try_from(size).ok();
    let stored = match pax.size {
        Some(size) => Some(size).filter(|size| *size <= i64::MAX as u64),
        None => in_range(raw.size),
    }
    .ok_or_else(|| out_of_range(&entry))?;

    if raw.type_flag == b'S' {
        if raw.format != Format::Gnu {
            return Err(refused(&entry.path, "a sparse file in a tar that is not GNU's"));
        }
        entry.size = in_range(number(&block[483..495])?).ok_or_else(|| out_of_range(&entry))?;
        let mut map = Vec::new();
        let goes_on = sparse::old_gnu(block, true, &mut map)?;
        return Ok(Combined { entry, stored, body: Body::Sparse { map, goes_on } });
    }

    let records = pax.sparse;
    let has_map = !records.map.is_empty() || records.block_count.is_some();
    let map_first = match (records.major, records.minor) {
        (Some(1), Some(0)) => true,
        (Some(0), Some(0 | 1)) => false,
        (None, None) if has_map => false,
        // An unknown version is read as a plain file, as Go does.
        _ => return Ok(Combined { entry, stored, body: Body::Plain }),
    };
    if let Some(name) = records.name {
        entry.path = name;
    }
    entry.size =
        records.real_size.filter(|size| *size <= i64::MAX as u64).ok_or_else(|| out_of_range(&entry))?;
    if map_first {
        return Ok(Combined { entry, stored, body: Body::SparseMapFirst });
    }
    if records.block_count.is_some_and(|count| count != records.map.len() as u64 / 2) {
        return Err(refused(&entry.path, "the map of the sparse file has another length than it says"));
    }
    Ok(Combined { entry, stored, body: Body::Sparse { map: records.map, goes_on: false } })
}

fn entry_type(type_flag: u8, path: &[u8]) -> Result<EntryType> {
    Ok(match type_flag {
        // Before ustar a directory was a file whose name ends in a slash.
        0 if path.ends_with(b"/") => EntryType::Directory,
        // `7` is a contiguous file, which POSIX tells others to read as a plain one.
        0 | b'0' | b'7' | b'S' => EntryType::File,
        b'1' => EntryType::HardLink,
        b'2' => EntryType::SymbolicLink,
        b'3' => EntryType::CharacterDevice,
        b'4' => EntryType::BlockDevice,
        b'5' => EntryType::Directory,
        b'6' => EntryType::Fifo,
        other => {
            let why = format!("type flag `{}` means nothing in a layer", [other].escape_ascii());
            return Err(refused(path, why));
        }
    })
}
