//! One 512-byte tar header block, decoded.
//!
//! Layouts: v7, POSIX ustar and pax (POSIX.1-2017, `pax`, "ustar Interchange Format"), GNU (`tar(5)`, "GNU tar
//! Archives") and star. Numbers are octal text or, as GNU extends it, base 256. What a block means together with its
//! extension headers is decided in [`super::parser`].

use boxlite_types::{Error, ErrorCode, Result};

/// Size of every tar record.
pub(super) const BLOCK_BYTES: usize = 512;

/// A block of a tar stream.
pub(super) type Block = [u8; BLOCK_BYTES];

/// Which family of layouts the fields after the link name follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// The fields of a header that BoxLite uses.
#[derive(Debug)]
pub(super) struct RawHeader {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub type_flag: u8,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    pub size: i64,
    pub mtime: i64,
    pub device_major: i64,
    pub device_minor: i64,
    pub format: Format,
}

impl RawHeader {
    /// Decodes a block after verifying its checksum.
    pub(super) fn decode(block: &Block) -> Result<Self> {
        verify_checksum(block)?;
        let format = format(block);
        let mut path = text(&block[..100]).to_vec();
        let prefix = match format {
            Format::Ustar => text(&block[345..500]),
            Format::Star => text(&block[345..476]),
            Format::V7 | Format::Gnu => b"",
        };
        if !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let type_flag = block[156];
        // Writers leave junk in the device fields of anything that is no device.
        let is_device = matches!(type_flag, b'3' | b'4') && format != Format::V7;
        let device = |field: &[u8]| if is_device { number(field) } else { Ok(0) };
        Ok(RawHeader {
            link: text(&block[157..257]).to_vec(),
            type_flag,
            mode: number(&block[100..108])?,
            uid: number(&block[108..116])?,
            gid: number(&block[116..124])?,
            size: number(&block[124..136])?,
            mtime: number(&block[136..148])?,
            device_major: device(&block[329..337])?,
            device_minor: device(&block[337..345])?,
            path,
            format,
        })
    }
}

fn format(block: &Block) -> Format {
    match (&block[257..263], &block[263..265]) {
        (b"ustar\0", _) if &block[508..512] == b"tar\0" => Format::Star,
        (b"ustar\0", _) => Format::Ustar,
        (b"ustar ", b" \0") => Format::Gnu,
        _ => Format::V7,
    }
}

/// The sum of all bytes with the checksum field as spaces; some old writers summed signed bytes.
fn verify_checksum(block: &Block) -> Result<()> {
    let stored = number(&block[148..156])?;
    let summed = |byte: fn(u8) -> i64| -> i64 {
        let all: i64 = block.iter().map(|&value| byte(value)).sum();
        let field: i64 = block[148..156].iter().map(|&value| byte(value)).sum();
        all - field + 8 * i64::from(b' ')
    };
    if stored == summed(i64::from) || stored == summed(|byte| i64::from(byte as i8)) {
        return Ok(());
    }
    Err(malformed("a header has a wrong checksum"))
}

/// The bytes before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Decodes a numeric field: octal text between spaces and NULs, or big-endian two's complement after a set high bit.
pub(super) fn number(field: &[u8]) -> Result<i64> {
    let out_of_range = || malformed("a number in a header is out of range");
    match field.first() {
        Some(first) if first & 0x80 != 0 => {
            let start: i128 = if first & 0x40 != 0 { -1 } else { 0 };
            let mut value = start << 6 | i128::from(first & 0x3f);
            for byte in &field[1..] {
                // Twelve bytes at most: 94 bits, so this cannot overflow.
                value = value << 8 | i128::from(*byte);
            }
            i64::try_from(value).map_err(|_| out_of_range())
        }
        _ => {
            let digits = text(trim(field));
            let digits = trim(digits);
            let mut value: i64 = 0;
            for digit in digits {
                if !(b'0'..=b'7').contains(digit) {
                    return Err(malformed("a number in a header is no octal number"));
                }
                value = value.checked_mul(8).ok_or_else(out_of_range)? + i64::from(digit - b'0');
            }
            Ok(value)
        }
    }
}

fn trim(mut field: &[u8]) -> &[u8] {
    while let [b' ' | 0, rest @ ..] | [rest @ .., b' ' | 0] = field {
        field = rest;
    }
    field
}

/// Makes the error for a stream that is no tar.
pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::Image, format!("malformed layer: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &[u8], expect: Option<i64>) {
        assert_eq!(number(field).ok(), expect, "{}", field.escape_ascii());
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"644\0junk", Some(0o644));
        check(b"00000648", None);
        check(b"-1      ", None);
        check(b"777777777777", Some(0o777_777_777_777));
        check(b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2));
        check(b"\x80\0\0\x80\0\0\0\0\0\0\0\0", None);
        check(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None);
    }
}
