//! A push parser for tar streams: v7, ustar, star, GNU and PAX, with every extension that layers use.
//!
//! It is fed bytes in any slicing and calls a [`Sink`]; it knows nothing of layers, files or EROFS. Its invariant: what
//! it holds in memory is bounded by the size limit of extension headers, whatever the stream says.

mod combine;
mod header;
mod parser;
mod pax;
mod sparse;

pub(crate) use parser::Parser;
pub(crate) use sparse::DataRange;

use boxlite_types::Result;

/// What an entry is; the device numbers are of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryType {
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry with everything its extension headers say, as the tar spells it: paths are not cleaned yet.
#[derive(Debug)]
pub(crate) struct Entry {
    pub entry_type: EntryType,
    pub path: Vec<u8>,
    /// Target of either kind of link.
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub uid: i64,
    pub gid: i64,
    /// Seconds since 1970 and the nanoseconds after them.
    pub mtime: (i64, u32),
    /// Size of the file in bytes, holes included; 0 for everything else.
    pub size: u64,
    pub device: (i64, i64),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the content belongs, for a sparse file.
    pub sparse: Option<Vec<DataRange>>,
}

/// Takes what a [`Parser`] finds.
pub(crate) trait Sink {
    /// An entry begins.
    fn begin(&mut self, entry: &Entry) -> Result<()>;
    /// The next bytes of its content; for a sparse file those of its data ranges only.
    fn content(&mut self, bytes: &[u8]) -> Result<()>;
    /// The entry is complete.
    fn end(&mut self) -> Result<()>;
}
