//! Decoding of LZ4's legacy frame, the form in which Linux compresses itself (lz4_Frame_format.md, "Legacy frame", and
//! lz4_Block_format.md).
//!
//! Only this: a kernel image is the one place where the format is met.

/// Magic number a legacy frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Most bytes a block of a legacy frame decodes to.
const BLOCK_BYTES: usize = 8 << 20;

/// Decodes a frame; `None` if it is malformed or decodes to more than `limit_bytes`.
///
/// A block is known to be the last by its being short, or by what follows not being the length of one: a kernel's payload
/// ends with four bytes that tell its decoded length.
pub(super) fn decode_legacy_frame(bytes: &[u8], limit_bytes: usize) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if after.is_empty() {
            break;
        }
        let start = out.len();
        decode_block(after.get(..length)?, &mut out, (start + BLOCK_BYTES).min(limit_bytes))?;
        rest = &after[length..];
    }
    Some(out)
}

/// Appends a decoded block to `out`, whose length must not pass `limit`. Matches do not reach behind the block.
fn decode_block(block: &[u8], out: &mut Vec<u8>, limit: usize) -> Option<()> {
    let start = out.len();
    let mut at = 0;
    loop {
        let token = *block.get(at)?;
        at += 1;
        let literals = length(block, &mut at, token >> 4)?;
        let end = at.checked_add(literals)?;
        if literals > limit.checked_sub(out.len())? {
            return None;
        }
        out.extend_from_slice(block.get(at..end)?);
        at = end;
        if at == block.len() {
            return Some(());
        }
        let offset = usize::from(u16::from_le_bytes([*block.get(at)?, *block.get(at + 1)?]));
        at += 2;
        let matched = length(block, &mut at, token & 15)?.checked_add(4)?;
        if offset == 0 || offset > out.len() - start || matched > limit.checked_sub(out.len())? {
            return None;
        }
        let mut left = matched;
        while left > 0 {
            // A match may overlap what it produces: copy what is there, then again from the longer text.
            let from = out.len() - offset;
            let piece = left.min(offset);
            out.extend_from_within(from..from + piece);
            left -= piece;
        }
    }
}

/// A length of which the token holds the first part; 15 says that bytes follow, each 255 that one more does.
fn length(block: &[u8], at: &mut usize, first: u8) -> Option<usize> {
    let mut total = usize::from(first);
    if first == 15 {
        loop {
            let byte = *block.get(*at)?;
            *at += 1;
            total = total.checked_add(usize::from(byte))?;
            if byte != 255 {
                break;
            }
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for block in blocks {
            bytes.extend_from_slice(&(block.len() as u32).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        bytes
    }

    #[test]
    fn blocks_decode_as_the_format_says() {
        let check = |blocks: &[&[u8]], expect: Option<&[u8]>| {
            assert_eq!(decode_legacy_frame(&frame(blocks), 1000).as_deref(), expect);
        };
        check(&[b"\x30abc"], Some(b"abc"));
        // Three literals, a match of 4 + 4 bytes three back (overlapping itself), one literal.
        check(&[b"\x34abc\x03\x00\x10d"], Some(b"abcabcabcabd"));
        // Sixteen literals: 15 in the token, 1 in the byte after it.
        check(&[b"\xf0\x01abcdefghijklmnop"], Some(b"abcdefghijklmnop"));
        check(&[b"\x10a", b"\x10b"], Some(b"ab"));
        // The length a kernel's payload ends with.
        let mut with_length = frame(&[b"\x10a"]);
        with_length.extend_from_slice(&1u32.to_le_bytes());
        assert_eq!(decode_legacy_frame(&with_length, 1000).as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn malformed_blocks_are_refused() {
        let check = |block: &[u8]| assert_eq!(decode_legacy_frame(&frame(&[block]), 1000), None);
        check(b"\x30ab");
        check(b"\x14a\x00\x00\x10d");
        check(b"\x14a\x02\x00\x10d");
        check(b"\xf0\xff\xff");
        check(b"\x1fa\x01\x00\xff\xff\xff\xff\xff\xff\x00\x10b");
        assert_eq!(decode_legacy_frame(b"\x02\x21\x4c\x18\xff\xff\xff\x7fa", 1000), None);
        // A match does not reach into the block before.
        assert_eq!(decode_legacy_frame(&frame(&[b"\x30abc", b"\x14d\x02\x00\x10e"]), 1000), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic_or_grow_past_its_limit(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut framed = MAGIC.to_vec();
            framed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            framed.extend_from_slice(&bytes);
            prop_assert!(decode_legacy_frame(&framed, 4096).is_none_or(|out| out.len() <= 4096));
        }
    }
}
