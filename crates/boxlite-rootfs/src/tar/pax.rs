//! PAX extended headers: `<length> <key>=<value>\n` records that overrule the header after them.
//!
//! As Go's `archive/tar` (and so docker, containerd, umoci) reads them: a record with an empty value leaves the header's
//! own field, a second extended header replaces the first as a whole, unknown keys are ignored.

use boxlite_types::Result;

use super::header::malformed;

/// What an extended header says about the entry after it.
#[derive(Default, Debug)]
pub(super) struct Extensions {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub mtime: Option<(i64, u32)>,
    /// Name and value, in the order of their first appearance; a later value of one name replaces the earlier.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseRecords,
}

/// The `GNU.sparse.*` records of formats 0.0, 0.1 and 1.0.
#[derive(Default, Debug)]
pub(super) struct SparseRecords {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    pub real_size: Option<u64>,
    pub block_count: Option<u64>,
    /// Offsets and lengths, alternating.
    pub map: Vec<u64>,
}

impl Extensions {
    /// Decodes the content of an extended header.
    pub(super) fn decode(mut records: &[u8]) -> Result<Self> {
        let mut extensions = Extensions::default();
        let mut libarchive_xattrs = Vec::new();
        while !records.is_empty() {
            let (key, value, rest) = split_record(records)?;
            records = rest;
            if !value.is_empty() {
                extensions.take(key, value, &mut libarchive_xattrs)?;
            }
        }
        // bsdtar writes each attribute in both spellings; the plain one needs no decoding.
        for (name, value) in libarchive_xattrs {
            if !extensions.xattrs.iter().any(|(known, _)| *known == name) {
                extensions.xattrs.push((name, value));
            }
        }
        Ok(extensions)
    }

    fn take(&mut self, key: &[u8], value: &[u8], libarchive: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let sparse = &mut self.sparse;
        match key {
            b"path" => self.path = Some(without_nul(value)?),
            b"linkpath" => self.link = Some(without_nul(value)?),
            b"size" => self.size = Some(unsigned(value)?),
            b"uid" => self.uid = Some(signed(value)?),
            b"gid" => self.gid = Some(signed(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.major" => sparse.major = Some(unsigned(value)?),
            b"GNU.sparse.minor" => sparse.minor = Some(unsigned(value)?),
            b"GNU.sparse.name" => sparse.name = Some(without_nul(value)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => sparse.real_size = Some(unsigned(value)?),
            b"GNU.sparse.numblocks" => sparse.block_count = Some(unsigned(value)?),
            b"GNU.sparse.offset" if sparse.map.len().is_multiple_of(2) => sparse.map.push(unsigned(value)?),
            b"GNU.sparse.numbytes" if !sparse.map.len().is_multiple_of(2) => {
                sparse.map.push(unsigned(value)?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                return Err(malformed("the map of a sparse file is out of order"));
            }
            b"GNU.sparse.map" => {
                sparse.map = value.split(|&byte| byte == b',').map(unsigned).collect::<Result<_>>()?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    put(&mut self.xattrs, name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    put(libarchive, percent_decoded(name), base64_decoded(value)?);
                }
            }
        }
        Ok(())
    }
}

fn put(xattrs: &mut Vec<(Vec<u8>, Vec<u8>)>, name: Vec<u8>, value: Vec<u8>) {
    match xattrs.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => xattrs.push((name, value)),
    }
}

/// Splits the first record off: its key, its value, and what follows it.
fn split_record(records: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let bad = || malformed("a PAX extended header holds a malformed record");
    let space = records.iter().position(|&byte| byte == b' ').ok_or_else(bad)?;
    let length = usize::try_from(unsigned(&records[..space]).map_err(|_| bad())?).map_err(|_| bad())?;
    if length > records.len() || length < space + 2 || records[length - 1] != b'\n' {
        return Err(bad());
    }
    let record = &records[space + 1..length - 1];
    let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return Err(bad());
    }
    Ok((key, value, &records[length..]))
}

fn without_nul(value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) {
        return Err(malformed("a path in a PAX extended header holds a NUL byte"));
    }
    Ok(value.to_vec())
}

pub(super) fn unsigned(digits: &[u8]) -> Result<u64> {
    let bad = || malformed("a number in an extension header is no decimal number in range");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)
}

fn signed(digits: &[u8]) -> Result<i64> {
    let bad = || malformed("a number in an extension header is out of range");
    match digits.strip_prefix(b"-") {
        Some(rest) => i64::try_from(unsigned(rest)?).map(|value| -value).map_err(|_| bad()),
        None => i64::try_from(unsigned(digits)?).map_err(|_| bad()),
    }
}

/// Seconds with an optional fraction; the result counts nanoseconds upwards also before 1970.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let seconds = signed(whole)?;
    let mut nanoseconds: u32 = 0;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(malformed("a time in an extension header is no number"));
    }
    for place in 0..9 {
        nanoseconds = nanoseconds * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
    }
    if whole.starts_with(b"-") && nanoseconds > 0 {
        return Ok((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|value| value as u8);
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match tail {
            [high, low, after @ ..] if *first == b'%' => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// Standard alphabet; libarchive leaves the padding out.
fn base64_decoded(text: &[u8]) -> Result<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(malformed("an extended attribute is not in base 64")),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push((bits >> held) as u8);
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_time(value: &str, expect: (i64, u32)) {
        assert_eq!(time(value.as_bytes()).unwrap(), expect, "{value}");
    }

    #[test]
    fn times_keep_their_nanoseconds_on_both_sides_of_1970() {
        check_time("1350244992.023960108", (1_350_244_992, 23_960_108));
        check_time("1.5", (1, 500_000_000));
        check_time("7", (7, 0));
        check_time("-1.5", (-2, 500_000_000));
        check_time("-0.25", (-1, 750_000_000));
        check_time("1.1234567899", (1, 123_456_789));
    }

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let digits = if body.len() + 2 < 100 { 2 } else { 3 };
        [format!("{:0digits$}", body.len() + digits).as_bytes(), &body].concat()
    }

    #[test]
    fn a_record_must_be_as_long_as_it_says() {
        let fine =
            [record("size", b"1"), record("uid", b"-5"), record("gid", b""), record("x", b"a\nb")].concat();
        let decoded = Extensions::decode(&fine).unwrap();
        assert_eq!((decoded.size, decoded.uid, decoded.gid), (Some(1), Some(-5), None));
        for end in 1..fine.len() {
            let whole_records = end == record("size", b"1").len()
                || fine[..end].ends_with(b"uid=-5\n")
                || fine[..end].ends_with(b"gid=\n");
            assert_eq!(Extensions::decode(&fine[..end]).is_ok(), whole_records, "cut at {end}");
        }
        for bad in ["0 a=b\n", "9999 a=b\n", "x a=b\n", "6 a=b ", "8 =value\n", "12 path=a\0bc\n", "5 abc\n"]
        {
            assert!(Extensions::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn both_spellings_of_an_attribute_are_one() {
        let records = [
            record("LIBARCHIVE.xattr.user.a%3Db", b"aGkA"),
            record("SCHILY.xattr.user.c", b"x"),
            record("LIBARCHIVE.xattr.user.c", b"eQ"),
        ];
        assert_eq!(
            Extensions::decode(&records.concat()).unwrap().xattrs,
            [(b"user.c".to_vec(), b"x".to_vec()), (b"user.a=b".to_vec(), b"hi\0".to_vec())]
        );
    }
}
