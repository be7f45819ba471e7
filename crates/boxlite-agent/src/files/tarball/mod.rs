//! The tar format (POSIX pax, "ustar", with GNU's long names), as far as files need it: members in, members out.
//!
//! It is our own because names, link targets and attribute values are any bytes here, newlines included, and because what
//! a header may make us remember is bounded. Sparse members are refused rather than unpacked wrongly.

mod read;
mod write;

pub(super) use read::{Malformed, Reader};
pub(super) use write::Writer;

const BLOCK_BYTES: usize = 512;

/// Type flags of members.
pub(super) mod kind {
    pub(crate) const REGULAR: u8 = b'0';
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const SYMLINK: u8 = b'2';
    pub(crate) const CHARACTER_DEVICE: u8 = b'3';
    pub(crate) const BLOCK_DEVICE: u8 = b'4';
    pub(crate) const DIRECTORY: u8 = b'5';
    pub(crate) const FIFO: u8 = b'6';
    pub(super) const CONTIGUOUS: u8 = b'7';
    pub(super) const PAX: u8 = b'x';
    pub(super) const PAX_GLOBAL: u8 = b'g';
    pub(super) const GNU_LONG_NAME: u8 = b'L';
    pub(super) const GNU_LONG_LINK: u8 = b'K';
    pub(super) const GNU_SPARSE: u8 = b'S';
}

/// Prefix of the pax keys that hold extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// A member of an archive, without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
    /// Target of a link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Modification time since the Unix epoch.
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
    /// Bytes of content that follow.
    pub(super) size: u64,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Places of fields in a header.
mod field {
    use std::ops::Range;

    pub(super) const NAME: Range<usize> = 0..100;
    pub(super) const MODE: Range<usize> = 100..108;
    pub(super) const UID: Range<usize> = 108..116;
    pub(super) const GID: Range<usize> = 116..124;
    pub(super) const SIZE: Range<usize> = 124..136;
    pub(super) const SECONDS: Range<usize> = 136..148;
    pub(super) const CHECKSUM: Range<usize> = 148..156;
    pub(super) const KIND: usize = 156;
    pub(super) const LINK: Range<usize> = 157..257;
    pub(super) const MAGIC: Range<usize> = 257..265;
    pub(super) const MAJOR: Range<usize> = 329..337;
    pub(super) const MINOR: Range<usize> = 337..345;
    pub(super) const PREFIX: Range<usize> = 345..500;
}

/// Magic and version of POSIX headers; only they have a prefix.
const POSIX: &[u8; 8] = b"ustar\x0000";

/// Magic and version of GNU headers.
const GNU: &[u8; 8] = b"ustar  \0";

/// Sum of a header's bytes, its own field counted as spaces.
fn checksum(header: &[u8; BLOCK_BYTES]) -> u64 {
    let others = header.iter().enumerate().filter(|(at, _)| !field::CHECKSUM.contains(at));
    others.map(|(_, byte)| u64::from(*byte)).sum::<u64>() + 8 * u64::from(b' ')
}

#[cfg(test)]
mod tests;
