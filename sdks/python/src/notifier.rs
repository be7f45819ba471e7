//! How operations tell an event loop that they can go on: a socket that becomes readable.
//!
//! A loop watches the file descriptor, and calls [`Notifier::drain`] when it can be read. So a loop that is closed is never
//! called into: nobody reads the socket any more, and that is all.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::bound::ProcessBound;
use crate::exit::detached;
use crate::task::Task;

/// Collects the operations of one event loop that can go on.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Notifier {
    inbox: ProcessBound<Arc<Inbox>>,
}

/// The side of a notifier that any thread may use.
pub struct Inbox {
    ready: Mutex<Vec<(u64, Arc<Task>)>>,
    sender: UnixStream,
    receiver: UnixStream,
}

impl Inbox {
    /// Notes that `task`, which the loop knows as `key`, has to be polled.
    pub fn push(&self, key: u64, task: Arc<Task>) {
        let mut ready = self.ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ready.push((key, task));
        let first = ready.len() == 1;
        drop(ready);
        if first {
            // A socket that takes no more is readable already.
            let _ = (&self.sender).write(&[1]);
        }
    }

    /// Polls whatever has to be polled. Returns the keys of those that have something for Python now.
    fn drain(&self) -> Vec<u64> {
        let mut bytes = [0; 64];
        while matches!((&self.receiver).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        // After the reading: what is noted from here on makes the socket readable again.
        let ready = std::mem::take(&mut *self.ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        ready.into_iter().filter(|(_, task)| task.poll() || task.has_progress()).map(|(key, _)| key).collect()
    }
}

#[pymethods]
impl Notifier {
    #[new]
    fn new() -> PyResult<Self> {
        let pair = UnixStream::pair().and_then(|(sender, receiver)| {
            sender.set_nonblocking(true)?;
            receiver.set_nonblocking(true)?;
            Ok((sender, receiver))
        });
        let (sender, receiver) = pair.map_err(|error| PyOSError::new_err(error.to_string()))?;
        let inbox = Inbox { ready: Mutex::default(), sender, receiver };
        Ok(Notifier { inbox: ProcessBound::new(Arc::new(inbox)) })
    }

    /// Returns the file descriptor to watch; -1 in a forked child, where it is the parent's to read.
    fn fileno(&self) -> i32 {
        self.inbox.get().map_or(-1, |inbox| inbox.receiver.as_raw_fd())
    }

    /// Lets operations go on; returns the keys of those that are over or have progress to tell.
    fn drain(&self, py: Python<'_>) -> Vec<u64> {
        self.inbox.get().map_or_else(|_| Vec::new(), |inbox| detached(py, || inbox.drain()))
    }
}

impl Notifier {
    pub fn inbox(&self) -> Option<Arc<Inbox>> {
        self.inbox.get().ok().cloned()
    }
}
