//! Hardware virtualisation, proven on hosts that have none: the translator emulates a processor with it, so a box whose kernel
//! has the `kvm` modules is such a host, and machines are run inside.
//!
//! The inner half is a test of this same program, run in the box; it is ignored outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use boxlite_engine::vm::accelerator::{self, Verdict};
use boxlite_engine::vm::durable::Cancel;
use boxlite_engine::vm::machine::DISK_BYTES;
use boxlite_engine::vm::{Accelerator, MachineSpec, PlainSpawn, boot, kernel, qemu, template, tsc};
use boxlite_engine::{Engine, StartRequest};
use boxlite_protocol::Exec;
use boxlite_types::{Digest, DiskExtent, DiskLayout, Home, Resources};

use crate::common::{self, vm::VmBox};
use crate::{blank, shared_kernel};

/// What the inner half needs, at the same paths in the box.
const INNER_HOME: &str = "/nested/home";
const INNER_AGENT: &str = "/nested/agent";
const INNER_TEST: &str = "/nested/test";

/// Modules that make a kernel a host of machines, in load order; on the emulated processor it is AMD's kind.
const MODULES: [&str; 3] = ["irqbypass", "kvm", "kvm-amd"];

/// Generous: an emulated processor that emulates a processor, on a host that does other things as well.
const NESTED_PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn machines_run_on_hardware_virtualisation() {
    let scratch = tempfile::Builder::new().prefix("boxlite-machine-nested-").tempdir().unwrap();
    let image = image_of_a_host(scratch.path());
    let length = fs::metadata(&image).unwrap().len().next_multiple_of(4096);
    let extent = DiskExtent { path: image, file_offset: 0, disk_offset: 0, length };
    let vm_box = VmBox::new();
    let request = StartRequest {
        root: DiskLayout { size_bytes: length, extents: vec![extent] },
        resources: Resources { cpus: 1, memory_mib: 2048, disk_mib: 1024 },
        ..vm_box.request(false)
    };
    let session = common::vm::engine().start(request, std::sync::Arc::new(|_, _| {})).await.unwrap();
    let script = format!(
        "set -e\n\
         for module in {}; do /bin/busybox insmod /nested/$module.ko; done\n\
         minor=$(/bin/busybox grep kvm /proc/misc); /bin/busybox mknod /dev/kvm c 10 ${{minor% kvm}}\n\
         exec {INNER_TEST} --exact nested::inside --ignored --nocapture 2>&1",
        MODULES.join(" ")
    );
    let exec = Exec {
        argv: ["/bin/busybox", "sh", "-c", &script].map(|part| part.as_bytes().to_vec()).to_vec(),
        ..common::shell("")
    };
    let mut process = session.exec(exec).await.unwrap();
    let mut output = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut process.stdout, &mut output);
    tokio::time::timeout(NESTED_PATIENCE, read).await.expect("it hangs").unwrap();
    let output = String::from_utf8_lossy(&output);
    println!("{output}");
    assert!(output.contains("1 passed; 0 failed"), "{output}");
    assert!(process.wait().await.unwrap().success());
}

#[test]
#[ignore = "the inner half of `machines_run_on_hardware_virtualisation`, which runs it inside a machine"]
fn inside() {
    let cancel = Cancel::default();
    let home = Home::new(INNER_HOME);
    let emulator = qemu::find(&home, None, &cancel).unwrap();
    let kernel = kernel::find(&home, None).unwrap().unwrap();
    let spec = MachineSpec {
        qemu: emulator.program,
        accelerator: Accelerator::Kvm,
        kernel: kernel.vmlinux(),
        initramfs: kernel.initramfs(Path::new(INNER_AGENT), &Digest::from_bytes([1; 32])).unwrap(),
        kernel_release: kernel.release.clone(),
        tsc_khz: tsc::frequency_khz(&home, &cancel).unwrap(),
        cpus: 1,
        memory_mib: 128,
        template: None,
    };
    let known = || accelerator::known(&home, &kernel.release, &emulator.version);
    assert_eq!(known(), Verdict::Unknown);
    accelerator::probe(&home, &spec, &emulator.version, NESTED_PATIENCE, &PlainSpawn, &blank::serve).unwrap();
    assert_eq!(known(), Verdict::Usable);

    let directory = template::directory(&home, &spec, &emulator.version).unwrap();
    template::make(&directory, &spec, &emulator.version, &PlainSpawn, &blank::serve).unwrap();
    let disk = home.root().join("disk");
    fs::File::create(&disk).unwrap().set_len(DISK_BYTES).unwrap();
    let began = Instant::now();
    let machine = boot::restore(&spec, &directory, &disk, &PlainSpawn, &blank::serve).unwrap();
    println!("restored inside a machine in {:?}", began.elapsed());
    assert!(machine.from_template);
}

/// Makes an image with QEMU, this program, a kernel and all they need.
fn image_of_a_host(scratch: &Path) -> PathBuf {
    let tree = scratch.join("tree");
    let put = |from: &Path, to: &Path| {
        let to = tree.join(to.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    let emulator = qemu::find(&common::vm::home(), None, &Cancel::default()).unwrap().program;
    let itself = std::env::current_exe().unwrap();
    put(&emulator, Path::new("/usr/bin").join(emulator.file_name().unwrap()).as_path());
    put(&itself, Path::new(INNER_TEST));
    put(common::agent(), Path::new(INNER_AGENT));
    put(Path::new("/bin/busybox"), Path::new("/bin/busybox"));
    for program in [&emulator, &itself] {
        let listed = Command::new("ldd").arg(program).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            put(Path::new(library), Path::new(library));
        }
    }
    for file in
        ["qemu/bios-microvm.bin", "qemu/pvh.bin", "qemu/linuxboot_dma.bin", "seabios/bios-microvm.bin"]
    {
        let path = Path::new("/usr/share").join(file);
        if path.exists() {
            put(&path, &path);
        }
    }
    let kernel = shared_kernel();
    let inner = Path::new(INNER_HOME).join("kernels").join(&kernel.release);
    for name in ["kernel.json", "vmlinux"] {
        put(&kernel.directory().join(name), &inner.join(name));
    }
    for module in fs::read_dir(kernel.directory().join("modules")).unwrap() {
        let module = module.unwrap();
        put(&module.path(), &inner.join("modules").join(module.file_name()));
    }
    fetch_modules(&kernel.release, scratch, &tree.join("nested"));
    let image = scratch.join("host.erofs");
    let made = Command::new("mkfs.erofs").arg("--quiet").arg(&image).arg(&tree).status();
    assert!(made.expect("erofs-utils is installed").success());
    image
}

/// Takes the modules a home does not keep out of the kernel's package.
fn fetch_modules(release: &str, scratch: &Path, destination: &Path) {
    let run = |command: &mut Command| {
        let output = command.current_dir(scratch).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new("apt-get").args(["-q", "download"]).arg(format!("linux-image-{release}")));
    run(Command::new("sh").args([
        "-c",
        "dpkg-deb --fsys-tarfile linux-image-*.deb | tar x --wildcards '*/kvm*.ko' '*/irqbypass.ko'",
    ]));
    let mut waiting = vec![scratch.join("lib")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else if MODULES.iter().any(|module| name == format!("{module}.ko")) {
                fs::copy(entry.path(), destination.join(&name)).unwrap();
            }
        }
    }
}
