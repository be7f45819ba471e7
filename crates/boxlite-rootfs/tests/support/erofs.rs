//! A second reader of EROFS, written from the format alone, so that results can be compared without mounting.
//!
//! It shares no code with the writer and believes nothing: whatever the kernel would refuse panics here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::snapshot::{Node, Snapshot};

const BLOCK: usize = 4096;

struct Image {
    bytes: Vec<u8>,
    time: (i64, i64),
    shared_xattrs: usize,
}

/// An inode as it is stored.
struct Inode {
    format: u16,
    mode: u16,
    size: usize,
    place: u32,
    owner: (u32, u32),
    links: u32,
    mtime: (i64, i64),
    /// Where inode and attributes are, and where they end.
    xattrs: std::ops::Range<usize>,
}

impl Snapshot {
    /// Reads an export.
    pub fn of_erofs(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("an image");
        let mut image = Image { bytes, time: (0, 0), shared_xattrs: 0 };
        assert_eq!(image.word(1024), 0xe0f5_e1e2, "magic");
        image.time = (image.long(1024 + 24) as i64, i64::from(image.word(1024 + 32)));
        image.shared_xattrs = image.word(1024 + 44) as usize * BLOCK;
        let blocks = image.word(1024 + 36) as usize;
        assert_eq!(image.bytes.len(), blocks * BLOCK, "blocks of the superblock");
        let mut snapshot = Snapshot::default();
        let root = u64::from(image.half(1024 + 14));
        let mut first_names = BTreeMap::new();
        image.visit(root, root, &[], &mut snapshot, &mut first_names);
        assert_eq!(image.long(1024 + 16), first_names.len() as u64, "inodes of the superblock");
        snapshot
    }
}

