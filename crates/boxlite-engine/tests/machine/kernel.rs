//! Guest kernels: the distribution's, and the same one again from files.

use std::fs;
use std::path::{Path, PathBuf};

use boxlite_engine::vm::durable::Cancel;
use boxlite_engine::vm::kernel::{self, Kernel, KernelSource};
use boxlite_types::{ErrorCode, Home};

use crate::shared_kernel;

#[test]
fn the_distributions_kernel_is_installed_into_the_home_and_found_again() {
    let kernel = shared_kernel();
    assert!(fs::read(kernel.vmlinux()).unwrap().starts_with(b"\x7fELF"));
    let position = |name: &str| kernel.modules.iter().position(|module| module == name).unwrap();
    assert!(position("virtio_ring") < position("virtio") && position("virtio") < position("virtio_mmio"));
    assert!(position("erofs") > position("libcrc32c"));
    let home = crate::common::vm::home();
    assert_eq!(&kernel::list(&home).unwrap()[0], kernel);
    assert_eq!(kernel::find(&home, Some(&kernel.release)).unwrap().as_ref(), Some(kernel));
    assert_eq!(kernel::find(&home, Some("9.9")).unwrap_err().code(), ErrorCode::NotFound);
    // Whoever asks again gets what is there; a second download would have a later time.
    assert_eq!(&kernel::ensure(&home, None, &Cancel::default()).unwrap(), kernel);
}

/// Wraps a kernel up as a boot image, zstd inside.
fn boot_image(vmlinux: &Path) -> Vec<u8> {
    let payload = zstd::bulk::compress(&fs::read(vmlinux).unwrap(), 1).unwrap();
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend_from_slice(&payload);
    image
}

/// A directory of modules as `/lib/modules/<release>` is one, and the boot image beside it.
fn as_files(kernel: &Kernel, scratch: &Path) -> (PathBuf, PathBuf) {
    let modules = scratch.join("modules/kernel/drivers");
    fs::create_dir_all(&modules).unwrap();
    fs::write(scratch.join("modules/modules.builtin"), "kernel/fs/ext4/ext4.ko\n").unwrap();
    for name in &kernel.modules {
        let content = fs::read(kernel.directory().join(format!("modules/{name}.ko"))).unwrap();
        let packed = zstd::bulk::compress(&content, 1).unwrap();
        fs::write(modules.join(format!("{}.ko.zst", name.replace('_', "-"))), packed).unwrap();
    }
    let image = scratch.join("vmlinuz");
    fs::write(&image, boot_image(&kernel.vmlinux())).unwrap();
    (image, scratch.join("modules"))
}

/// A package with what is in `image` and `modules`.
fn as_package(release: &str, image: &Path, modules: &Path) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(image, format!("./boot/vmlinuz-{release}")).unwrap();
    tar.append_dir_all(format!("./lib/modules/{release}"), modules).unwrap();
    let data = tar.into_inner().unwrap();
    let mut package = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("data.tar", &data)] {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, content.len());
        package.extend_from_slice(header.as_bytes());
        package.extend_from_slice(content);
    }
    package
}

#[test]
fn a_kernel_comes_out_of_a_package_or_an_image_with_modules_alike() {
    let kernel = shared_kernel();
    let scratch = tempfile::Builder::new().prefix("boxlite-machine-kernel-").tempdir().unwrap();
    let (image, modules) = as_files(kernel, scratch.path());
    let package = scratch.path().join("kernel.deb");
    fs::write(&package, as_package(&kernel.release, &image, &modules)).unwrap();
    for (name, path, modules) in [("package", package, None), ("image", image, Some(modules))] {
        let home = Home::new(scratch.path().join(name));
        let source = KernelSource::File { path, modules };
        let installed = kernel::install(&home, &source, &Cancel::default()).unwrap();
        assert_eq!((&installed.release, &installed.modules), (&kernel.release, &kernel.modules), "{name}");
        assert_eq!(fs::read(installed.vmlinux()).unwrap(), fs::read(kernel.vmlinux()).unwrap(), "{name}");
        for module in &kernel.modules {
            let content =
                |kernel: &Kernel| fs::read(kernel.directory().join(format!("modules/{module}.ko"))).unwrap();
            assert_eq!(content(&installed), content(kernel), "{name}: {module}");
        }
        // Again, over what is there.
        kernel::install(&home, &source, &Cancel::default()).unwrap();
        assert_eq!(kernel::list(&home).unwrap().len(), 1);
    }
}

#[test]
fn what_is_no_kernel_leaves_the_home_as_it_was() {
    let scratch = tempfile::Builder::new().prefix("boxlite-machine-kernel-").tempdir().unwrap();
    let home = Home::new(scratch.path().join("home"));
    let check = |content: &[u8], code: ErrorCode, words: &str| {
        let path = scratch.path().join("file");
        fs::write(&path, content).unwrap();
        let source = KernelSource::File { path, modules: Some(scratch.path().join("nothing")) };
        let error = kernel::install(&home, &source, &Cancel::default()).unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.message().contains(words), "{error:?}");
        assert!(kernel::list(&home).unwrap().is_empty());
        let left: Vec<_> =
            fs::read_dir(home.kernels()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".lock"]);
    };
    check(b"#!/bin/sh\n", ErrorCode::InvalidArgument, "neither a boot image");
    check(b"!<arch>\nand then nothing", ErrorCode::InvalidArgument, "not a Debian package");
    // The kernel itself, whose modules are nowhere.
    check(&fs::read(shared_kernel().vmlinux()).unwrap(), ErrorCode::Unsupported, "`erofs`");
    let missing = KernelSource::File { path: scratch.path().join("none"), modules: None };
    assert_eq!(kernel::install(&home, &missing, &Cancel::default()).unwrap_err().code(), ErrorCode::Storage);
    let cancelled = Cancel::default();
    cancelled.cancel();
    let error = kernel::install(&home, &KernelSource::Distribution, &cancelled).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled);
}
