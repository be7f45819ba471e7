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

pub(super) fn write(setup: &Setup) {
    let _ = rustix::fs::mkdir("/etc", Mode::from(0o755));
    let name = &setup.hostname;
    let _ = replace("/etc/hostname", &format!("{name}\n"), |_| false);
    let _ = replace("/etc/machine-id", &format!("{}\n", setup.machine_id), |_| false);
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
fn replace(path: &str, content: &str, good: impl Fn(&[u8]) -> bool) -> Result<(), Errno> {
    // Without O_TRUNC and with O_NONBLOCK until it is known to be a file; links stay inside the root.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let file: OwnedFd = rustix::fs::openat2(&root, path, flags, Mode::from(0o644), resolve)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut present = vec![0; MOST_BYTES];
    let length = rustix::io::pread(&file, &mut present, 0)?;
    if present[..length] == *content.as_bytes() || good(&present[..length]) {
        return Ok(());
    }
    let mut rest = content.as_bytes();
    let mut offset = 0;
    while !rest.is_empty() {
        let count = rustix::io::pwrite(&file, rest, offset)?;
        offset += count as u64;
        rest = &rest[count..];
    }
    if length > content.len() { rustix::fs::ftruncate(&file, offset) } else { Ok(()) }
}
