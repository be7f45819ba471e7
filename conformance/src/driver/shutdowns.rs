//! Whether anything ends after the shutdown of its runtime has returned; nothing may.
//!
//! What is compared is when answers arrive here. An adapter tells of them from several threads or tasks, so that what ended
//! first may be told of second: a little later is no proof. What a shutdown does not wait for has no reason to end within that
//! time. The order within it is for tests inside of each language.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much later an answer may arrive than that of the shutdown: much for a scheduler, little for a pull that is held up.
const ALLOWANCE: Duration = Duration::from_millis(500);

/// The runtime that everything belongs to unless a step made another one.
const USUAL: &str = "runtime";

/// The runtimes of a scenario, and when their shutdowns returned.
#[derive(Default)]
pub struct Shutdowns {
    /// Runtimes by the names of handles made from them.
    runtimes: HashMap<String, String>,
    /// By runtime: the id of the request, and when it was answered.
    returned: HashMap<String, (u64, Instant)>,
}

impl Shutdowns {
    /// Notes that a handle is made from the one it is asked `on`; what is made from none is a runtime.
    pub fn made(&mut self, on: Option<&str>, made: &str) {
        let runtime = on.map_or(made, |on| self.runtime_of(on)).to_owned();
        self.runtimes.insert(made.to_owned(), runtime);
    }

    /// Returns the runtime a handle belongs to.
    pub fn runtime_of(&self, handle: &str) -> &str {
        self.runtimes.get(handle).map_or(USUAL, String::as_str)
    }

    /// Notes that the shutdown of a runtime, request `id`, was answered.
    pub fn returned(&mut self, runtime: &str, id: u64, at: Instant) {
        // A second one has nothing left to wait for.
        self.returned.entry(runtime.to_owned()).or_insert((id, at));
    }

    /// Checks the answer to request `id`, which was asked of a handle.
    ///
    /// # Errors
    /// As a sentence, if the runtime had been shut down before.
    pub fn check(&self, handle: &str, id: u64, at: Instant) -> Result<(), String> {
        let Some((shutdown, returned)) = self.returned.get(self.runtime_of(handle)) else { return Ok(()) };
        let later = at.saturating_duration_since(*returned);
        if id > *shutdown || later <= ALLOWANCE {
            return Ok(());
        }
        Err(format!("it ended {} ms after the shutdown of its runtime had returned", later.as_millis()))
    }
}
