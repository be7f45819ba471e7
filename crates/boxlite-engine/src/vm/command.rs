//! The command line of QEMU, as data.
//!
//! Template and restored machine must see the very same devices in the same order, so there is one function that lists
//! them and only the memory differs. Everything QEMU needs besides plain files (control, agent and image channels) is an
//! inherited descriptor: it never has to open a socket, and the jail can take networking away whole.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use boxlite_types::{Context, Error, ErrorCode, Result};

use super::machine::{AGENT_PORT, Accelerator, DISK_SERIAL, IMAGE_SERIAL, MachineSpec, Memory};
use super::snapshot::MEMORY_FILE;

/// Descriptor numbers in the child. Far from the standard three, and the same for every machine.
const QMP_FD: RawFd = 60;
const AGENT_FD: RawFd = 61;
const IMAGE_FD: RawFd = 62;
const DISK_FD: RawFd = 63;

/// Name of the node that is the box's disk, whatever file is behind it.
pub(super) const DISK_NODE: &str = "disk";

/// Number of QEMU's set of descriptors that holds the file of the box's disk.
pub(super) const DISK_SET: u32 = 1;

/// A VMM that can be started, and what a jail around it must leave it.
#[derive(Debug)]
pub struct VmmCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, without the program.
    pub arguments: Vec<OsString>,
    /// Descriptors it inherits, each with its number in the child. It inherits no other but 0, 1 and 2.
    pub files: Vec<(OwnedFd, RawFd)>,
    /// Files and directories it reads, besides its own program and libraries.
    pub readable: Vec<PathBuf>,
    /// Files it writes.
    pub writable: Vec<PathBuf>,
    /// Files it opens for reading and writing but maps privately and never writes. A VMM that was taken over could: a
    /// jail should hand it a read-only descriptor in place of the one it asks for, and must at least not share them with
    /// anything that is trusted more than the guest.
    pub copy_on_write: Vec<PathBuf>,
}

/// Our ends of the channels of a VMM.
#[derive(Debug)]
pub struct MachineChannels {
    /// Control.
    pub qmp: UnixStream,
    /// Bytes to and from the agent.
    pub agent: UnixStream,
    /// Where QEMU speaks NBD as a client, for the image's disk. It does so before anything else: serve it at once.
    pub image: UnixStream,
}

/// Says how to start `spec` with the box disk `disk`, and makes its channels.
///
/// # Errors
/// `ResourceExhausted` if there are no descriptors left, `InvalidArgument` for a path that QEMU's option syntax cannot
/// carry; `Storage` if the disk cannot be opened.
pub fn vmm_command(
    spec: &MachineSpec,
    disk: &Path,
    memory: &Memory,
) -> Result<(VmmCommand, MachineChannels)> {
    let (qmp, qmp_child) = channel()?;
    let (agent, agent_child) = channel()?;
    let (image, image_child) = channel()?;
    let files: Vec<(OwnedFd, RawFd)> = vec![
        (qmp_child.into(), QMP_FD),
        (agent_child.into(), AGENT_FD),
        (image_child.into(), IMAGE_FD),
        (open_disk(disk)?.into(), DISK_FD),
    ];
    let mut readable = vec![spec.kernel.clone(), spec.initramfs.clone()];
    readable.extend(firmware_directories(&spec.qemu));
    let (mut writable, mut copy_on_write) = (Vec::new(), Vec::new());
    match memory {
        Memory::Fresh => {}
        Memory::Recorded(file) | Memory::Continued { memory: file, .. } => writable.push(file.clone()),
        Memory::Restored(template) => copy_on_write.push(template.join(MEMORY_FILE)),
    }
    if spec.accelerator == Accelerator::Kvm {
        writable.push(PathBuf::from("/dev/kvm"));
    }
    let arguments = arguments(spec, memory)?;
    let program = spec.qemu.clone();
    let command = VmmCommand { program, arguments, files, readable, writable, copy_on_write };
    Ok((command, MachineChannels { qmp, agent, image }))
}

