//! `boxlite doctor`.

use clap::Args;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::table::Table;
use crate::output::{print, print_json, say};
use crate::session::Session;

/// Looks at whether boxes can run on this host; exits with 1 if something needed is missing
#[derive(Debug, Args)]
pub struct Arguments {}

/// Prints one row for each thing that was looked at, then what to do about those that are missing.
pub async fn execute(_: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let runtime = session.runtime.clone();
    let report = session.interrupts.cancelling(async { Ok(runtime.doctor().await?) }).await?;
    let ready = report.ready();
    if session.format == Format::Json {
        print_json(&report)?;
        return Ok(u8::from(!ready));
    }
    let mut table = Table::new(&["CHECK", "STATE", "FOUND"]);
    for check in &report.checks {
        let state = match (check.ok, check.required) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "missing (not needed)",
        };
        table.row([check.name.clone(), state.to_owned(), check.detail.clone()]);
    }
    print(table)?;
    for check in report.checks.iter().filter(|check| !check.ok) {
        if let Some(hint) = &check.hint {
            say(format_args!("hint: {}: {hint}", check.name));
        }
    }
    if !ready {
        say("error: boxes cannot run here yet");
    }
    Ok(u8::from(!ready))
}
