//! What is written and where: results on stdout, talk on stderr. Formats and the writing itself; no decisions.
//!
//! A reader of stdout that goes away (`| head`) is no failure worth a message: it becomes [`Failure::BrokenPipe`].

pub mod progress;
pub mod size;
pub mod table;
pub mod time;

use std::io::Write;

use crate::errors::Failure;

/// Writes `text` to stdout as it stands.
pub fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::stdout)
}

/// Writes `value` to stdout as one indented JSON document.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(Failure::defect)?;
    text.push('\n');
    print(text)
}

/// Writes `line` to stderr. Nobody can be told if that fails.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
