//! `boxlite run`: pull, create, start, and stay connected until the command has ended.

use boxlite::{BoxHandle, BoxSpec, Error, ErrorCode};
use clap::Args;

use super::making::{make, names_no_command, start_connected};
use super::settings::{BoxFlags, split_command};
use crate::arguments::Format;
use crate::errors::Failure;
use crate::foreground::{Connection, conclude};
use crate::output::{print, print_json};
use crate::session::Session;

const AFTER_HELP: &str = "Needs no step before it: the image, and what the first box of a home needs, is fetched and made on \
    the way. Exits with the exit code of the command; with 125 if BoxLite failed, 126 if the command \
    cannot be executed, 127 if there is none of that name, and 128 + n if signal n ended it.";

/// Runs a command in a new box
#[derive(Debug, Args)]
#[command(override_usage = "boxlite run [OPTIONS] IMAGE [COMMAND]...", after_help = AFTER_HELP)]
pub struct Arguments {
    /// Print the id of the box and leave it running
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub flags: BoxFlags,
    /// Image, fetched if it is not held; then the command to run instead of the image's
    #[arg(value_names = ["IMAGE", "COMMAND"], required = true, num_args = 1.., trailing_var_arg = true)]
    pub words: Vec<String>,
}

/// Runs it.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let (image, command) = split_command(&arguments.words);
    let flags = &arguments.flags;
    let connection = Connection { interactive: flags.process.interactive, tty: flags.process.tty };
    let spec = BoxSpec { detach: arguments.detach, ..flags.box_spec(image, command)? };
    // Before anything is fetched: a mistake should not cost a download.
    if !arguments.detach {
        connection.check()?;
        if spec.main.is_none() {
            return Err(names_no_command(image).into());
        }
    }
    let made = make(spec, flags.pull.into(), session).await?;
    let result = if arguments.detach {
        start_detached(&made, session).await
    } else {
        run_connected(&made, connection, flags.rm, session).await
    };
    let kept = match &result {
        Ok(_) => arguments.detach || !flags.rm,
        // A box whose command ran is kept as after any end; one that never came so far is of no use to anyone.
        Err(_) => !flags.rm && made.info().await.is_ok_and(|info| info.started_at.is_some()),
    };
    if !kept {
        let removed = session.interrupts.insisting(remove(&made, result.is_ok())).await;
        // After a failure the reason for it is what has to be told.
        if result.is_ok() {
            removed?;
        }
    }
    result
}

async fn start_detached(made: &BoxHandle, session: &mut Session) -> Result<u8, Failure> {
    session.telling(made.start()).await.map_err(Failure::of_program)?;
    match session.format {
        Format::Json => print_json(&made.info().await?)?,
        Format::Table => print(format_args!("{}\n", made.id()))?,
    }
    Ok(0)
}

async fn run_connected(
    made: &BoxHandle,
    connection: Connection,
    auto_remove: bool,
    session: &mut Session,
) -> Result<u8, Failure> {
    let status = start_connected(made, connection, session).await?;
    if !auto_remove {
        // Its disk is to be in order for the next start: that takes until the machine has unmounted it.
        session.interrupts.insisting(made.wait()).await?;
    }
    Ok(conclude(&status, session.format))
}

/// Removes the box, however far it has come: its disk goes too, so nothing in it needs to end gracefully. After a failure the
/// start may still be rolling back, which only a removal without force waits for.
async fn remove(made: &BoxHandle, ran: bool) -> Result<(), Error> {
    let removed = match made.remove(ran).await {
        Err(error) if !ran && error.code() == ErrorCode::InvalidState => made.remove(true).await,
        other => other,
    };
    match removed {
        // It may have removed itself when it stopped.
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        other => other,
    }
}
