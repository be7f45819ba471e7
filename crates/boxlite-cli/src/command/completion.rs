//! `boxlite completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::errors::Failure;
use crate::output::print;

/// Prints a completion script for a shell, as in `source <(boxlite completion bash)`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Shell the script is for
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn execute(arguments: &Arguments) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut crate::arguments::Arguments::command(),
        "boxlite",
        &mut script,
    );
    print(String::from_utf8_lossy(&script))?;
    Ok(0)
}
