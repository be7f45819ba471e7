//! Machines with nothing of BoxLite around them: no jail, no shim, no image, and for the port no protocol either. What they
//! take is the emulator's own, the floor under our figures.
//!
//! They are the machines of a home: the same kernel, command line and template; only the image's disk is an empty file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boxlite_engine::vm::machine::DISK_BYTES;
use boxlite_engine::vm::{
    MachineSpec, Memory, PlainSpawn, Spawn, VmmCommand, VmmProcess, boot, kernel, vmm_command,
};
use boxlite_types::{Home, Result};

/// The machine whose template a home has, to be run bare.
pub struct BareMachine {
    spec: MachineSpec,
    template: PathBuf,
    modules: Vec<(String, Vec<u8>)>,
    scratch: PathBuf,
}

impl BareMachine {
    /// Takes the machine of the one template in `home`; what it needs besides is put into `scratch`.
    ///
    /// # Panics
    /// If the home has no kernel or no template.
    pub fn of_home(home: &Path, scratch: &Path) -> Self {
        let home = Home::new(home);
        let kernel = kernel::find(&home, None).expect("a kernel can be looked for").expect("there is one");
        let module = |name: &String| {
            let path = kernel.directory().join(format!("modules/{name}.ko"));
            (name.clone(), std::fs::read(path).expect("a module"))
        };
        let template = templates(&home).pop().expect("the home has a template");
        let description = std::fs::read(template.join("meta.json")).expect("a template is described");
        let mut description: serde_json::Value = serde_json::from_slice(&description).expect("JSON");
        for disk in ["image", "disk"] {
            let file = File::create(scratch.join(disk)).expect("a file in the scratch directory");
            file.set_len(DISK_BYTES).expect("a sparse file");
        }
        BareMachine {
            spec: serde_json::from_value(description["spec"].take()).expect("the machine of a template"),
            modules: kernel.modules.iter().map(module).collect(),
            template,
            scratch: scratch.to_owned(),
        }
    }

    /// Restores it from the template: from spawning the emulator to the agent's answer.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn restore(&self) -> Duration {
        let disk = self.scratch.join("disk");
        let machine = boot::restore(&self.spec, &self.template, &disk, self, &|_| Ok(()));
        machine.expect("restored").timings.answered
    }

    /// Boots it cold: from spawning the emulator to the agent's answer.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn boot_cold(&self) -> Duration {
        let disk = self.scratch.join("disk");
        let machine = boot::cold_boot(&self.spec, &disk, &Memory::Fresh, self, &|_| Ok(()));
        machine.expect("booted").timings.answered
    }

    /// Boots it with a guest that does nothing but write `size_bytes` to its port, 64 KiB at a time, and returns how long they
    /// took, from the first byte to the last.
    ///
    /// # Panics
    /// If anything else than that comes.
    pub fn read_port(&self, size_bytes: usize) -> Duration {
        let initramfs = self.scratch.join("writer.cpio");
        std::fs::write(&initramfs, self.writer(size_bytes >> 16)).expect("written");
        let spec = MachineSpec { initramfs, ..self.spec.clone() };
        let (command, mut channels) =
            vmm_command(&spec, &self.scratch.join("disk"), &Memory::Fresh).expect("a command");
        let machine = self.spawn(command).expect("started");
        let mut buffer = vec![0; 1 << 20];
        let mut received = channels.agent.read(&mut buffer).expect("the port can be read");
        let start = Instant::now();
        while received < size_bytes {
            match channels.agent.read(&mut buffer).expect("the port can be read") {
                0 => panic!("the guest ended after {received} bytes"),
                length => received += length,
            }
        }
        let elapsed = start.elapsed();
        drop(machine);
        elapsed
    }

    /// An initial file system that writes `pieces` pieces to the port.
    fn writer(&self, pieces: usize) -> Vec<u8> {
        let mut script = String::from("#!/busybox sh\n/busybox mount -t devtmpfs dev /dev\n");
        self.modules.iter().for_each(|(name, _)| script.push_str(&format!("/busybox insmod /{name}.ko\n")));
        script.push_str(&format!(
            "until [ -e /dev/vport0p1 ]; do :; done\n\
             /busybox dd if=/dev/zero of=/dev/vport0p1 bs=64k count={pieces}\nexec /busybox sleep 600\n"
        ));
        let busybox = std::fs::read("/bin/busybox").expect("a static busybox is installed");
        let mut archive = Vec::new();
        append(&mut archive, "dev", 0o040_755, &[]);
        append(&mut archive, "busybox", 0o100_755, &busybox);
        append(&mut archive, "init", 0o100_755, script.as_bytes());
        self.modules
            .iter()
            .for_each(|(name, code)| append(&mut archive, &format!("{name}.ko"), 0o100_644, code));
        append(&mut archive, "TRAILER!!!", 0, &[]);
        archive
    }
}

/// Shows the machine an empty file where the shim would serve the image.
impl Spawn for BareMachine {
    fn spawn(&self, mut command: VmmCommand) -> Result<VmmProcess> {
        let empty = format!(
            "driver=raw,node-name=image,read-only=on,file.driver=file,file.filename={}",
            self.scratch.join("image").display()
        );
        for argument in &mut command.arguments {
            if argument.to_str().is_some_and(|text| text.starts_with("driver=nbd,node-name=image")) {
                *argument = empty.clone().into();
            }
        }
        PlainSpawn.spawn(command)
    }
}

fn templates(home: &Home) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.templates()).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join("meta.json").exists()).collect()
}

/// Removes the templates of a home, and what it remembers of images that were started.
///
/// # Panics
/// If something cannot be removed.
pub fn forget_templates(home: &Path) {
    let home = Home::new(home);
    templates(&home).iter().for_each(|template| std::fs::remove_dir_all(template).expect("removed"));
    for entry in std::fs::read_dir(home.templates()).expect("read").flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "seen") {
            std::fs::remove_file(entry.path()).expect("removed");
        }
    }
}

/// Appends an entry in cpio's `newc` format (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel).
fn append(archive: &mut Vec<u8>, name: &str, mode: usize, content: &[u8]) {
    let name_length = name.len() + 1;
    // Inode, mode, uid, gid, links, time, size, device of the file (two), device it is (two), name, checksum.
    let fields = [archive.len(), mode, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name_length, 0];
    archive.extend_from_slice(b"070701");
    fields.iter().for_each(|field| archive.extend_from_slice(format!("{field:08X}").as_bytes()));
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}
