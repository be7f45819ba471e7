//! Landlock (kernel, Documentation/userspace-api/landlock.rst): giving up access to files, for good.
//!
//! A ruleset names what stays allowed; it can be made by one thread and entered by another process that inherits it. On a
//! kernel without Landlock there is no ruleset, and whoever asks can say so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

/// Rights to files, as in `linux/landlock.h`.
pub(super) mod access {
    pub const EXECUTE: u64 = 1 << 0;
    pub const WRITE_FILE: u64 = 1 << 1;
    pub const READ_FILE: u64 = 1 << 2;
    pub const READ_DIR: u64 = 1 << 3;
    pub const REMOVE_FILE: u64 = 1 << 5;
    pub const MAKE_REG: u64 = 1 << 8;
    pub const TRUNCATE: u64 = 1 << 14;
    pub const IOCTL_DEV: u64 = 1 << 15;
    /// Those that mean something for a file that is no directory.
    pub const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
}

/// What a process is still allowed to do.
pub(super) struct Ruleset {
    fd: OwnedFd,
    handled: u64,
}

/// Whether signals and abstract sockets to processes outside are given up as well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Whole,
    FilesOnly,
}

#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr` is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

impl Ruleset {
    /// Makes a ruleset that allows nothing of what this kernel can deny; `None` if it can deny nothing.
    pub fn new(scope: Scope) -> Option<Self> {
        const GET_VERSION: u32 = 1;
        // SAFETY: asks for the version; the null pointer and zero size are what that takes.
        let version = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, GET_VERSION)
        };
        let rights = match version {
            ..=0 => return None,
            1 => 13,
            2 => 14,
            3..=4 => 15,
            _ => 16,
        };
        let handled = (1u64 << rights) - 1;
        let whole = scope == Scope::Whole;
        let attributes = RulesetAttributes {
            files: handled,
            network: if version >= 4 { 0b11 } else { 0 },
            scoped: if version >= 6 && whole { 0b11 } else { 0 },
        };
        let size = match version {
            ..=3 => 8,
            4..=5 => 16,
            _ => 24,
        };
        // SAFETY: `attributes` is at least `size` bytes long and outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0) };
        // SAFETY: a descriptor that was just made, and that nothing else owns.
        (fd >= 0).then(|| Ruleset { fd: unsafe { OwnedFd::from_raw_fd(fd as i32) }, handled })
    }

    /// Leaves `allowed` of a file, or of a directory and everything below it, as they are known to this process now.
    pub fn allow(&self, path: &Path, allowed: u64) -> io::Result<()> {
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        self.allow_open(&file, allowed)
    }

    /// As [`Ruleset::allow`], of an open file or directory.
    pub fn allow_open(&self, file: &impl AsFd, allowed: u64) -> io::Result<()> {
        const PATH_BENEATH: u32 = 1;
        let is_directory = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode).is_dir();
        let meaningful = if is_directory { u64::MAX } else { access::OF_FILES };
        let allowed = allowed & meaningful & self.handled;
        if allowed == 0 {
            return Ok(());
        }
        let rule = PathBeneath { allowed, parent: file.as_fd().as_raw_fd() };
        // SAFETY: `rule` outlives the call and is of the type the rule kind says.
        let result = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, self.fd.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Enters it, for this thread and all it starts. `no_new_privs` has to be set. Makes one system call and allocates
    /// nothing: it may be called between `fork` and `exec`.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: takes a descriptor and flags, no memory.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.fd.as_raw_fd(), 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
