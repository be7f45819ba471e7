//! What can be typed: the global flags, and the list of commands with their own flags in `command/`.
//!
//! Every flag is declared once; the parser, the help and the completion scripts come from that declaration. Nothing is
//! declared that cannot be done yet.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::{
    completion, cp, create, doctor, exec, image, images, inspect, kernel, logs, ps, pull, restart, rm, run,
    start, stop, system,
};

/// Runs code from any OCI image in a machine with a kernel of its own. No daemon, no root.
#[derive(Debug, Parser)]
#[command(
    name = "boxlite",
    version,
    disable_help_subcommand = true,
    args_override_self = true,
    max_term_width = 110
)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command; they may stand before or after its name.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Directory that holds images, boxes and kernels [default: ~/.boxlite]
    #[arg(long, global = true, value_name = "DIRECTORY", env = "BOXLITE_HOME", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// Registry to look unqualified image names up in; repeat it to search several in order
    #[arg(long, global = true, value_name = "HOST")]
    pub registry: Vec<String>,
    /// Registry to talk to over plain http, or, as `https://HOST`, without checking its certificate
    #[arg(long, global = true, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Settings in TOML: one `[[registries]]` table for each registry
    #[arg(long, global = true, value_name = "FILE", env = "BOXLITE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// How results, progress and errors are written: for people, or as JSON documents and lines
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
    /// Say less: no progress, and ids only in lists
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell on stderr what happens inside
    #[arg(long, global = true)]
    pub debug: bool,
}

/// How results, progress and errors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    // Not documented one by one: clap would then spread every help over twice the lines.
    #[default]
    Table,
    Json,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Arguments),
    Create(create::Arguments),
    Start(start::Arguments),
    Stop(stop::Arguments),
    Restart(restart::Arguments),
    Exec(exec::Arguments),
    #[command(visible_alias = "ls")]
    Ps(ps::Arguments),
    Rm(rm::Arguments),
    Cp(cp::Arguments),
    Logs(logs::Arguments),
    Inspect(inspect::Arguments),
    Pull(pull::Arguments),
    Images(images::Arguments),
    Image(image::Arguments),
    System(system::Arguments),
    Doctor(doctor::Arguments),
    Kernel(kernel::Arguments),
    Completion(completion::Arguments),
    /// Prints the version
    Version,
}

impl Command {
    /// Whether its exit code is that of a command in a box, so that failures of our own have to stay out of the way.
    pub fn passes_exit_code(&self) -> bool {
        match self {
            Command::Run(_) | Command::Exec(_) => true,
            Command::Start(arguments) => arguments.attach,
            _ => false,
        }
    }
}