impl Image {
    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes[at..at + 2].try_into().unwrap())
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    fn inode(&self, number: u64) -> Inode {
        let at = number as usize * 32;
        let (format, xattr_count) = (self.half(at), usize::from(self.half(at + 2)));
        let extended = format & 1 == 1;
        let end = at + if extended { 64 } else { 32 };
        let xattr_bytes = if xattr_count == 0 { 0 } else { 12 + 4 * (xattr_count - 1) };
        let xattrs = end..end + xattr_bytes;
        let (mode, place) = (self.half(at + 4), self.word(at + 16));
        if extended {
            Inode {
                format,
                mode,
                place,
                xattrs,
                size: self.long(at + 8) as usize,
                owner: (self.word(at + 24), self.word(at + 28)),
                mtime: (self.long(at + 32) as i64, i64::from(self.word(at + 40))),
                links: self.word(at + 44),
            }
        } else {
            Inode {
                format,
                mode,
                place,
                xattrs,
                size: self.word(at + 8) as usize,
                owner: (self.half(at + 24).into(), self.half(at + 26).into()),
                mtime: self.time,
                links: self.half(at + 6).into(),
            }
        }
    }

    fn content(&self, inode: &Inode) -> Vec<u8> {
        let start = inode.place as usize * BLOCK;
        let behind = inode.xattrs.end;
        match inode.format >> 1 {
            0 => self.bytes[start..][..inode.size].to_vec(),
            2 => {
                let tail = inode.size % BLOCK;
                assert!(behind % BLOCK + tail <= BLOCK, "an inlined tail crosses a block");
                let mut content = self.bytes[start..][..inode.size - tail].to_vec();
                content.extend(&self.bytes[behind..behind + tail]);
                content
            }
            4 => {
                let chunk = BLOCK << (inode.place & 0x1f);
                let mut content = Vec::new();
                for number in 0..inode.size.div_ceil(chunk) {
                    let block = self.word(behind.next_multiple_of(4) + number * 4);
                    let length = chunk.min(inode.size - content.len());
                    match block {
                        u32::MAX => content.resize(content.len() + length, 0),
                        _ => content.extend(&self.bytes[block as usize * BLOCK..][..length]),
                    }
                }
                content
            }
            other => panic!("data layout {other}"),
        }
    }

    fn xattrs(&self, inode: &Inode) -> BTreeMap<OsString, Vec<u8>> {
        let mut xattrs = BTreeMap::new();
        if inode.xattrs.is_empty() {
            return xattrs;
        }
        let shared = usize::from(self.bytes[inode.xattrs.start + 4]);
        let mut at = inode.xattrs.start + 12;
        for _ in 0..shared {
            let place = self.shared_xattrs + self.word(at) as usize * 4;
            self.xattr(place, &mut xattrs);
            at += 4;
        }
        while at < inode.xattrs.end {
            at = self.xattr(at, &mut xattrs);
        }
        assert_eq!(at, inode.xattrs.end, "attributes end where they should");
        xattrs
    }

    fn xattr(&self, at: usize, xattrs: &mut BTreeMap<OsString, Vec<u8>>) -> usize {
        let (name_length, value_length) = (usize::from(self.bytes[at]), usize::from(self.half(at + 2)));
        let prefix: &[u8] = match self.bytes[at + 1] {
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            6 => b"security.",
            other => panic!("attribute namespace {other}"),
        };
        let name = [prefix, &self.bytes[at + 4..][..name_length]].concat();
        let value = self.bytes[at + 4 + name_length..][..value_length].to_vec();
        assert!(xattrs.insert(OsString::from_vec(name), value).is_none(), "an attribute twice");
        (at + 4 + name_length + value_length).next_multiple_of(4)
    }

    /// Returns name, inode number and type of every entry, in their order.
    fn entries(&self, content: &[u8]) -> Vec<(Vec<u8>, u64, u8)> {
        let mut entries = Vec::new();
        for block in content.chunks(BLOCK) {
            let half = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
            let count = half(8) / 12;
            for entry in 0..count {
                let at = entry * 12;
                let end = if entry + 1 < count { half(at + 12 + 8) } else { block.len() };
                let name = &block[half(at + 8)..end];
                let name = name.split(|&byte| byte == 0).next().unwrap().to_vec();
                let number = u64::from_le_bytes(block[at..at + 8].try_into().unwrap());
                entries.push((name, number, block[at + 10]));
            }
        }
        assert!(entries.is_sorted_by(|left, right| left.0 < right.0), "names are sorted");
        entries
    }

    fn visit(
        &self,
        number: u64,
        parent: u64,
        name: &[u8],
        snapshot: &mut Snapshot,
        first_names: &mut BTreeMap<u64, OsString>,
    ) {
        let inode = self.inode(number);
        let kind = inode.mode >> 12;
        let content = if matches!(kind, 8 | 4 | 10) { self.content(&inode) } else { Vec::new() };
        let path = OsString::from_vec(name.to_vec());
        let first = first_names.entry(number).or_insert_with(|| path.clone());
        let device = if matches!(kind, 2 | 6) {
            let (major, minor) = (inode.place >> 8 & 0xfff, inode.place & 0xff | inode.place >> 12 & 0xfff00);
            rustix::fs::makedev(major, minor)
        } else {
            0
        };
        let node = Node {
            mode: inode.mode.into(),
            owner: inode.owner,
            size: if matches!(kind, 8 | 10) { inode.size as u64 } else { 0 },
            links: inode.links.into(),
            device,
            mtime: Some(inode.mtime),
            content: match kind {
                8 => Sha256::digest(&content).to_vec(),
                10 => content.clone(),
                _ => Vec::new(),
            },
            xattrs: self.xattrs(&inode),
            same_as: Some(first.clone()).filter(|first| *first != path),
        };
        snapshot.nodes.insert(path, node);
        if kind != 4 {
            return;
        }
        for (child, child_number, file_type) in self.entries(&content) {
            let expected =
                [0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7][usize::from(self.inode(child_number).mode >> 12)];
            assert_eq!(file_type, expected, "type of a directory entry");
            match child.as_slice() {
                b"." => assert_eq!(child_number, number),
                b".." => assert_eq!(child_number, parent),
                _ => {
                    let separator: &[u8] = if name.is_empty() { b"" } else { b"/" };
                    let path = [name, separator, &child].concat();
                    self.visit(child_number, number, &path, snapshot, first_names);
                }
            }
        }
    }
}
