//! Which accelerator this host has: found out by running a guest on it.
//!
//! That a device opens says little: there are hosts where `/dev/kvm` creates machines and no kernel ever comes up in one.
//! So a guest is booted there, with a deadline, and what came of it is remembered until the host boots again.

use std::fs;
use std::time::{Duration, Instant};

use boxlite_types::{Error, ErrorCode, Home, Result};

use super::boot::{self, ServeImage};
use super::durable::{Cancel, FileLock, Workshop};
use super::facts::HostFacts;
use super::machine::{Accelerator, DISK_BYTES, MachineSpec, Memory};
use super::process::Spawn;

/// The device.
const DEVICE: &str = "/dev/kvm";

/// Longest time a guest may take to come up with hardware virtualisation: it takes half a second, ten times that nested.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// Memory of the guest that tries it, in MiB.
pub(super) const PROBE_MEMORY_MIB: u32 = 256;

/// What is known of hardware virtualisation on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A guest came up.
    Usable,
    /// It cannot be used, for this reason.
    Unusable(String),
    /// A guest has to be run to find out.
    Unknown,
}

/// Says what is known, without running anything.
pub fn known(home: &Home, kernel_release: &str, qemu_version: &str) -> Verdict {
    let device = rustix::fs::open(
        DEVICE,
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    match device {
        Ok(_) => {}
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => {
            return Verdict::Unusable(format!("this host has no `{DEVICE}`"));
        }
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            return Verdict::Unusable(format!("this user may not open `{DEVICE}`"));
        }
        Err(error) => return Verdict::Unusable(format!("`{DEVICE}` cannot be opened: {error}")),
    }
    match HostFacts::load(home).probes.get(&key(kernel_release, qemu_version)) {
        Some(reason) if reason.is_empty() => Verdict::Usable,
        Some(reason) => Verdict::Unusable(reason.clone()),
        None => Verdict::Unknown,
    }
}

/// Runs a guest of `spec` on hardware virtualisation and remembers what came of it within `timeout`.
///
/// # Errors
/// `Storage` if that cannot be remembered. A guest that does not come up is no error.
pub fn probe(
    home: &Home,
    spec: &MachineSpec,
    qemu_version: &str,
    timeout: Duration,
    spawn: &dyn Spawn,
    serve_image: ServeImage<'_>,
) -> Result<()> {
    let lock = home.templates().join("probe.lock");
    let _lock = FileLock::acquire(&lock, &Cancel::default())?;
    if known(home, &spec.kernel_release, qemu_version) != Verdict::Unknown {
        return Ok(());
    }
    let spec = MachineSpec {
        accelerator: Accelerator::Kvm,
        cpus: 1,
        memory_mib: PROBE_MEMORY_MIB,
        template: None,
        ..spec.clone()
    };
    let workshop = Workshop::new(&home.templates().join("making").join("probe"))?;
    let disk = workshop.path().join("disk");
    fs::File::create(&disk)
        .and_then(|file| file.set_len(DISK_BYTES))
        .map_err(|source| Error::io("create", &disk, source))?;
    let deadline = Instant::now() + timeout;
    let reason = match boot::attempt(&spec, &disk, &Memory::Fresh, spawn, serve_image, deadline) {
        Ok(_) => String::new(),
        Err(error) if error.code() == ErrorCode::Timeout => {
            format!("a guest on it did not come up within {} s", timeout.as_secs())
        }
        Err(error) => format!("no guest comes up on it: {}", error.message()),
    };
    let key = key(&spec.kernel_release, qemu_version);
    HostFacts::update(home, &Cancel::default(), |facts| drop(facts.probes.insert(key, reason))).map(drop)
}

fn key(kernel_release: &str, qemu_version: &str) -> String {
    format!("{kernel_release} on {qemu_version}")
}
