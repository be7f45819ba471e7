//! `boxlite create`.

use boxlite::BoxSpec;
use clap::Args;

use super::making::make;
use super::settings::{BoxFlags, split_command};
use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::{print, print_json};
use crate::session::Session;

const AFTER_HELP: &str = "A box without any command, not even the image's (`--entrypoint=`), stays up once started until it is \
    stopped.";

/// Makes a box without starting it, and prints its id
#[derive(Debug, Args)]
#[command(override_usage = "boxlite create [OPTIONS] IMAGE [COMMAND]...", after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub flags: BoxFlags,
    /// Image, fetched if it is not held; then the command to run at each start, instead of the image's
    #[arg(value_names = ["IMAGE", "COMMAND"], required = true, num_args = 1.., trailing_var_arg = true)]
    pub words: Vec<String>,
}

/// Makes the box. It is to outlive this process, so it is a detached one.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let (image, command) = split_command(&arguments.words);
    let flags = &arguments.flags;
    let spec = BoxSpec { detach: true, ..flags.box_spec(image, command)? };
    let made = make(spec, flags.pull.into(), session).await?;
    match session.format {
        Format::Json => print_json(&made.info().await?)?,
        Format::Table => print(format_args!("{}\n", made.id()))?,
    }
    Ok(0)
}
