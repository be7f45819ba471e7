//! Signals that ask us to end, as plain events.
//!
//! The first one cancels: what is under way rolls back and its answer is awaited. The second one ends the process at once;
//! what is left is cleaned up by the next one that opens the home.

use std::future::Future;

use boxlite::{Error, ErrorCode, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::errors::Failure;
use crate::terminal;

/// `SIGINT`, `SIGTERM`, `SIGHUP` and `SIGQUIT`, caught from the moment it is made.
pub struct Interrupts {
    streams: [(i32, Signal); 4],
}

impl Interrupts {
    /// Begins to catch the signals. Call it inside an asynchronous context.
    ///
    /// # Errors
    /// `Internal` if the operating system refuses.
    pub fn new() -> Result<Self> {
        let stream = |number: i32| -> Result<(i32, Signal)> {
            let stream = signal(SignalKind::from_raw(number)).map_err(|error| {
                Error::new(ErrorCode::Internal, format!("cannot catch signal {number}")).caused_by(error)
            })?;
            Ok((number, stream))
        };
        let streams =
            [stream(libc::SIGINT)?, stream(libc::SIGTERM)?, stream(libc::SIGHUP)?, stream(libc::SIGQUIT)?];
        Ok(Interrupts { streams })
    }

    /// Waits for the next signal and returns its number.
    pub async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Runs `work` until it is done or a signal comes; then drops it, which cancels it, and says so.
    ///
    /// # Errors
    /// Those of `work`, and [`Failure::Interrupted`].
    pub async fn cancelling<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            number = self.next() => Err(Failure::Interrupted(number)),
        }
    }

    /// Runs `work`, which has to come to its end, unless a further signal ends the process.
    pub async fn insisting<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            result = work => result,
            number = self.next() => exit_now(number),
        }
    }
}

/// Ends the process as a signal would, but with the terminal as it was.
pub fn exit_now(number: i32) -> ! {
    terminal::restore();
    std::process::exit(128 + number)
}
