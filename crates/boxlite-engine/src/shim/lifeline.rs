//! The tie to the starter while a machine is brought up: standard input.
//!
//! A thread waits for its end. When it comes, the VMM is killed, whatever the main thread is waiting for fails, and the
//! one way of cleaning up is that of every failed start.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use boxlite_types::{Error, ErrorCode, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Signal, pidfd_send_signal};

/// Kills the VMM that is tied to it when the starter is gone.
pub(super) struct Lifeline {
    shared: Arc<Mutex<Shared>>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    cut: bool,
    vmm: Option<OwnedFd>,
}

impl Lifeline {
    /// Begins to watch standard input.
    pub fn watch() -> io::Result<Self> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (theirs, waiter) = (Arc::clone(&shared), wake.try_clone()?);
        let thread =
            std::thread::Builder::new().name("lifeline".into()).spawn(move || wait(&theirs, &waiter))?;
        Ok(Lifeline { shared, wake, thread: Some(thread) })
    }

    /// Ties a VMM to it. The one tied before has to be gone.
    ///
    /// # Errors
    /// `Cancelled` if the starter is gone already; the VMM has been killed then.
    pub fn tie(&self, vmm: BorrowedFd<'_>) -> Result<()> {
        let pidfd = vmm.try_clone_to_owned();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.cut {
            let _ = pidfd_send_signal(vmm, Signal::KILL);
            return Err(cut());
        }
        let failed =
            |error| Error::new(ErrorCode::ResourceExhausted, format!("cannot watch the VMM: {error}"));
        shared.vmm = Some(pidfd.map_err(failed)?);
        Ok(())
    }

    /// Stops watching.
    ///
    /// # Errors
    /// `Cancelled` if the starter is gone.
    pub fn end(mut self) -> Result<()> {
        self.stop();
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.cut { Err(cut()) } else { Ok(()) }
    }

    fn stop(&mut self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.stop();
    }
}

fn cut() -> Error {
    Error::new(ErrorCode::Cancelled, "whoever was starting the box is gone")
}

fn wait(shared: &Mutex<Shared>, wake: &OwnedFd) {
    let stdin = io::stdin();
    loop {
        let mut both =
            [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        match poll(&mut both, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !both[0].revents().is_empty() {
            let mut bytes = [0; 64];
            // Nothing is expected any more; whatever comes, only its end counts.
            if !matches!(rustix::io::read(stdin.as_fd(), &mut bytes), Ok(0) | Err(_)) {
                continue;
            }
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.cut = true;
            if let Some(vmm) = &shared.vmm {
                let _ = pidfd_send_signal(vmm, Signal::KILL);
            }
            return;
        }
        if !both[1].revents().is_empty() {
            return;
        }
    }
}
