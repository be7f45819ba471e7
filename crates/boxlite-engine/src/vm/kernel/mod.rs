//! Guest kernels: fetched as a package of the distribution or taken from a file, unpacked into the home, never installed
//! on the host.
//!
//! ```text
//! kernels/<release>/kernel.json         release, modules in load order, where it came from
//!                   vmlinux             uncompressed, started by QEMU through its PVH entry
//!                   modules/<name>.ko   only what a machine needs
//!                   initramfs/<digest>  agent and modules packed together, one per agent
//! ```
//! A directory that is there is complete: it is made elsewhere, made durable and renamed, under one lock.

mod apt;
mod boot_image;
mod deb;
mod install;
mod lz4;
mod modules;

use std::fs;
use std::path::{Path, PathBuf};

use boxlite_types::{Digest, Error, ErrorCode, Home, Result};
use serde::{Deserialize, Serialize};

pub use apt::FILE_HINT;
pub use install::{KernelSource, ensure, install};

use super::durable;
use super::initramfs;

/// File that describes an installed kernel.
const DESCRIPTION_FILE: &str = "kernel.json";

/// An installed kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its release, as `uname -r` in a box prints it.
    pub release: String,
    /// Names of its modules, in the order in which they load.
    pub modules: Vec<String>,
    /// Where it came from: a package with its version, or a path.
    pub origin: String,
    /// When it was installed, in seconds since the Unix epoch.
    pub installed_at: u64,
    /// Size of the kernel and its modules in bytes.
    pub size_bytes: u64,
    #[serde(skip)]
    directory: PathBuf,
}

impl Kernel {
    /// Returns the directory it lies in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the kernel's file.
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// Returns the initial file system of this kernel with the agent in the file `agent`, which has the digest
    /// `agent_digest`; packed at the first call.
    ///
    /// # Errors
    /// `Storage` if the agent cannot be read or the archive not be written.
    pub fn initramfs(&self, agent: &Path, agent_digest: &Digest) -> Result<PathBuf> {
        let directory = self.directory.join("initramfs");
        let path = directory.join(&agent_digest.hex()[..32]);
        if path.exists() {
            return Ok(path);
        }
        let agent = fs::read(agent).map_err(|source| Error::io("read", agent, source))?;
        let mut modules = Vec::new();
        for name in &self.modules {
            let module = self.directory.join("modules").join(format!("{name}.ko"));
            let content = fs::read(&module).map_err(|source| Error::io("read", &module, source))?;
            modules.push((name.clone(), content));
        }
        fs::create_dir_all(&directory).map_err(|source| Error::io("create", &directory, source))?;
        durable::write_file(&path, &initramfs::pack(&agent, &modules))?;
        Ok(path)
    }
}

/// Lists the kernels of a home, the one installed last first.
///
/// # Errors
/// `Storage`.
pub fn list(home: &Home) -> Result<Vec<Kernel>> {
    let root = home.kernels();
    let entries = match fs::read_dir(&root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io("read", &root, source)),
    };
    let mut kernels: Vec<Kernel> = entries.flatten().filter_map(|entry| read(&entry.path())).collect();
    kernels.sort_by(|a, b| (b.installed_at, &b.release).cmp(&(a.installed_at, &a.release)));
    Ok(kernels)
}

/// Finds the kernel named `release`, or the one installed last.
///
/// # Errors
/// `NotFound` if a release is named that is not installed; `Storage`.
pub fn find(home: &Home, release: Option<&str>) -> Result<Option<Kernel>> {
    let kernels = list(home)?;
    let Some(release) = release else { return Ok(kernels.into_iter().next()) };
    let found = kernels.into_iter().find(|kernel| kernel.release == release);
    found.map(Some).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("no kernel `{release}` is installed"))
            .hint("`boxlite kernel ls` lists those that are; `boxlite kernel install` brings one")
    })
}

/// Reads the description of an installed kernel; what is none, or unfinished, is passed over.
fn read(directory: &Path) -> Option<Kernel> {
    let mut kernel: Kernel =
        serde_json::from_slice(&fs::read(directory.join(DESCRIPTION_FILE)).ok()?).ok()?;
    (directory.file_name()?.to_str()? == kernel.release).then(|| {
        kernel.directory = directory.to_owned();
        kernel
    })
}
