//! Writing members: GNU headers, with GNU's long names where a name does not fit and a pax header before a member that has
//! extended attributes or more than whole seconds.

use std::io::{self, Write};

use super::{BLOCK_BYTES, GNU, Member, XATTR, checksum, field, kind};

/// Writes an archive, member by member: each is followed by its content and [`Writer::pad`].
pub(crate) struct Writer<W> {
    pub(crate) out: W,
}

impl<W: Write> Writer<W> {
    /// Writes everything of a member that comes before its content.
    pub(crate) fn begin(&mut self, member: &Member) -> io::Result<()> {
        let records = pax_records(member);
        if !records.is_empty() {
            self.extension(kind::PAX, &records)?;
        }
        if member.link.len() > field::LINK.len() {
            self.extension(kind::GNU_LONG_LINK, &[&member.link[..], b"\0"].concat())?;
        }
        if member.name.len() > field::NAME.len() {
            self.extension(kind::GNU_LONG_NAME, &[&member.name[..], b"\0"].concat())?;
        }
        self.out.write_all(&header(member))
    }

    /// Fills the last block of a content of `size` bytes up.
    pub(crate) fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (size % BLOCK_BYTES as u64) as usize;
        if rest > 0 { self.out.write_all(&[0; BLOCK_BYTES][rest..]) } else { Ok(()) }
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.out.flush()
    }

    fn extension(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let name = b"././@LongLink".to_vec();
        let size = content.len() as u64;
        self.out.write_all(&header(&Member { kind, name, mode: 0o644, size, ..Member::default() }))?;
        self.out.write_all(content)?;
        self.pad(size)
    }
}

fn header(member: &Member) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut bytes = |place: std::ops::Range<usize>, value: &[u8]| {
        let length = value.len().min(place.len());
        header[place.start..place.start + length].copy_from_slice(&value[..length]);
    };
    bytes(field::NAME, &member.name);
    bytes(field::LINK, &member.link);
    bytes(field::MAGIC, GNU);
    let numbers = [
        (field::MODE, i64::from(member.mode & 0o7777)),
        (field::UID, member.uid.into()),
        (field::GID, member.gid.into()),
        (field::SIZE, member.size as i64),
        (field::SECONDS, member.seconds),
        (field::MAJOR, member.major.into()),
        (field::MINOR, member.minor.into()),
    ];
    for (place, value) in numbers {
        write_number(&mut header[place], value);
    }
    header[field::KIND] = member.kind;
    let sum = format!("{:06o}\0 ", checksum(&header));
    header[field::CHECKSUM].copy_from_slice(sum.as_bytes());
    header
}

/// Octal digits where they suffice, GNU's binary form otherwise: large and negative numbers.
fn write_number(field: &mut [u8], value: i64) {
    let digits = field.len() - 1;
    if (0..1i64 << (3 * digits)).contains(&value) {
        field.copy_from_slice(format!("{value:0digits$o}\0").as_bytes());
        return;
    }
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    field.fill(sign);
    // An 8-byte field has room for 7 bytes after its mark: more than any number that gets here needs.
    let kept = bytes.len().min(digits);
    let at = field.len() - kept;
    field[at..].copy_from_slice(&bytes[bytes.len() - kept..]);
    field[0] = sign | 0x80;
}

fn pax_records(member: &Member) -> Vec<u8> {
    let mut records = Vec::new();
    if member.nanoseconds > 0 && member.seconds >= 0 {
        let time = format!("{}.{:09}", member.seconds, member.nanoseconds);
        records.extend(pax_record(b"mtime", time.as_bytes()));
    }
    for (name, value) in &member.xattrs {
        records.extend(pax_record(&[XATTR, name].concat(), value));
    }
    records
}

/// A record is `length key=value\n`, the length counting itself.
pub(super) fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}