/// Returns the arguments of QEMU: all that a saved state depends on, besides the files they name.
///
/// # Errors
/// `InvalidArgument` for a path that QEMU's option syntax cannot carry.
pub(super) fn arguments(spec: &MachineSpec, memory: &Memory) -> Result<Vec<OsString>> {
    let mut arguments = Arguments::default();
    arguments.flag("-nodefaults").flag("-no-user-config").flag("-no-reboot");
    arguments.pair("-display", "none").pair("-name", "boxlite");
    arguments.pair("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");

    // With a 6.1 kernel, acpi=off finds no virtio-mmio devices, and without rtc and pic the boot is slow and flaky.
    let mut machine = String::from("microvm,acpi=on,rtc=on,pit=on,pic=on,isa-serial=off");
    match memory {
        Memory::Fresh => {}
        Memory::Recorded(file) => {
            machine.push_str(",memory-backend=memory");
            arguments.pair("-object", memory_object(spec, file, "on")?);
        }
        Memory::Restored(template) => {
            machine.push_str(",memory-backend=memory");
            arguments.pair("-object", memory_object(spec, &template.join(MEMORY_FILE), "off")?);
            arguments.pair("-incoming", "defer");
        }
        Memory::Continued { memory, .. } => {
            machine.push_str(",memory-backend=memory");
            arguments.pair("-object", memory_object(spec, memory, "on")?);
            arguments.pair("-incoming", "defer");
        }
    }
    arguments.pair("-M", machine);
    match spec.accelerator {
        // One translator thread per processor only pays when there are several of them.
        Accelerator::Tcg if spec.cpus == 1 => arguments.pair("-accel", "tcg,thread=single"),
        Accelerator::Tcg => arguments.pair("-accel", "tcg,thread=multi"),
        Accelerator::Kvm => arguments.pair("-accel", "kvm"),
    };
    arguments.pair("-cpu", spec.accelerator.cpu_model());
    arguments.pair("-smp", spec.cpus.to_string()).pair("-m", format!("{}M", spec.memory_mib));
    // These take a path as it stands.
    arguments.pair("-kernel", &spec.kernel).pair("-initrd", &spec.initramfs);
    arguments.pair("-append", kernel_parameters(spec));

    arguments.pair("-chardev", format!("socket,id=qmp,fd={QMP_FD}"));
    arguments.pair("-mon", "chardev=qmp,mode=control");
    arguments.pair("-chardev", format!("socket,id=agent,fd={AGENT_FD}"));
    arguments.pair("-device", "virtio-serial-device,max_ports=2");
    arguments.pair("-device", format!("virtserialport,chardev=agent,name={AGENT_PORT}"));
    arguments.pair(
        "-blockdev",
        format!("driver=nbd,node-name=image,read-only=on,server.type=fd,server.str={IMAGE_FD}"),
    );
    arguments.pair("-device", format!("virtio-blk-device,drive=image,serial={IMAGE_SERIAL}"));
    // A box's disk is its own scratch space: a host that loses power loses the machine as well, so the page cache of
    // the host is as good as the disk, except for a guest that asks for a flush.
    arguments.pair("-add-fd", format!("fd={DISK_FD},set={DISK_SET}"));
    arguments.pair(
        "-blockdev",
        format!(
            "driver=raw,node-name={DISK_NODE},discard=unmap,file.driver=file,file.filename=/dev/fdset/{DISK_SET}"
        ),
    );
    arguments.pair("-device", format!("virtio-blk-device,drive={DISK_NODE},serial={DISK_SERIAL}"));
    Ok(arguments.0)
}

/// Opens the disk of a box for QEMU, which itself can open no file that is written.
pub(super) fn open_disk(disk: &Path) -> Result<File> {
    File::options().read(true).write(true).open(disk).map_err(|source| Error::io("open", disk, source))
}

