//! Reading members, from whatever wrote them: GNU and BSD tar, Go, Python, old and new.

use std::io::{self, Read};

use super::{BLOCK_BYTES, Member, POSIX, XATTR, checksum, field, kind};

/// Longest extension header taken: names and attributes of one member.
const MOST_EXTENSION_BYTES: u64 = 1024 * 1024;

/// Most extension headers before one member.
const MOST_EXTENSIONS: usize = 16;

/// Why bytes are no archive, or why they could not be read.
#[derive(Debug)]
pub(crate) enum Malformed {
    Because(&'static str),
    Read(io::Error),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Because(why) => f.write_str(why),
            Malformed::Read(error) => error.fmt(f),
        }
    }
}

use Malformed::Because;

/// Reads an archive, member by member. Between two members it reads, as [`Read`], the content of the first.
pub(crate) struct Reader<R> {
    source: R,
    /// Content of the current member that was not read yet, and what fills its last block up.
    left: u64,
    padding: u64,
}

/// What extension headers say of the member after them.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    time: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Reader { source, left: 0, padding: 0 }
    }

    /// Goes on to the next member; `None` at the end of the archive, marked or not.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Malformed> {
        let mut extensions = Extensions::default();
        for count in 0..=MOST_EXTENSIONS {
            self.skip()?;
            let mut header = [0; BLOCK_BYTES];
            let read = self.fill(&mut header)?;
            if read == 0 || header == [0; BLOCK_BYTES] {
                return if count == 0 {
                    Ok(None)
                } else {
                    Err(Because("it ends between a header and its member"))
                };
            }
            if read < BLOCK_BYTES {
                return Err(Because("it ends in the middle of a header"));
            }
            let member = parse(&header)?;
            match member.kind {
                kind::PAX | kind::GNU_LONG_NAME | kind::GNU_LONG_LINK => {
                    let content = self.extension(member.size)?;
                    extensions.add(member.kind, &content)?;
                }
                kind::PAX_GLOBAL => self.expect(member.size),
                kind::GNU_SPARSE => return Err(Because("sparse members are not supported")),
                _ => {
                    let member = extensions.apply(member);
                    let has_content = matches!(member.kind, kind::REGULAR | kind::CONTIGUOUS);
                    self.expect(if has_content { member.size } else { 0 });
                    return Ok(Some(member));
                }
            }
        }
        Err(Because("a member has too many headers"))
    }

    /// Gives back the source, to read what follows the end.
    pub(crate) fn into_inner(self) -> R {
        self.source
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
    }

    /// Passes over what is left of the current member.
    fn skip(&mut self) -> Result<(), Malformed> {
        let rest = self.left.saturating_add(self.padding);
        let skipped =
            io::copy(&mut self.source.by_ref().take(rest), &mut io::sink()).map_err(Malformed::Read)?;
        (self.left, self.padding) = (0, 0);
        if skipped < rest { Err(Because("it ends in the middle of a member")) } else { Ok(()) }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Malformed> {
        if size > MOST_EXTENSION_BYTES {
            return Err(Because("a header is too long"));
        }
        self.expect(size);
        let mut content = vec![0; size as usize];
        if self.fill(&mut content)? < content.len() {
            return Err(Because("it ends in the middle of a header"));
        }
        self.left = 0;
        Ok(content)
    }

    /// Reads until the buffer is full or the source ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Malformed> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Malformed::Read(error)),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.source.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::other("it ends in the middle of a member"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn parse(header: &[u8; BLOCK_BYTES]) -> Result<Member, Malformed> {
    let number = |place: std::ops::Range<usize>| number(&header[place]);
    let text = |place: std::ops::Range<usize>| until_zero(&header[place]);
    if number(field::CHECKSUM).ok() != Some(checksum(header) as i64) {
        return Err(Because("a header's checksum is wrong"));
    }
    let id = |place| u32::try_from(number(place)?).map_err(|_| Because("an owner's number is out of range"));
    let mut name = text(field::NAME).to_vec();
    if header[field::MAGIC] == *POSIX && header[field::PREFIX.start] != 0 {
        name = [text(field::PREFIX), b"/", &name].concat();
    }
    let kind = match header[field::KIND] {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 | kind::REGULAR if name.ends_with(b"/") => kind::DIRECTORY,
        0 => kind::REGULAR,
        other => other,
    };
    let is_device = matches!(kind, kind::CHARACTER_DEVICE | kind::BLOCK_DEVICE);
    let device = |place| {
        if is_device {
            u32::try_from(number(place)?).map_err(|_| Because("a device's number is out of range"))
        } else {
            Ok(0)
        }
    };
    Ok(Member {
        kind,
        name,
        link: text(field::LINK).to_vec(),
        mode: (number(field::MODE)? & 0o7777) as u32,
        uid: id(field::UID)?,
        gid: id(field::GID)?,
        seconds: number(field::SECONDS)?,
        nanoseconds: 0,
        size: u64::try_from(number(field::SIZE)?).map_err(|_| Because("a member's size is negative"))?,
        major: device(field::MAJOR)?,
        minor: device(field::MINOR)?,
        xattrs: Vec::new(),
    })
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

/// Parses octal digits between blanks, or GNU's binary form.
fn number(bytes: &[u8]) -> Result<i64, Malformed> {
    const WRONG: Malformed = Because("a number in a header is no number");
    if bytes[0] & 0x80 != 0 {
        // Two's complement behind the mark.
        let first =
            if bytes[0] & 0x40 != 0 { i64::from(bytes[0]) - 0x100 } else { i64::from(bytes[0] & 0x7f) };
        return bytes[1..]
            .iter()
            .try_fold(first, |value, byte| value.checked_mul(0x100)?.checked_add((*byte).into()))
            .ok_or(WRONG);
    }
    let text = std::str::from_utf8(until_zero(bytes)).map_err(|_| WRONG)?.trim_matches(' ');
    if text.is_empty() {
        return Ok(0);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    i64::from_str_radix(text, 8).map_err(|_| WRONG)
}

impl Extensions {
    fn add(&mut self, kind: u8, content: &[u8]) -> Result<(), Malformed> {
        match kind {
            kind::GNU_LONG_NAME => self.name = Some(until_zero(content).to_vec()),
            kind::GNU_LONG_LINK => self.link = Some(until_zero(content).to_vec()),
            _ => {
                let mut rest = content;
                while !rest.is_empty() {
                    rest = self.add_record(rest)?;
                }
            }
        }
        Ok(())
    }

    /// Takes one pax record, `length key=value\n`, and returns what follows it.
    fn add_record<'a>(&mut self, content: &'a [u8]) -> Result<&'a [u8], Malformed> {
        const WRONG: Malformed = Because("a pax header is malformed");
        let blank = content.iter().position(|byte| *byte == b' ').ok_or(WRONG)?;
        let length =
            decimal(&content[..blank]).and_then(|length| usize::try_from(length).ok()).ok_or(WRONG)?;
        if length <= blank + 1 || length > content.len() || content[length - 1] != b'\n' {
            return Err(WRONG);
        }
        let record = &content[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let id = || decimal(value).and_then(|id| u32::try_from(id).ok()).ok_or(WRONG);
        match key {
            b"path" => self.name = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value).ok_or(WRONG)?),
            b"uid" => self.uid = Some(id()?),
            b"gid" => self.gid = Some(id()?),
            b"mtime" => self.time = Some(time(value).ok_or(WRONG)?),
            _ if key.starts_with(b"GNU.sparse.") => return Err(Because("sparse members are not supported")),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(&content[length..])
    }

    fn apply(self, mut member: Member) -> Member {
        member.name = self.name.unwrap_or(member.name);
        member.link = self.link.unwrap_or(member.link);
        member.size = self.size.unwrap_or(member.size);
        member.uid = self.uid.unwrap_or(member.uid);
        member.gid = self.gid.unwrap_or(member.gid);
        (member.seconds, member.nanoseconds) = self.time.unwrap_or((member.seconds, member.nanoseconds));
        member.xattrs = self.xattrs;
        if member.kind == kind::CONTIGUOUS {
            member.kind = kind::REGULAR;
        }
        member
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Parses the seconds of a pax header, `1700000000.25` or `-1.5`.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = whole.parse::<i64>().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}
