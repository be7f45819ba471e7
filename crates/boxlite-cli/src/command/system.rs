//! `boxlite system`: the home as a whole.

use boxlite::{BoxState, CheckReport, UsageReport};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::size::human_bytes;
use crate::output::table::Table;
use crate::output::{print, print_json};
use crate::session::Session;

/// Looks after the home as a whole
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Shows what takes space
    Df,
    /// Examines every file and row; exits with 1 if something is wrong
    Check {
        /// Mend what can be mended
        #[arg(long)]
        repair: bool,
    },
    /// Shows versions, the home and what boxes run on
    Info,
}

/// Carries the action out.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    match arguments.action {
        Action::Df => {
            let runtime = session.runtime.clone();
            let usage = session.interrupts.cancelling(async { Ok(runtime.usage().await?) }).await?;
            match session.format {
                Format::Json => print_json(&usage)?,
                Format::Table => print(usage_table(&usage))?,
            }
            Ok(0)
        }
        Action::Check { repair } => {
            let runtime = session.runtime.clone();
            let report = session.telling(runtime.check(repair)).await?;
            match session.format {
                Format::Json => print_json(&report)?,
                Format::Table => print_report(&report)?,
            }
            Ok(u8::from(report.findings.iter().any(|finding| !finding.repaired)))
        }
        Action::Info => info(session).await,
    }
}

fn usage_table(usage: &UsageReport) -> Table {
    let mut table = Table::new(&["WHAT", "COUNT", "SIZE"]);
    let mut row = |what: &str, count: Option<u64>, bytes: u64| {
        let count = count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        table.row([what.to_owned(), count, human_bytes(bytes)]);
    };
    row("images, as fetched", Some(usage.images), usage.blob_bytes);
    row("images, ready to run", None, usage.layer_bytes);
    row("unfinished downloads", None, usage.partial_bytes);
    row("boxes", Some(usage.boxes), usage.box_bytes);
    row("kernels and templates", None, usage.machine_bytes);
    row("of it not in use", None, usage.reclaimable_bytes);
    table
}

fn print_report(report: &CheckReport) -> Result<(), Failure> {
    if !report.findings.is_empty() {
        let mut table = Table::new(&["FINDING", "SUBJECT", "STATE", "DETAIL"]);
        for finding in &report.findings {
            let state = if finding.repaired { "repaired" } else { "wrong" };
            let cells = [&finding.kind, &finding.subject, state, &finding.detail];
            table.row(cells.map(str::to_owned));
        }
        print(table)?;
    }
    let problems = match report.findings.len() {
        0 => "nothing wrong".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let hashed = human_bytes(report.bytes_hashed);
    print(format_args!("{} things examined, {hashed} hashed: {problems}\n", report.examined))
}

async fn info(session: &mut Session) -> Result<u8, Failure> {
    let runtime = session.runtime.clone();
    let look = async {
        let kernels = runtime.kernels().list().await?;
        let kernel = kernels.into_iter().find(|kernel| kernel.current).map(|kernel| kernel.release);
        Ok((kernel, runtime.doctor().await?, runtime.images().list().await?, runtime.list().await?))
    };
    let (kernel, doctor, images, boxes) = session.interrupts.cancelling(look).await?;
    let running = boxes.iter().filter(|found| found.state == BoxState::Running).count();
    let found =
        |name: &str| doctor.checks.iter().find(|check| check.name == name).map(|check| check.detail.clone());
    let home = session.runtime.home().display().to_string();
    let info = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "platform": boxlite::Platform::host().to_string(),
        "home": home,
        "engine": "vm",
        "emulator": found("emulator"),
        "accelerator": found("accelerator"),
        "kernel": kernel,
        "ready": doctor.ready(),
        "images": images.len(),
        "boxes": boxes.len(),
        "running_boxes": running,
    });
    if session.format == Format::Json {
        print_json(&info)?;
        return Ok(0);
    }
    let mut text = String::new();
    for (name, value) in info.as_object().into_iter().flatten() {
        let value = match value {
            serde_json::Value::String(value) => value.clone(),
            serde_json::Value::Bool(value) => {
                if *value { "yes" } else { "no; see `boxlite doctor`" }.to_owned()
            }
            serde_json::Value::Null => "none yet".to_owned(),
            value => value.to_string(),
        };
        text.push_str(&format!("{:14} {value}\n", format!("{}:", name.replace('_', " "))));
    }
    print(text)?;
    Ok(0)
}
