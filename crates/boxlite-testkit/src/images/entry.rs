//! Entries of a layer's tar, down to the header bytes: every field can be set, and every field can lie.
//!
//! The writer is our own, because a tar library refuses to write most of what a hostile image holds. Format: POSIX.1-2001
//! (pax), "ustar Interchange Format"; whiteouts: image-spec, layer.md, "Representing Changes".
//!
//! ```
//! use boxlite_testkit::images::Entry;
//! let nice = Entry::file("etc/motd", "hello\n").mode(0o600).owner(1000, 1000).xattr("user.a", "b");
//! let nasty = Entry::file("../../etc/passwd", "root::0:0\n").checksum(*b"000000\0 ");
//! assert_eq!(nice.to_bytes().len() % 512, 0);
//! # drop(nasty);
//! ```

use std::collections::BTreeMap;

/// Bytes of a tar block.
pub const BLOCK_BYTES: usize = 512;

/// One entry. Made by one of the constructors, then changed by the setters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    path: Vec<u8>,
    type_flag: u8,
    mode: u32,
    user: u64,
    group: u64,
    modified: u64,
    link: Vec<u8>,
    device: (u32, u32),
    data: Vec<u8>,
    pax: BTreeMap<Vec<u8>, Vec<u8>>,
    gnu_long_names: bool,
    declared_size: Option<u64>,
    checksum: Option<[u8; 8]>,
    size_field: Option<[u8; 12]>,
}

impl Entry {
    /// Makes an entry of any type flag, mode 0644, owned by root, modified at the epoch.
    pub fn new(type_flag: u8, path: impl AsRef<[u8]>) -> Self {
        Entry {
            path: path.as_ref().to_vec(),
            type_flag,
            mode: 0o644,
            user: 0,
            group: 0,
            modified: 0,
            link: Vec::new(),
            device: (0, 0),
            data: Vec::new(),
            pax: BTreeMap::new(),
            gnu_long_names: false,
            declared_size: None,
            checksum: None,
            size_field: None,
        }
    }

    /// Makes a regular file.
    pub fn file(path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Entry { data: data.as_ref().to_vec(), ..Entry::new(b'0', path) }
    }

    /// Makes a directory, mode 0755; the trailing slash tar writes is added.
    pub fn directory(path: impl AsRef<[u8]>) -> Self {
        let mut path = path.as_ref().to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        Entry::new(b'5', path).mode(0o755)
    }

    /// Makes a symbolic link, mode 0777.
    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Entry::new(b'2', path).mode(0o777).link(target)
    }

    /// Makes a hard link to an earlier entry.
    pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Entry::new(b'1', path).link(target)
    }

    /// Makes a character device.
    pub fn character_device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        Entry { device: (major, minor), ..Entry::new(b'3', path) }
    }

    /// Makes a block device.
    pub fn block_device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        Entry { device: (major, minor), ..Entry::new(b'4', path) }
    }

    /// Makes a named pipe.
    pub fn fifo(path: impl AsRef<[u8]>) -> Self {
        Entry::new(b'6', path)
    }

    /// Makes the whiteout that removes `path`.
    pub fn whiteout(path: &str) -> Self {
        let (directory, name) =
            path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
        let separator = if directory.is_empty() { "" } else { "/" };
        Entry::new(b'0', format!("{directory}{separator}.wh.{name}"))
    }

    /// Makes the marker that hides everything the layers below have in `directory`.
    pub fn opaque(directory: &str) -> Self {
        Entry::new(b'0', format!("{directory}/.wh..wh..opq"))
    }

    /// Sets the permission bits, setuid and its kin included.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the owner. Numbers that do not fit the header go into pax records.
    #[must_use]
    pub fn owner(mut self, user: u64, group: u64) -> Self {
        (self.user, self.group) = (user, group);
        self
    }

    /// Sets the time of modification in seconds since the epoch.
    #[must_use]
    pub fn modified(mut self, seconds: u64) -> Self {
        self.modified = seconds;
        self
    }

    /// Sets the target of a link.
    #[must_use]
    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// Sets the contents, whatever the type.
    #[must_use]
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.data = data.as_ref().to_vec();
        self
    }

    /// Adds an extended attribute, as `SCHILY.xattr.<name>`.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }

    /// Adds any pax record.
    #[must_use]
    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.insert(key.as_ref().to_vec(), value.as_ref().to_vec());
        self
    }

    /// Writes names that do not fit in the GNU way (`L` and `K` entries) instead of as pax records.
    #[must_use]
    pub fn gnu_long_names(mut self) -> Self {
        self.gnu_long_names = true;
        self
    }

    /// Lies about the size: the header says this, the data stays as it is.
    #[must_use]
    pub fn declared_size(mut self, size_bytes: u64) -> Self {
        self.declared_size = Some(size_bytes);
        self
    }

    /// Writes these bytes as the size field, digits or not.
    #[must_use]
    pub fn size_field(mut self, field: [u8; 12]) -> Self {
        self.size_field = Some(field);
        self
    }

    /// Writes these bytes as the header's checksum field.
    #[must_use]
    pub fn checksum(mut self, field: [u8; 8]) -> Self {
        self.checksum = Some(field);
        self
    }

    /// Returns the entry as it stands in a tar: extension headers, header, data, padding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 2 * BLOCK_BYTES);
        let mut pax = self.pax.clone();
        for (key, letter, name) in [("path", b'L', &self.path), ("linkpath", b'K', &self.link)] {
            if name.len() > 100 && self.gnu_long_names {
                let terminated = [name.as_slice(), b"\0"].concat();
                out.extend(Entry::new(letter, "././@LongLink").mode(0).data(terminated).to_bytes());
            } else if name.len() > 100 {
                pax.entry(key.into()).or_insert_with(|| name.clone());
            }
        }
        let size = self.declared_size.unwrap_or(self.data.len() as u64);
        for (key, value, limit) in
            [("uid", self.user, 1 << 21), ("gid", self.group, 1 << 21), ("size", size, 1 << 33)]
        {
            if value >= limit {
                pax.entry(key.into()).or_insert_with(|| value.to_string().into_bytes());
            }
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            out.extend(Entry::new(b'x', "pax/header").data(records).to_bytes());
        }
        out.extend(self.header(size));
        out.extend(&self.data);
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        out
    }

    fn header(&self, size: u64) -> [u8; BLOCK_BYTES] {
        let mut header = [0u8; BLOCK_BYTES];
        let name = &self.path[..self.path.len().min(100)];
        header[..name.len()].copy_from_slice(name);
        octal(&mut header[100..108], u64::from(self.mode));
        octal(&mut header[108..116], self.user);
        octal(&mut header[116..124], self.group);
        octal(&mut header[124..136], size);
        if let Some(field) = self.size_field {
            header[124..136].copy_from_slice(&field);
        }
        octal(&mut header[136..148], self.modified);
        header[156] = self.type_flag;
        let link = &self.link[..self.link.len().min(100)];
        header[157..157 + link.len()].copy_from_slice(link);
        header[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut header[329..337], u64::from(self.device.0));
        octal(&mut header[337..345], u64::from(self.device.1));
        header[148..156].copy_from_slice(b"        ");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        let field = self.checksum.unwrap_or_else(|| {
            let digits = format!("{sum:06o}\0 ");
            digits.into_bytes().try_into().unwrap_or(*b"000000\0 ")
        });
        header[148..156].copy_from_slice(&field);
        header
    }
}

