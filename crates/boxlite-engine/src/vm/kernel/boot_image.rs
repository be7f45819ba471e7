//! From a kernel as it is packaged (`bzImage`) to the one QEMU starts fastest: the ELF file within it, uncompressed.
//!
//! See the kernel's Documentation/arch/x86/boot.rst for the setup header. A boot image decompresses itself under the
//! emulator, which costs a second there and 0.1 s here, once.

use std::io::Read;

use boxlite_types::{Error, ErrorCode, Result};

use super::lz4;

/// Longest kernel accepted, decompressed, in bytes. Debian's are some 50 MiB.
const MAX_KERNEL_BYTES: usize = 512 << 20;

/// Type of the ELF note that holds the entry point of the PVH boot protocol (Xen's `XEN_ELFNOTE_PHYS32_ENTRY`).
const PVH_ENTRY_NOTE: u32 = 18;

/// Takes the uncompressed kernel out of a boot image; a kernel that is uncompressed already is returned as it is.
///
/// # Errors
/// `InvalidArgument` if it is no x86-64 kernel, is compressed in a way not known here, or cannot be started by PVH.
pub fn uncompressed_kernel(image: Vec<u8>) -> Result<Vec<u8>> {
    let kernel = if image.starts_with(b"\x7fELF") { image } else { decompressed(payload(&image)?)? };
    if has_pvh_entry(&kernel).ok_or_else(|| refused("it holds no x86-64 ELF file"))? {
        Ok(kernel)
    } else {
        Err(refused("it was built without CONFIG_PVH, so QEMU cannot start it directly"))
    }
}

/// Returns the release a kernel says it is, as `6.1.0-1-cloud-amd64`: the word after `Linux version`.
pub fn release(kernel: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let mut from = 0;
    while let Some(found) = memory_find(&kernel[from..], BANNER) {
        let text = &kernel[from + found + BANNER.len()..];
        let word: Vec<u8> =
            text.iter().copied().take(65).take_while(|byte| !byte.is_ascii_whitespace()).collect();
        // The same words stand in a format string, followed by `%s`.
        if (1..=64).contains(&word.len())
            && word[0].is_ascii_digit()
            && word.iter().all(|byte| is_release(*byte))
        {
            return String::from_utf8(word).ok();
        }
        from += found + BANNER.len();
    }
    None
}

fn is_release(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte)
}

fn memory_find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + found..].starts_with(wanted) {
            return Some(from + found);
        }
        from += found + 1;
    }
    None
}

/// The compressed kernel within a boot image.
fn payload(image: &[u8]) -> Result<&[u8]> {
    const SETUP_SECTORS: usize = 0x1f1;
    const MAGIC: usize = 0x202;
    const PROTOCOL: usize = 0x206;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    let word =
        |at: usize| image.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let protocol = image.get(PROTOCOL..PROTOCOL + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    if image.get(MAGIC..MAGIC + 4) != Some(b"HdrS") || protocol.is_none_or(|protocol| protocol < 0x0208) {
        return Err(refused("it is neither a boot image (bzImage) nor an ELF file (vmlinux)"));
    }
    // Zero means four, for the sake of boot loaders of the last century.
    let sectors = match image[SETUP_SECTORS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let truncated = || refused("it is cut short");
    let start = (sectors + 1) * 512 + word(PAYLOAD_OFFSET).ok_or_else(truncated)?;
    let length = word(PAYLOAD_LENGTH).ok_or_else(truncated)?;
    image.get(start..start.saturating_add(length)).ok_or_else(truncated)
}

fn decompressed(payload: &[u8]) -> Result<Vec<u8>> {
    let broken = || refused("its compressed part is broken");
    if payload.starts_with(&lz4::MAGIC) {
        return lz4::decode_legacy_frame(payload, MAX_KERNEL_BYTES).ok_or_else(broken);
    }
    let decoder: Box<dyn Read + '_> = match payload {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(payload)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(liblzma::read::XzDecoder::new(payload)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(payload).map_err(|_| broken())?.single_frame())
        }
        _ => return Err(refused("it is compressed in a way other than gzip, xz, zstd or lz4")),
    };
    let mut kernel = Vec::new();
    let limit = MAX_KERNEL_BYTES as u64 + 1;
    decoder.take(limit).read_to_end(&mut kernel).map_err(|source| broken().caused_by(source))?;
    if kernel.len() > MAX_KERNEL_BYTES { Err(refused("it is larger than any kernel")) } else { Ok(kernel) }
}

/// Whether a 64-bit x86 ELF file has a PVH entry; `None` if it is no such file.
fn has_pvh_entry(elf: &[u8]) -> Option<bool> {
    let half = |at: usize| elf.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)));
    let long =
        |at: usize| elf.get(at..)?.first_chunk().map(|bytes| usize::try_from(u64::from_le_bytes(*bytes)));
    const X86_64: usize = 62;
    if !elf.starts_with(b"\x7fELF\x02\x01") || half(18)? != X86_64 {
        return None;
    }
    let (table, size, count) = (long(32)?.ok()?, half(54)?, half(56)?);
    for index in 0..count {
        let header = table.checked_add(index * size)?;
        let kind = elf.get(header..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))?;
        const NOTE: u32 = 4;
        if kind == NOTE {
            let (start, length) = (long(header + 8)?.ok()?, long(header + 32)?.ok()?);
            if notes(elf.get(start..start.checked_add(length)?)?).any(|kind| kind == PVH_ENTRY_NOTE) {
                return Some(true);
            }
        }
    }
    Some(false)
}

/// Types of the notes in a note segment that are Xen's.
fn notes(mut segment: &[u8]) -> impl Iterator<Item = u32> + '_ {
    std::iter::from_fn(move || {
        loop {
            let word = |at: usize| segment.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
            let (name_length, content_length, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
            let padded = |length: usize| length.checked_next_multiple_of(4);
            let content = 12usize.checked_add(padded(name_length)?)?;
            let is_xen = segment.get(12..12usize.checked_add(name_length)?)? == b"Xen\0";
            segment = segment.get(content.checked_add(padded(content_length)?)?..)?;
            if is_xen {
                return Some(kind);
            }
        }
    })
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("the kernel cannot be used: {reason}"))
}

#[cfg(test)]
#[path = "boot_image/tests.rs"]
mod tests;
