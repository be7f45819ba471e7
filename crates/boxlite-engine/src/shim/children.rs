//! The shims this process has started, until they have been collected.
//!
//! The library installs no signal handler, so nobody tells it of a child's end but the child's pidfd: a task waits for it
//! while there is an async runtime. What is left is collected when the next shim is started, and at the end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::identity::{wait_readable, waitable};

/// Time that shims which are about to end get to do so when their collector is dropped.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// Collects ended shims.
#[derive(Default)]
pub(crate) struct Children {
    running: Mutex<Vec<Child>>,
}

impl Children {
    /// Takes charge of a child. To be called within an async runtime.
    pub fn adopt(self: &Arc<Self>, child: Child) {
        let pidfd = watch(&child);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        // Without a pidfd (no descriptors left) the child is collected at the next sweep.
        let Ok(pidfd) = pidfd.and_then(waitable) else { return };
        let children = Arc::downgrade(self);
        tokio::spawn(async move {
            let _ = pidfd.readable().await;
            if let Some(children) = children.upgrade() {
                children.sweep();
            }
        });
    }

    /// Collects those that have ended.
    pub fn sweep(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_WAIT;
        for child in self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            if let Ok(pidfd) = watch(child)
                && wait_readable(pidfd.as_fd(), deadline.saturating_duration_since(Instant::now()))
            {
                let _ = child.try_wait();
            }
        }
    }
}

fn watch(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
