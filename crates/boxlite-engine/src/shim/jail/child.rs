//! What the child does between `clone` and `exec`: system calls only, on memory made before.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use rustix::process::{
    Resource, Rlimit, Signal, fchdir, pivot_root, set_parent_process_death_signal, setrlimit,
};

use super::exchange;
use super::plan::{Plan, Step};
use super::spawn::Namespaces;

/// Descriptors the VMM may have: its channels, disks and some of QEMU's own.
const MOST_FILES: u64 = 256;

/// How far the child had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Point {
    Clone,
    UserMap,
    Tree,
    Limits,
    Death,
    Privileges,
    Landlock,
    Filter,
    Files,
    Exec,
}

impl Point {
    const ALL: [Point; 10] = [
        Point::Clone,
        Point::UserMap,
        Point::Tree,
        Point::Limits,
        Point::Death,
        Point::Privileges,
        Point::Landlock,
        Point::Filter,
        Point::Files,
        Point::Exec,
    ];

    pub fn from_number(number: i32) -> Self {
        Point::ALL.into_iter().find(|point| *point as i32 == number).unwrap_or(Point::Exec)
    }

    pub fn makes_namespaces(self) -> bool {
        matches!(self, Point::Clone | Point::UserMap | Point::Tree)
    }

    pub fn describe(self) -> &'static str {
        match self {
            Point::Clone => "making its namespaces",
            Point::UserMap => "mapping its user",
            Point::Tree => "making its mount tree",
            Point::Limits => "limiting its resources",
            Point::Death => "tying it to the shim",
            Point::Privileges => "dropping its privileges",
            Point::Landlock => "entering its landlock domain",
            Point::Filter => "keeping it from its template",
            Point::Files => "passing its descriptors",
            Point::Exec => "running it",
        }
    }
}

