//! What was found out about this host, kept so that it is found out once.
//!
//! `templates/host.json` in the home. A cache and no more: without it everything is measured again, so it is written
//! without ceremony, and a damaged one counts as none. What depends on the running system (does this accelerator run
//! guests?) is forgotten at the next boot of the host; what depends on a file, when the file changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use boxlite_types::{Error, Home, Result};
use serde::{Deserialize, Serialize};

use super::durable::{Cancel, FileLock, unique_name};

/// The facts; see the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// `/proc/sys/kernel/random/boot_id` when the others were found.
    boot_id: String,
    /// Frequency of the time-stamp counter in kHz. Kept over boots, since a new measurement differs a little.
    pub tsc_khz: Option<u64>,
    /// Whether the frequency was measured since this boot.
    pub tsc_confirmed: bool,
    /// Why hardware virtualisation cannot be used, empty if it can, by emulator and kernel.
    pub probes: BTreeMap<String, String>,
    /// What is known of files: versions, digests.
    files: BTreeMap<String, FileFact>,
}

/// Something known of one state of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FileFact {
    size_bytes: u64,
    modified_ns: i128,
    inode: u64,
    value: String,
}

impl HostFacts {
    /// Reads the facts of a home, without those of an earlier boot.
    pub fn load(home: &Home) -> Self {
        let mut facts: HostFacts = fs::read(path(home))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let boot_id = boot_id();
        if facts.boot_id != boot_id {
            facts.boot_id = boot_id;
            facts.tsc_confirmed = false;
            facts.probes.clear();
        }
        facts
    }

    /// Changes the facts of a home; those that others found out meanwhile stay.
    ///
    /// # Errors
    /// `Storage`, `Cancelled`.
    pub fn update(home: &Home, cancel: &Cancel, change: impl FnOnce(&mut HostFacts)) -> Result<HostFacts> {
        let path = path(home);
        let _lock = FileLock::acquire(&path.with_extension("lock"), cancel)?;
        let mut facts = HostFacts::load(home);
        change(&mut facts);
        // Not made durable: a fact that is lost is found again.
        let temporary = path.with_extension(unique_name());
        let bytes = serde_json::to_vec(&facts).expect("plain data becomes JSON");
        fs::write(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|source| Error::io("write", &path, source))?;
        Ok(facts)
    }

    /// Returns what is known of the file as it is now, or finds it out and remembers it.
    ///
    /// # Errors
    /// Those of `find_out`; `Storage` if the file does not exist.
    pub fn of_file(
        home: &Home,
        file: &Path,
        cancel: &Cancel,
        find_out: impl FnOnce() -> Result<String>,
    ) -> Result<String> {
        let metadata = fs::metadata(file).map_err(|source| Error::io("read", file, source))?;
        let state = |value: String| FileFact {
            size_bytes: metadata.size(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            inode: metadata.ino(),
            value,
        };
        let key = file.to_string_lossy().into_owned();
        if let Some(known) = HostFacts::load(home).files.get(&key)
            && *known == state(known.value.clone())
        {
            return Ok(known.value.clone());
        }
        let value = find_out()?;
        HostFacts::update(home, cancel, |facts| {
            facts.files.retain(|file, _| Path::new(file).exists());
            facts.files.insert(key, state(value.clone()));
        })?;
        Ok(value)
    }
}

fn path(home: &Home) -> PathBuf {
    home.templates().join("host.json")
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_file_is_looked_at_again_only_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (home, file) = (Home::new(directory.path()), directory.path().join("program"));
        let looked = Cell::new(0);
        let check = |expect: &str, times: u32| {
            let find_out = || {
                looked.set(looked.get() + 1);
                Ok(fs::read_to_string(&file).unwrap())
            };
            assert_eq!(HostFacts::of_file(&home, &file, &Cancel::default(), find_out).unwrap(), expect);
            assert_eq!(looked.get(), times);
        };
        fs::write(&file, "one").unwrap();
        check("one", 1);
        check("one", 1);
        fs::write(&file, "other").unwrap();
        check("other", 2);
        fs::write(path(&home), "{ damaged").unwrap();
        check("other", 3);
    }

    #[test]
    fn what_belongs_to_an_earlier_boot_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let change = |facts: &mut HostFacts| {
            facts.tsc_khz = Some(2_000_000);
            facts.tsc_confirmed = true;
            facts.probes.insert("q".into(), String::new());
        };
        HostFacts::update(&home, &Cancel::default(), change).unwrap();
        assert_eq!(HostFacts::load(&home).probes.len(), 1);
        HostFacts::update(&home, &Cancel::default(), |facts| facts.boot_id = "another".into()).unwrap();
        let facts = HostFacts::load(&home);
        assert_eq!((facts.tsc_khz, facts.tsc_confirmed, facts.probes.len()), (Some(2_000_000), false, 0));
    }
}
