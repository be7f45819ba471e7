//! The helper programs, carried inside the library: one artifact to ship.
//!
//! [`unpack`] writes them once into a home, under the digest of their content, so that programs of different releases can
//! share the home. A file that is there under its final name is complete: it was written beside it, synced and renamed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use boxlite_types::{Digest, Error, Result};
use sha2::{Digest as _, Sha256};

struct Packed {
    name: &'static str,
    bytes: &'static [u8],
}

const AGENT: Packed =
    Packed { name: "boxlite-agent", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/boxlite-agent.zst")) };
const SHIM: Packed =
    Packed { name: "boxlite-shim", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/boxlite-shim.zst")) };

/// Where the helper programs lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helpers {
    /// The program that runs inside every box.
    pub agent: PathBuf,
    /// The program that supervises one box.
    pub shim: PathBuf,
}

/// A helper is written under a name of the process, beside its final one: one at a time in each.
static UNPACKING: Mutex<()> = Mutex::new(());

/// Makes sure the helper programs of this build lie below `bin` (`<home>/bin`), and returns where.
///
/// # Errors
/// `Storage` or `NoSpace` if they cannot be written.
pub fn unpack(bin: &Path) -> Result<Helpers> {
    let _one_at_a_time = UNPACKING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(Helpers { agent: place(bin, &AGENT)?, shim: place(bin, &SHIM)? })
}

fn place(bin: &Path, packed: &Packed) -> Result<PathBuf> {
    let digest = Digest::from_bytes(Sha256::digest(packed.bytes).into());
    let directory = bin.join(&digest.hex()[..16]);
    let path = directory.join(packed.name);
    if path.exists() {
        return Ok(path);
    }
    std::fs::create_dir_all(&directory).map_err(|error| Error::io("create", &directory, error))?;
    let temporary = directory.join(format!(".{}.{}", packed.name, std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&temporary)?;
        zstd::stream::copy_decode(packed.bytes, &mut file)?;
        file.flush()?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        std::fs::File::open(&directory)?.sync_all()
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", &path, error)
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_unpacked_once_and_are_static_programs() {
        let bin = tempfile::tempdir().unwrap();
        let first = unpack(bin.path()).unwrap();
        let written = std::fs::metadata(&first.agent).unwrap().modified().unwrap();
        assert_eq!(unpack(bin.path()).unwrap(), first);
        assert_eq!(std::fs::metadata(&first.agent).unwrap().modified().unwrap(), written);
        for program in [first.agent, first.shim] {
            assert!(!wants_interpreter(&std::fs::read(program).unwrap()), "needs a dynamic linker");
        }
        assert!(wants_interpreter(&std::fs::read("/proc/self/exe").unwrap()), "the check can fail");
    }

    /// Whether a 64-bit ELF program has a `PT_INTERP` header (`elf(5)`).
    fn wants_interpreter(program: &[u8]) -> bool {
        assert!(program.starts_with(b"\x7fELF\x02"));
        let number = |at: usize, bytes: usize| {
            program[at..at + bytes].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
        };
        let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
        (0..count).any(|header| number(table + header * size, 4) == 3)
    }
}
