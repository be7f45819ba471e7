//! Work that may block, on threads of its own: archives, look-ups, measuring.
//!
//! A job gets pipes like a command's, so that flow control and cancellation are the same for both, and tells its progress
//! over a queue that wakes the main loop.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use boxlite_protocol::{Answer, Outcome};
use boxlite_types::{Error, ErrorCode, Result};
use rustix::event::EventfdFlags;

use crate::failure::failed;
use crate::stream::Serial;

/// Threads at a time.
const MOST_JOBS: usize = 64;

const STACK_BYTES: usize = 512 * 1024;

/// The jobs that run.
pub(crate) struct Jobs {
    shared: Arc<Shared>,
    running: usize,
}

struct Shared {
    wake: OwnedFd,
    said: Mutex<Vec<(Serial, Said)>>,
}

/// What a job tells.
pub(crate) enum Said {
    /// What was asked for has begun.
    Begun,
    Over(Outcome),
}

/// A job's way to tell that it has begun.
pub(crate) struct Teller {
    shared: Arc<Shared>,
    serial: Serial,
}

impl Teller {
    pub(crate) fn begun(&self) {
        self.tell(Said::Begun);
    }

    fn tell(&self, said: Said) {
        self.shared.said.lock().unwrap_or_else(|broken| broken.into_inner()).push((self.serial, said));
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }
}

impl Jobs {
    pub(crate) fn new() -> Result<Jobs> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| failed("make an event descriptor", errno))?;
        Ok(Jobs { shared: Arc::new(Shared { wake, said: Mutex::default() }), running: 0 })
    }

    /// Becomes readable when a job has told something.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// Starts a job.
    pub(crate) fn start(
        &mut self,
        serial: Serial,
        work: impl FnOnce(&Teller) -> Result<Answer> + Send + 'static,
    ) -> Result<()> {
        let no_room = |why: String| {
            Error::new(
                ErrorCode::ResourceExhausted,
                format!("the box cannot do more file work at a time: {why}"),
            )
        };
        if self.running >= MOST_JOBS {
            return Err(no_room(format!("{MOST_JOBS} requests are being served")));
        }
        let teller = Teller { shared: self.shared.clone(), serial };
        let body = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&teller)))
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the agent failed at its work")));
            teller.tell(Said::Over(outcome.map_err(|error| (&error).into())));
        };
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn(body)
            .map_err(|error| no_room(error.to_string()))?;
        self.running += 1;
        Ok(())
    }

    /// Takes what jobs have told.
    pub(crate) fn hear(&mut self) -> Vec<(Serial, Said)> {
        let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        let mut said = self.shared.said.lock().unwrap_or_else(|broken| broken.into_inner());
        let said = std::mem::take(&mut *said);
        self.running -= said.iter().filter(|(_, said)| matches!(said, Said::Over(_))).count();
        said
    }
}
