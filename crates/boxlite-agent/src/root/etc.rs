//! The files of `/etc` that say which box this is.
//!
//! They are written on every start, through whatever the image has in their place as long as it ends in a plain file. What
//! cannot be written is left: an odd image starts all the same.

use std::os::fd::OwnedFd;

use boxlite_protocol::Setup;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Longer files were not written by us or by anything like us.
const MOST_BYTES: usize = 64 * 1024;

/// Length of most host names: that of the id of a box.
const USUAL_NAME_LENGTH: usize = 12;

/// Writes the names of a box into its root.
pub(crate) fn write(setup: &Setup) {
    write_all(&setup.hostname, &setup.machine_id);
}

/// Makes the files before the box is known, in their usual lengths: to fill them in later is the least work there is.
pub(crate) fn write_placeholders() {
    write_all(&"-".repeat(USUAL_NAME_LENGTH), &"0".repeat(32));
}

fn write_all(name: &str, machine_id: &str) {
    let _ = rustix::fs::mkdir("/etc", Mode::from(0o755));
    let _ = replace("/etc/hostname", &format!("{name}\n"), |_| false);
    let _ = replace("/etc/machine-id", &format!("{machine_id}\n"), |_| false);
    // What somebody has added in the box stays, as long as the box still finds itself in it.
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n127.0.1.1\t{name}\n"
    );
    let names_box =
        |content: &[u8]| content.split(|byte| byte.is_ascii_whitespace()).any(|word| word == name.as_bytes());
    let _ = replace("/etc/hosts", &hosts, names_box);
}

/// Gives a file its content, unless what it has is good already.
///
/// It is looked at without being opened for writing, and emptied by being opened: the overlay then copies nothing of the
/// image's file but its attributes, and under the emulator each kind of thing the kernel does costs milliseconds at first. So
/// what has the right length already is not emptied.
fn replace(path: &str, content: &str, good: impl Fn(&[u8]) -> bool) -> Result<(), Errno> {
    // Links stay inside the root.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let open = |flags: OFlags| -> Result<OwnedFd, Errno> {
        // With O_NONBLOCK until it is known to be a file.
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // The kernel refuses a mode for what it is not to create.
        let mode = if flags.contains(OFlags::CREATE) { Mode::from(0o644) } else { Mode::empty() };
        rustix::fs::openat2(&root, path, flags, mode, resolve)
    };
    let mut truncate = OFlags::TRUNC;
    match open(OFlags::RDONLY) {
        Ok(file) => {
            if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
                return Err(Errno::INVAL);
            }
            let mut present = vec![0; MOST_BYTES];
            let length = rustix::io::pread(&file, &mut present, 0)?;
            if present[..length] == *content.as_bytes() || good(&present[..length]) {
                return Ok(());
            }
            if length == content.len() {
                truncate = OFlags::empty();
            }
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    // Nothing of the box runs yet, so it is still the file that was looked at.
    let file = open(OFlags::WRONLY | OFlags::CREATE | truncate)?;
    let mut rest = content.as_bytes();
    while !rest.is_empty() {
        let count = rustix::io::write(&file, rest)?;
        rest = &rest[count..];
    }
    Ok(())
}
