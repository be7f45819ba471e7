//! The `boxlite` command: the library's operations with docker-shaped flags.
//!
//! Invariants: stdout carries data and nothing else; stderr carries talk; a command line that is refused has touched nothing;
//! every rule about images and boxes is the library's.

mod arguments;
mod command;
mod configuration;
mod errors;
mod foreground;
mod interrupt;
mod output;
mod session;
mod standard_input;
mod terminal;

use std::ffi::OsString;

use clap::Parser;

use crate::arguments::{Arguments, Format};
use crate::errors::Failure;

fn main() {
    let words: Vec<OsString> = std::env::args_os().collect();
    let code = match Arguments::try_parse_from(&words) {
        Ok(arguments) => run(arguments),
        Err(page) if !page.use_stderr() => help(&page),
        Err(error) => errors::report_usage(&error, &words),
    };
    // Not a return: a read of stdin or a write to a full pipe that still blocks a thread must not keep the process alive.
    std::process::exit(code.into())
}

fn run(arguments: Arguments) -> u8 {
    if arguments.global.debug {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_env_filter(tracing_subscriber::EnvFilter::new(
                "warn,boxlite=debug,boxlite_image=debug,boxlite_engine=debug",
            ))
            .init();
    }
    let passes_exit_code = arguments.command.passes_exit_code();
    let format = arguments.global.format;
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::defect)
        .and_then(|executor| executor.block_on(command::execute(arguments.command, &arguments.global)));
    result.unwrap_or_else(|failure| {
        failure.report(format);
        failure.exit_code(passes_exit_code)
    })
}

/// Prints a page that was asked for.
fn help(page: &clap::Error) -> u8 {
    match output::print(page.render()) {
        Ok(()) => 0,
        Err(failure) => {
            failure.report(Format::Table);
            failure.exit_code(false)
        }
    }
}