/// Writes `value` in octal with a final NUL, or zeros if it does not fit (its pax record then says it).
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    let text = if text.len() > digits { "0".repeat(digits) } else { text };
    field[..digits].copy_from_slice(text.as_bytes());
}

/// Spells one pax record, `<length> <key>=<value>\n`, whose length counts its own digits.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Puts entries together to a whole tar, with the two zero blocks that end it.
pub fn tar<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    let mut out: Vec<u8> = entries.into_iter().flat_map(Entry::to_bytes).collect();
    out.resize(out.len() + 2 * BLOCK_BYTES, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn another_implementation_reads_back_what_was_written() {
        let long = "d/".repeat(80) + "file";
        let entries = [
            Entry::directory("d").mode(0o1777),
            Entry::file(&long, "abc").owner(1 << 40, 7).modified(1_700_000_000).xattr("user.k", b"v\0w"),
            Entry::file(long.replace("file", "gnu"), "abcd").gnu_long_names(),
            Entry::symlink("s", "t".repeat(120)),
        ];
        let bytes = tar(&entries);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut data = String::new();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let link = entry.link_name_bytes().map(|link| link.len());
            let extensions: Vec<(String, Vec<u8>)> =
                entry.pax_extensions().unwrap().map_or(vec![], |records| {
                    records
                        .map(|record| record.unwrap())
                        .map(|record| (record.key().unwrap().into(), record.value_bytes().into()))
                        .collect()
                });
            let mode = entry.header().mode().unwrap();
            entry.read_to_string(&mut data).unwrap();
            seen.push((path, mode, data, link, extensions));
        }
        assert_eq!(seen[0].0, "d/");
        assert_eq!(seen[0].1, 0o1777);
        assert_eq!((seen[1].0.as_str(), seen[1].2.as_str()), (long.as_str(), "abc"));
        assert!(seen[1].4.contains(&("SCHILY.xattr.user.k".into(), b"v\0w".to_vec())));
        assert!(seen[1].4.contains(&("uid".into(), (1u64 << 40).to_string().into_bytes())));
        assert_eq!(seen[2].0, long.replace("file", "gnu"));
        assert_eq!(seen[3].3, Some(120));
    }

    #[test]
    fn a_lie_changes_its_field_only() {
        let honest = Entry::file("a", "abc").to_bytes();
        let lying = Entry::file("a", "abc").checksum(*b"garbage!").to_bytes();
        assert_eq!(&lying[148..156], b"garbage!");
        assert_eq!((&honest[..148], &honest[156..]), (&lying[..148], &lying[156..]));
        assert_eq!(&Entry::file("a", "abc").declared_size(8).to_bytes()[124..136], b"00000000010\0");
    }
}