/// Parameters of the guest's kernel. The first make it quiet and its death final; the others each took a measurable part of
/// the boot, or made it hang now and then. `tsc=reliable` keeps the kernel from checking the counter against its timer ticks:
/// on a loaded host they come late, and it would fall back to a clock that moves in steps of 4 ms, for good.
/// The second line is code that a first command would run through for nothing, and the emulator would have to translate:
/// accounting nobody reads, and security modules without a policy.
fn kernel_parameters(spec: &MachineSpec) -> String {
    format!(
        "quiet loglevel=0 panic=-1 reboot=t mitigations=off random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=0 \
         lsm=landlock psi=0 noautogroup cgroup.memory=nokmem,nosocket \
         nokaslr tsc=reliable tsc_early_khz={}",
        spec.tsc_khz
    )
}

/// Where QEMU looks for its firmware: beside the program it came with, and where Debian keeps SeaBIOS.
fn firmware_directories(qemu: &Path) -> Vec<PathBuf> {
    let prefix = qemu.parent().and_then(Path::parent).unwrap_or(Path::new("/usr"));
    ["share/qemu", "share/seabios"]
        .iter()
        .map(|part| prefix.join(part))
        .filter(|path| path.is_dir())
        .collect()
}

fn memory_object(spec: &MachineSpec, file: &Path, share: &str) -> Result<OsString> {
    let mut value = OsString::from(format!(
        "memory-backend-file,id=memory,size={}M,share={share},mem-path=",
        spec.memory_mib
    ));
    value.push(escaped(file)?);
    Ok(value)
}

/// A connected pair of sockets: our end, the child's end.
fn channel() -> Result<(UnixStream, UnixStream)> {
    UnixStream::pair().map_err(|source| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot make a channel to the VMM: {source}"))
            .caused_by(source)
    })
}

/// A path as a value in QEMU's option syntax, where a comma is written twice.
fn escaped(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, format!("`{}` is not UTF-8", path.display()))
            .with(Context::Path, path.display().to_string())
            .hint("QEMU cannot be told such a path; choose a home directory with a plain name")
    })?;
    Ok(text.replace(',', ",,"))
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.into());
        self
    }

    fn pair(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(option.into());
        self.0.push(value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn text(memory: &Memory) -> Vec<String> {
        let arguments = arguments(&MachineSpec::example(), memory).unwrap();
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_restored_machine_differs_from_its_template_in_nothing_but_its_memory() {
        let recorded = text(&Memory::Recorded("/templates/t/memory".into()));
        let restored = text(&Memory::Restored("/templates/t".into()));
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|argument| !others.contains(argument)).cloned().collect()
        };
        let memory = |share: &str| {
            format!("memory-backend-file,id=memory,size=128M,share={share},mem-path=/templates/t/memory")
        };
        assert_eq!(only(&recorded, &restored), [memory("on")]);
        assert_eq!(only(&restored, &recorded), [memory("off"), "-incoming".into(), "defer".into()]);
    }

    #[test]
    fn a_restored_machine_may_write_its_own_disk_and_nothing_of_its_template() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        let restored = Memory::Restored("/templates/t".into());
        let (command, _channels) = vmm_command(&MachineSpec::example(), disk.path(), &restored).unwrap();
        assert!(command.writable.is_empty(), "{:?}", command.writable);
        assert_eq!(command.copy_on_write, [Path::new("/templates/t/memory")]);
        assert!(command.readable.contains(&"/home/kernels/6.1/vmlinux".into()));
        assert_eq!(command.files.len(), 4);
    }

    #[test]
    fn paths_survive_the_option_syntax_or_are_refused() {
        let check = |path: &[u8], expect: Option<&str>| {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            let found = arguments(&MachineSpec::example(), &Memory::Recorded(path));
            match expect {
                Some(filename) => assert!(found.unwrap().iter().any(|argument| {
                    argument.to_str().is_some_and(|text| text.ends_with(&format!("mem-path={filename}")))
                })),
                None => assert_eq!(found.unwrap_err().code(), ErrorCode::InvalidArgument),
            }
        };
        check(b"/a/memory", Some("/a/memory"));
        check(b"/a, b/memory=1", Some("/a,, b/memory=1"));
        check(b"/\xff/memory", None);
    }
}
