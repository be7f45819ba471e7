//! How the command fails: what is printed, and with which exit code.
//!
//! For people: `error: message`, and the hint on its own line. With `--format json`: one object on one line, with the fields
//! every surface has. Exit codes: 1 for a failure, 2 for a command line that makes no sense; where the exit code belongs to
//! a command in a box, 125 for any failure of ours, 126 and 127 for a program that cannot be run or is not there; 128 + n
//! after signal n.

use std::error::Error as _;
use std::ffi::OsString;

use boxlite::{Error, ErrorCode};
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::arguments::{Arguments, Format};
use crate::output;

/// Why a command did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// It failed.
    Error(Error),
    /// The program to be run in a box is missing there, or cannot be executed.
    Program(Error),
    /// Whoever read our stdout has gone.
    BrokenPipe,
    /// A signal asked us to end.
    Interrupted(i32),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// Classifies a failed write to stdout.
    pub fn stdout(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::BrokenPipe;
        }
        Failure::Error(
            Error::new(ErrorCode::Storage, format!("cannot write to stdout: {error}")).caused_by(error),
        )
    }

    /// Wraps what only a mistake of ours can cause.
    pub fn defect(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Failure::Error(Error::new(ErrorCode::Internal, error.to_string()).caused_by(error))
    }

    /// Reads a failure to run a program: only there does `NotFound` mean the program.
    pub fn of_program(self) -> Self {
        match self {
            Failure::Error(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::Execution) => {
                Failure::Program(error)
            }
            other => other,
        }
    }

    /// Returns the exit code; `passes_exit_code` if success would mean the exit code of a command in a box.
    pub fn exit_code(&self, passes_exit_code: bool) -> u8 {
        match self {
            Failure::Program(error) if passes_exit_code && error.code() == ErrorCode::NotFound => 127,
            Failure::Program(_) if passes_exit_code => 126,
            Failure::Error(_) if passes_exit_code => 125,
            Failure::Error(_) | Failure::Program(_) => 1,
            Failure::BrokenPipe => 128 + libc::SIGPIPE as u8,
            Failure::Interrupted(number) => 128 + *number as u8,
        }
    }

    /// Prints it on stderr, as far as there is something to say.
    pub fn report(&self, format: Format) {
        match self {
            Failure::Error(error) | Failure::Program(error) => report(error, format),
            Failure::BrokenPipe => {}
            Failure::Interrupted(number) => {
                report(&Error::new(ErrorCode::Cancelled, format!("interrupted by signal {number}")), format);
            }
        }
    }
}

/// Prints an error on stderr.
pub fn report(error: &Error, format: Format) {
    if format == Format::Json {
        match serde_json::to_string(error) {
            Ok(line) => output::say(line),
            Err(_) => output::say(error),
        }
        return;
    }
    output::say(format_args!("error: {error}"));
    if let Some(hint) = error.hint_text() {
        output::say(format_args!("hint: {hint}"));
    }
}

/// Reports a command line that makes no sense and returns the exit code. The words are looked at once more, because what could
/// not be parsed cannot say which command it was for, or which format its error should have.
pub fn report_usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let words: Vec<&str> = arguments.iter().skip(1).map_while(|word| word.to_str()).collect();
    let own = words.iter().position(|word| *word == "--").map_or(&words[..], |end| &words[..end]);
    let json = own.windows(2).any(|pair| pair == ["--format", "json"]) || own.contains(&"--format=json");
    let command = command_path(own);
    if names_no_command(error) && !json {
        let asking = command.split(' ').chain(["--help"]);
        if let Err(page) = Arguments::try_parse_from(asking) {
            output::say(page.render());
        }
        return 2;
    }
    report(&usage_error(error, &command), if json { Format::Json } else { Format::Table });
    if matches!(command.as_str(), "boxlite run" | "boxlite exec") { 125 } else { 2 }
}

/// Returns `boxlite image rm` for `--home x image rm -f`.
fn command_path(words: &[&str]) -> String {
    let mut command = Arguments::command();
    let mut path = command.get_name().to_owned();
    for word in words {
        if let Some(found) = command.find_subcommand(word) {
            path = format!("{path} {}", found.get_name());
            command = found.clone();
        }
    }
    path
}

fn names_no_command(error: &clap::Error) -> bool {
    // Which of the two depends on whether a flag or a variable set anything at all.
    matches!(error.kind(), ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Turns the parser's error, which is a small page of text, into one of ours.
fn usage_error(error: &clap::Error, command: &str) -> Error {
    let see_help = format!("`{command} --help` lists what is possible");
    if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
        let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string);
        let message = match flag {
            Some(flag) => format!("`{}`: {own}", flag.split(' ').next().unwrap_or_default()),
            None => own.to_string(),
        };
        return Error::new(own.code(), message).hint(own.hint_text().unwrap_or(&see_help).to_owned());
    }
    if names_no_command(error) {
        return Error::new(ErrorCode::InvalidArgument, "no command is named").hint(see_help);
    }
    let page = error.render().to_string();
    let (complaint, advice) = page.split_once("\n\n").unwrap_or((&page, ""));
    let message = complaint.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let tip = advice.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let tip = tip.filter(|tip| is_likely(tip, complaint)).map(|tip| tip.replace('\'', "`"));
    Error::new(ErrorCode::InvalidArgument, message.trim_end_matches("...").replace('\'', "`"))
        .hint(tip.unwrap_or(see_help))
}

/// Whether a proposal of clap's helps: it proposes `--home` for `--volume` too, and `-- --bogus` for `--bogus`.
fn is_likely(tip: &str, complaint: &str) -> bool {
    let first_letter = |text: &str| text.split('\'').nth(1)?.trim_start_matches('-').chars().next();
    !tip.starts_with("to pass ") && first_letter(tip) == first_letter(complaint)
}
