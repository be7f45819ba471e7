//! What a machine is: everything that has to be the same for a template and for the machines restored from it.
//!
//! A description only; it travels as JSON in the configuration of a shim. What differs from box to box (disks, channels)
//! is not part of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Size of both disks of a machine in bytes, whatever they hold. A disk may only be exchanged under a restored machine
/// if its size stays what the guest saw, so every image and every box disk is shown as this one size.
pub const DISK_BYTES: u64 = 64 << 30;

/// Virtio serial of the read-only disk that holds the image.
pub const IMAGE_SERIAL: &str = "image";

/// Virtio serial of the writable disk of the box.
pub const DISK_SERIAL: &str = "disk";

/// Name of the virtio-serial port the agent opens.
pub const AGENT_PORT: &str = "boxlite.agent";

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor's own virtualisation.
    Kvm,
    /// QEMU's translator: slower, needs nothing.
    Tcg,
}

impl Accelerator {
    /// Returns the name QEMU and `IsolationInfo` know it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }

    /// Returns the processor model a guest sees; part of what a template depends on.
    ///
    /// The emulator runs `rep movsb` and `rep stosb` byte by byte, so it must not claim that they are fast (`erms`, `fsrm`):
    /// without the claim the guest's kernel copies words, which moves bytes through pipes and ports at about twice the rate.
    pub fn cpu_model(self) -> &'static str {
        match self {
            Accelerator::Kvm => "host",
            Accelerator::Tcg => "max,-erms,-fsrm",
        }
    }
}

/// A machine as it is to be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// The emulator, an absolute path.
    pub qemu: PathBuf,
    /// What executes the guest.
    pub accelerator: Accelerator,
    /// Kernel: an uncompressed `vmlinux`, started through its PVH entry.
    pub kernel: PathBuf,
    /// Its release, as `6.1.0-1-cloud-amd64`.
    pub kernel_release: String,
    /// Initial file system: agent and modules.
    pub initramfs: PathBuf,
    /// Frequency of the host's time-stamp counter in kHz. Told to the guest, which otherwise fails to measure it now
    /// and then and hangs.
    pub tsc_khz: u64,
    /// Number of virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Directory of the template to restore from; a cold boot if there is none.
    pub template: Option<PathBuf>,
}

#[cfg(test)]
impl MachineSpec {
    /// Returns a small machine of files that nobody opens.
    pub(super) fn example() -> Self {
        MachineSpec {
            qemu: "/usr/bin/qemu".into(),
            accelerator: Accelerator::Tcg,
            kernel: "/home/kernels/6.1/vmlinux".into(),
            kernel_release: "6.1".into(),
            initramfs: "/home/kernels/6.1/initramfs/aa".into(),
            tsc_khz: 2_000_000,
            cpus: 1,
            memory_mib: 128,
            template: None,
        }
    }
}

/// Where the memory of a machine comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Fresh and private: a cold boot that leaves nothing behind.
    Fresh,
    /// A file that is to become the memory of a template.
    Recorded(PathBuf),
    /// Copy-on-write over the memory in this template directory; the machine waits to be restored.
    Restored(PathBuf),
    /// A copy of the memory of a template, which is to become that of another one; the machine waits to be restored.
    Continued {
        /// Directory of the template it begins with.
        template: PathBuf,
        /// The copy.
        memory: PathBuf,
    },
}
