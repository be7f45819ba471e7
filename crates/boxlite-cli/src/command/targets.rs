//! Doing the same to several boxes or images named on one line: each is tried, each failure is reported, and the exit code
//! says whether there was one.

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::{print, print_json};

/// What was done, and how many failed.
pub struct Tally {
    format: Format,
    done: Vec<serde_json::Value>,
    failed: bool,
}

impl Tally {
    /// Starts with nothing done.
    pub fn new(format: Format) -> Self {
        Tally { format, done: Vec::new(), failed: false }
    }

    /// Enters the outcome for one target: `line` goes to stdout at once, or `value` into the final JSON list.
    ///
    /// # Errors
    /// What must end the whole command: an interruption or a broken pipe.
    pub fn enter<T: serde::Serialize>(
        &mut self,
        result: Result<T, Failure>,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match result {
            Ok(value) if self.format == Format::Table => print(format_args!("{}\n", line(&value))),
            Ok(value) => {
                self.done.push(serde_json::to_value(value).map_err(Failure::defect)?);
                Ok(())
            }
            Err(failure @ (Failure::Error(_) | Failure::Program(_))) => {
                failure.report(self.format);
                self.failed = true;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Prints the JSON list, if that is the format, and returns the exit code.
    ///
    /// # Errors
    /// A failed write to stdout.
    pub fn finish(self) -> Result<u8, Failure> {
        if self.format == Format::Json {
            print_json(&self.done)?;
        }
        Ok(u8::from(self.failed))
    }
}