/// Turns the calling process into the VMM, or reports why not and ends it.
pub(super) fn become_vmm(
    plan: &Plan,
    namespaces: Namespaces,
    arguments: &[*const c_char],
    alive: BorrowedFd<'_>,
    shims_end: RawFd,
    handover: BorrowedFd<'_>,
    report: BorrowedFd<'_>,
) -> ! {
    let (point, errno) = match try_become(plan, namespaces, arguments, alive, shims_end, handover) {
        Ok(errno) => (Point::Exec, errno),
        Err(failure) => failure,
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&(point as i32).to_ne_bytes());
    bytes[4..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = rustix::io::write(report, &bytes);
    // SAFETY: ends the process at once, running none of the shim's exit code in the child.
    unsafe { libc::_exit(127) }
}

type Failure = (Point, Errno);

/// Returns only if it fails, or with the error of `execve`.
fn try_become(
    plan: &Plan,
    namespaces: Namespaces,
    arguments: &[*const c_char],
    alive: BorrowedFd<'_>,
    shims_end: RawFd,
    handover: BorrowedFd<'_>,
) -> Result<Errno, Failure> {
    let at = |point: Point| move |errno: Errno| (point, errno);
    // SAFETY: the child's own copy of the shim's end of the pipe, used by nothing in the child.
    unsafe { libc::close(shims_end) };
    if namespaces == Namespaces::Own {
        map_user(plan).map_err(at(Point::UserMap))?;
        make_tree(plan).map_err(at(Point::Tree))?;
    }
    limit_resources().map_err(at(Point::Limits))?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Point::Death))?;
    if is_closed(alive) {
        return Err((Point::Death, Errno::SRCH));
    }
    drop_privileges().map_err(at(Point::Privileges))?;
    if let Some(ruleset) = &plan.ruleset {
        ruleset
            .enter()
            .map_err(|error| (Point::Landlock, Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
    }
    if plan.template.is_some() {
        exchange::enter(handover).map_err(at(Point::Filter))?;
    }
    place_files(plan).map_err(at(Point::Files))?;
    reset_signals();
    let environment = [std::ptr::null::<c_char>()];
    // SAFETY: program, arguments and environment are null-terminated, and live in the plan.
    unsafe { libc::execve(plan.program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Ok(last_errno())
}

/// Makes the owner of the shim the one user of the namespace, under an id that is not root's: `exec` then leaves no
/// capability.
fn map_user(plan: &Plan) -> Result<(), Errno> {
    write_file(c"/proc/self/setgroups", b"deny")?;
    write_file(c"/proc/self/uid_map", plan.user_map.as_bytes())?;
    write_file(c"/proc/self/gid_map", plan.group_map.as_bytes())
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes).map(drop)
}

/// Makes a root of the plan's files alone, and enters it. The new root is stacked on the old one, so that no directory of
/// the host is needed to mount it on; absolute paths mean the old one until the very end.
fn make_tree(plan: &Plan) -> Result<(), Errno> {
    rustix::mount::mount_change(
        c"/",
        rustix::mount::MountPropagationFlags::REC | rustix::mount::MountPropagationFlags::PRIVATE,
    )?;
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"mode", c"755")?;
    fsconfig_set_string(&context, c"size", c"64k")?;
    fsconfig_create(&context)?;
    let nothing_special = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, nothing_special)?;
    move_mount(&root, c"", CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    for step in &plan.steps {
        match step {
            Step::Directory(path) => make_directory(&root, path)?,
            Step::Link { target, at } => symlinkat(target.as_c_str(), &root, at.as_c_str())?,
            Step::Bind { path, is_directory, writable } => bind(&root, path, *is_directory, *writable)?,
        }
    }
    set_read_only(&root)?;
    fchdir(&root)?;
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

fn make_directory(root: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    match mkdirat(root, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn bind(root: &OwnedFd, path: &CStr, is_directory: bool, writable: bool) -> Result<(), Errno> {
    // Every path is absolute: behind its slash it is relative to the new root.
    let inside = path.to_bytes_with_nul().get(1..).and_then(|rest| CStr::from_bytes_with_nul(rest).ok());
    let inside = inside.ok_or(Errno::INVAL)?;
    if is_directory {
        make_directory(root, inside)?;
    } else {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(root, inside, flags, Mode::from_raw_mode(0o644))?;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, path, flags)?;
    if !writable {
        set_read_only(&mount)?;
    }
    move_mount(&mount, c"", root, inside, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// As `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn set_read_only(mount: &OwnedFd) -> Result<(), Errno> {
    let set = u64::from((MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID).bits());
    let attributes = MountAttributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is an empty C string, and the attributes are of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn limit_resources() -> Result<(), Errno> {
    let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Core, both(0))?;
    setrlimit(Resource::Nofile, both(MOST_FILES))?;
    setrlimit(Resource::Memlock, both(0))?;
    setrlimit(Resource::Msgqueue, both(0))?;
    // Huge pages would be half empty: without them a box takes 2 MiB less and starts with a seventh less processor time.
    // SAFETY: takes numbers only. A kernel without huge pages refuses, which comes to the same.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    // No file grows beyond the size of a disk.
    setrlimit(Resource::Fsize, both(crate::vm::machine::DISK_BYTES))
}

fn is_closed(pipe: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pipe, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}

/// Gives up every capability, and the means to gain one: the bounding set for the user who is root, `no_new_privs`.
fn drop_privileges() -> Result<(), Errno> {
    for capability in 0..64 {
        // SAFETY: takes numbers only. Fails beyond the last capability, and for a user without CAP_SETPCAP, who has none.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    let none = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)
}

/// Puts every descriptor at its number and leaves no other open beyond `exec`. All of them were opened above every
/// number they are to get, so none takes another's place.
fn place_files(plan: &Plan) -> Result<(), Errno> {
    place(&plan.null, 0)?;
    place(&plan.null, 1)?;
    place(&plan.stderr, 2)?;
    for (file, number) in &plan.files {
        place(file, *number)?;
    }
    // Whatever lies between them is closed by `exec`.
    let mut first = 3;
    loop {
        let next = plan.files.iter().map(|(_, number)| *number).filter(|number| *number >= first).min();
        let last = next.map_or(libc::c_uint::MAX, |number| number as libc::c_uint - 1);
        if first as libc::c_uint <= last {
            // SAFETY: only marks descriptors; the child uses none but those it knows of.
            let result = unsafe {
                libc::close_range(first as libc::c_uint, last, libc::CLOSE_RANGE_CLOEXEC as libc::c_int)
            };
            if result != 0 {
                return Err(last_errno());
            }
        }
        match next {
            Some(number) => first = number + 1,
            None => return Ok(()),
        }
    }
}

fn place(file: &OwnedFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: takes numbers only; what `number` was before is the child's to give up.
    if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Undoes what the shim has done to signals.
fn reset_signals() {
    // SAFETY: an empty set is made before it is used; resetting to the default handlers touches no memory.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGHUP, libc::SIG_DFL);
    }
}

pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
