//! Machines themselves, started without a shim and without a jail, with the real kernel and the real agent.
//!
//! One home serves all of them, so that the kernel is fetched once. Skips nothing: QEMU, `mke2fs` and a package client have
//! to be there.

#[path = "machine/blank.rs"]
mod blank;
mod common;
#[path = "machine/kernel.rs"]
mod kernel;
#[path = "machine/nested.rs"]
mod nested;
#[path = "machine/restore.rs"]
mod restore;
#[path = "machine/template.rs"]
mod template;

use std::path::PathBuf;
use std::sync::OnceLock;

use boxlite_engine::vm::durable::Cancel;
use boxlite_engine::vm::kernel::{Kernel, ensure};
use boxlite_engine::vm::{Accelerator, MachineSpec, disk, qemu, tsc};
use boxlite_types::{Digest, Home};

/// The kernel of the distribution, in the home all tests share.
fn shared_kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| ensure(&common::vm::home(), None, &Cancel::default()).unwrap())
}

/// A home of its own, with the kernel of the shared one.
struct TestHome {
    home: Home,
    directory: tempfile::TempDir,
}

impl TestHome {
    fn new() -> Self {
        let kernel = shared_kernel();
        let directory = tempfile::Builder::new().prefix("boxlite-machine-").tempdir().unwrap();
        let home = Home::new(directory.path());
        std::fs::create_dir(home.kernels()).unwrap();
        std::os::unix::fs::symlink(kernel.directory(), home.kernels().join(&kernel.release)).unwrap();
        TestHome { home, directory }
    }

    /// A machine of the smallest kind.
    fn spec(&self) -> MachineSpec {
        let kernel = ensure(&self.home, None, &Cancel::default()).unwrap();
        MachineSpec {
            qemu: self.qemu().program,
            accelerator: Accelerator::Tcg,
            kernel: kernel.vmlinux(),
            initramfs: kernel.initramfs(common::agent(), &agent_digest()).unwrap(),
            kernel_release: kernel.release,
            tsc_khz: tsc::frequency_khz(&self.home, &Cancel::default()).unwrap(),
            cpus: 1,
            memory_mib: 128,
            template: None,
        }
    }

    fn qemu(&self) -> qemu::Qemu {
        qemu::find(&self.home, None, &Cancel::default()).unwrap()
    }

    /// The disk of a box of its own.
    fn disk(&self, name: &str) -> PathBuf {
        let directory = self.directory.path().join("boxes").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        disk::ensure(&self.home, 64, &directory, &Cancel::default()).unwrap()
    }
}

fn agent_digest() -> Digest {
    use sha2::Digest as _;
    Digest::from_bytes(sha2::Sha256::digest(std::fs::read(common::agent()).unwrap()).into())
}
