//! Keeps a template out of reach of the machines that are restored from it.
//!
//! QEMU opens the file behind a machine's memory for reading and writing even where it only maps it privately (before
//! version 8.2 there is no way to tell it not to). A VMM that was broken into could then write what every later box
//! starts from. So the file lies read-only in the jail, and the one system call that asks for more is answered with a
//! read-only descriptor: a seccomp filter hands `openat` with the flags `O_RDWR` alone, which QEMU uses for nothing else,
//! to a thread of the shim (seccomp_unotify(2)). What is handed out can do no harm to anybody, so it does not matter who
//! in the VMM asks, or for which path.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Requests of `linux/seccomp.h`.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const ANSWER: libc::c_ulong = 0xc018_2101;
const ADD_FILE: libc::c_ulong = 0x4018_2103;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const THIRD_ARGUMENT: u32 = 32;

/// Returns whether this kernel can do it.
pub(super) fn is_possible() -> bool {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: asks about an action, which outlives the call.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Enters the filter and sends its listener to the shim. Runs in the child: system calls only.
pub(super) fn enter(shim: BorrowedFd<'_>) -> Result<(), Errno> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Jumps over `skip` instructions unless the accumulator is `k`.
    let unless = |k: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut program = [
        statement(load, ARCH),
        unless(ARCHITECTURE, 5),
        statement(load, NUMBER),
        unless(libc::SYS_openat as u32, 3),
        statement(load, THIRD_ARGUMENT),
        unless(libc::O_RDWR as u32, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program and what it points to outlive the call, which copies them.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(super::child::last_errno());
    }
    // SAFETY: a descriptor just made, which nothing else owns.
    let listener = unsafe { OwnedFd::from_raw_fd(listener as RawFd) };
    let files = [std::os::fd::AsFd::as_fd(&listener)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(shim, &[std::io::IoSlice::new(b"l")], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Takes what a child has sent with [`enter`]; it has become the VMM since, so it is there.
pub(super) fn take_listener(child: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    recvmsg(child, &mut [std::io::IoSliceMut::new(&mut byte)], &mut control, flags).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    })
}

/// Answers every such call of the VMM with a copy of `template`, on a thread of its own, until the VMM is gone.
pub(super) fn answer_all(listener: OwnedFd, template: OwnedFd) -> std::io::Result<()> {
    let answer = move || {
        crate::shim::confine::to_nothing();
        while wait(&listener) {
            answer_next(&listener, &template);
        }
    };
    std::thread::Builder::new().name("template".into()).spawn(answer).map(drop)
}

/// Waits for a call; false when nobody is left to make one.
fn wait(listener: &OwnedFd) -> bool {
    loop {
        let mut polled = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) if polled[0].revents().contains(PollFlags::IN) => return true,
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

fn answer_next(listener: &OwnedFd, template: &OwnedFd) {
    // SAFETY: the three structs are plain data, for which zero is valid; the kernel wants the first one zeroed. Each
    // request is made with the struct it is defined for.
    unsafe {
        let mut call: libc::seccomp_notif = std::mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), RECEIVE as _, &raw mut call) != 0 {
            return;
        }
        let mut file: libc::seccomp_notif_addfd = std::mem::zeroed();
        file.id = call.id;
        file.srcfd = template.as_raw_fd() as u32;
        file.newfd_flags = libc::O_CLOEXEC as u32;
        let number = libc::ioctl(listener.as_raw_fd(), ADD_FILE as _, &raw mut file);
        let mut answer: libc::seccomp_notif_resp = std::mem::zeroed();
        answer.id = call.id;
        if number >= 0 {
            answer.val = number.into();
        } else {
            answer.error = -libc::EACCES;
        }
        // Fails if the caller was killed meanwhile.
        libc::ioctl(listener.as_raw_fd(), ANSWER as _, &raw mut answer);
    }
}
