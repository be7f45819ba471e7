//! `boxlite ps`.

use boxlite::{BoxInfo, BoxState};
use clap::Args;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::table::Table;
use crate::output::time::ago;
use crate::output::{print, print_json};
use crate::session::Session;

/// Longest piece of a command line that is shown.
const COMMAND_CHARACTERS: usize = 32;

/// Lists the boxes that run, newest first
#[derive(Debug, Args)]
pub struct Arguments {
    /// List all boxes, also those that do not run
    #[arg(short, long)]
    pub all: bool,
}

/// Prints one row for each box.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let mut boxes = session.runtime.list().await?;
    let idle = |state| matches!(state, BoxState::Created | BoxState::Stopped);
    boxes.retain(|found| arguments.all || !idle(found.state));
    if session.format == Format::Json {
        print_json(&boxes)?;
    } else if session.quiet {
        print(boxes.iter().map(|found| format!("{}\n", found.id)).collect::<String>())?;
    } else {
        let mut table = Table::new(&["BOX ID", "NAME", "IMAGE", "COMMAND", "STATE", "CREATED"]);
        for found in boxes {
            let (command, state) = (command(&found), state(&found));
            table.row([
                found.id.to_string(),
                found.name.unwrap_or_else(|| "-".into()),
                found.image,
                command,
                state,
                ago(found.created_at),
            ]);
        }
        print(table)?;
    }
    Ok(0)
}

/// The state in words: since when it runs, or how it ended.
fn state(found: &BoxInfo) -> String {
    match (found.state, found.exit_code) {
        (BoxState::Stopped, Some(code)) => {
            let since = found.stopped_at.map(|at| format!(" {}", ago(at))).unwrap_or_default();
            format!("stopped ({code}){since}")
        }
        (state, _) => state.as_str().to_owned(),
    }
}

fn command(found: &BoxInfo) -> String {
    let Some(main) = &found.spec.main else { return "-".into() };
    let whole = main.argv.join(" ").replace(char::is_control, " ");
    if whole.chars().count() <= COMMAND_CHARACTERS {
        return whole;
    }
    let mut short: String = whole.chars().take(COMMAND_CHARACTERS - 3).collect();
    short.push_str("...");
    short
}
