//! Reading a Debian package (deb(5)): an `ar` archive whose member `data.tar.*` holds the files.
//!
//! Streams: a package is read once from front to back, and only what is asked for is kept. Nothing is installed and no
//! script of the package is run; its checksum is the affair of whoever fetched it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// First bytes of every package.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Length of the header of an `ar` member.
const MEMBER_HEADER_BYTES: usize = 60;

/// Calls `visit` for every regular file of a package with its path, which is relative and has no `.` or `..`.
///
/// # Errors
/// `InvalidData` if it is no package that could be read; otherwise whatever `visit` or reading gave.
pub fn for_each_file(
    package: impl Read,
    mut visit: impl FnMut(&Path, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut data = data_member(package)?;
    let mut archive = tar::Archive::new(&mut data);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path: PathBuf = entry
            .path()?
            .components()
            .filter(|component| !matches!(component, std::path::Component::CurDir))
            .collect();
        if path.components().all(|component| matches!(component, std::path::Component::Normal(_))) {
            visit(&path, &mut entry)?;
        }
    }
    Ok(())
}

/// Reads up to the data member and returns it decompressed.
fn data_member<'a>(mut package: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(malformed("it does not begin as one"));
    }
    loop {
        let mut header = [0; MEMBER_HEADER_BYTES];
        package.read_exact(&mut header).map_err(|_| malformed("it has no `data.tar`"))?;
        let text = std::str::from_utf8(&header).map_err(|_| malformed("a member has no header"))?;
        let (name, size) = (text[..16].trim_end().trim_end_matches('/'), text[48..58].trim_end());
        let size: u64 = size.parse().map_err(|_| malformed("a member has no length"))?;
        if let Some(suffix) = name.strip_prefix("data.tar") {
            let member = package.take(size);
            return Ok(match suffix {
                "" => Box::new(member),
                ".xz" => Box::new(liblzma::read::XzDecoder::new(member)),
                ".zst" => Box::new(zstd::stream::read::Decoder::new(member)?),
                ".gz" => Box::new(flate2::read::MultiGzDecoder::new(member)),
                _ => return Err(malformed("its data is compressed in an unknown way")),
            });
        }
        // Members begin on even offsets.
        io::copy(&mut package.by_ref().take(size + size % 2), &mut io::sink())?;
    }
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a Debian package: {reason}"))
}

#[cfg(test)]
#[path = "deb/tests.rs"]
mod tests;
