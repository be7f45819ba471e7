//! `boxlite exec`.

use boxlite::ExecSpec;
use clap::Args;

use super::settings::{ProcessFlags, split_command};
use crate::arguments::Format;
use crate::errors::Failure;
use crate::foreground::{Connection, conclude};
use crate::output::{print, print_json};
use crate::session::Session;

const AFTER_HELP: &str = "With `-d`, prints the process id of the command and exits. Otherwise exits with the exit code of the command; with 125 if BoxLite failed, 126 if the command cannot be \
    executed, 127 if there is none of that name, 124 if its timeout ended it, and 128 + n if signal n \
    did.";

/// Runs a command in a box that runs
#[derive(Debug, Args)]
#[command(override_usage = "boxlite exec [OPTIONS] BOX COMMAND [ARGUMENT]...", after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub process: ProcessFlags,
    /// Leave the command running, without stdin, and throw its output away
    #[arg(short, long, conflicts_with = "interactive")]
    pub detach: bool,
    /// Kill the command and all it started after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<u64>,
    /// Name, id or unique beginning of an id; then the command to run
    #[arg(value_names = ["BOX", "COMMAND"], required = true, num_args = 2.., trailing_var_arg = true)]
    pub words: Vec<String>,
}

/// Runs it.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let (name, command) = split_command(&arguments.words);
    let connection = Connection { interactive: arguments.process.interactive, tty: arguments.process.tty };
    connection.check()?;
    let spec = ExecSpec {
        timeout_ms: arguments.timeout,
        detach: arguments.detach,
        ..arguments.process.exec_spec(command.to_vec())?
    };
    let machine = session.runtime.get(name).await?;
    let execution = session.telling(machine.exec(spec)).await.map_err(Failure::of_program)?;
    if arguments.detach {
        match session.format {
            Format::Json => print_json(&serde_json::json!({ "pid": execution.pid() }))?,
            Format::Table => print(format_args!("{}\n", execution.pid()))?,
        }
        return Ok(0);
    }
    let status = connection.run(execution, &mut session.interrupts).await?;
    Ok(conclude(&status, session.format))
}

/// Reads seconds, whole or with a fraction, as milliseconds.
fn parse_seconds(text: &str) -> Result<u64, boxlite::Error> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.001..=1e9).contains(seconds));
    seconds.map(|seconds| (seconds * 1000.0) as u64).ok_or_else(|| {
        boxlite::Error::new(boxlite::ErrorCode::InvalidArgument, format!("malformed timeout `{text}`"))
            .hint("write a number of seconds, for example `30` or `0.5`")
    })
}
