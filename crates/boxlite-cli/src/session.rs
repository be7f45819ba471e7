//! What every command works with: the open runtime, the signals, and how to tell of progress.
//!
//! A session that was opened is closed whatever happened, so that what was cancelled has rolled back before we return.

use std::future::Future;
use std::time::Duration;

use boxlite::Runtime;

use crate::arguments::{Format, Global};
use crate::configuration;
use crate::errors::Failure;
use crate::interrupt::Interrupts;
use crate::output::progress::Progress;

/// How long the boxes of this process may take to stop when it ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The open runtime and its surroundings.
pub struct Session {
    pub runtime: Runtime,
    pub interrupts: Interrupts,
    pub format: Format,
    pub quiet: bool,
}

impl Session {
    /// Opens the home the flags name.
    ///
    /// # Errors
    /// Those of [`Runtime::open`] and of the configuration file.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        let options = configuration::options(global)?;
        let mut interrupts = Interrupts::new()?;
        let runtime = interrupts.cancelling(async { Ok(Runtime::open(options).await?) }).await?;
        Ok(Session { runtime, interrupts, format: global.format, quiet: global.quiet })
    }

    /// Runs `work` until it is done or a signal cancels it, telling meanwhile what happens.
    ///
    /// # Errors
    /// Those of `work`, and [`Failure::Interrupted`].
    pub async fn telling<T>(
        &mut self,
        work: impl Future<Output = Result<T, boxlite::Error>>,
    ) -> Result<T, Failure> {
        let progress = Progress::new(self.format, self.quiet);
        self.interrupts.cancelling(tell(&self.runtime, progress, work)).await
    }

    /// Lets go of the home. A further signal ends the process at once.
    pub async fn close(mut self) {
        // What had to be abandoned to keep the deadline is cleaned up by the next one who opens the home.
        let _ = self.interrupts.insisting(self.runtime.shutdown(CLOSE_TIMEOUT)).await;
    }
}

async fn tell<T>(
    runtime: &Runtime,
    mut progress: Progress,
    work: impl Future<Output = Result<T, boxlite::Error>>,
) -> Result<T, Failure> {
    let mut events = runtime.events();
    let mut work = std::pin::pin!(work);
    let result = loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => progress.show(&event),
            result = &mut work => break result,
        }
    };
    loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => progress.show(&event),
            () = std::future::ready(()) => break,
        }
    }
    Ok(result?)
}
