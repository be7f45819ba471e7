//! Flags that several commands share, and what they mean as a `BoxSpec` and an `ExecSpec`.
//!
//! Only the spelling is checked here; whether a value is in range is the library's decision, so that the same limits hold
//! in every language.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxlite::{
    BoxSpec, Context, Error, ErrorCode, ExecSpec, ImageConfig, Platform, PullPolicy, Resources, Result,
};
use clap::{Args, ValueEnum};

use crate::output::size::parse_mebibytes;
use crate::terminal;

/// How a command in a box is run.
#[derive(Debug, Args)]
pub struct ProcessFlags {
    /// Connect stdin to the command
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable; a name alone takes the value it has here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file, one `NAME=VALUE` a line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Working directory in the box
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<String>,
    /// User in the box, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
}

/// What a new box is to be.
#[derive(Debug, Args)]
pub struct BoxFlags {
    #[command(flatten)]
    pub process: ProcessFlags,
    /// Name of the box [default: its id]
    #[arg(long)]
    pub name: Option<String>,
    /// Remove the box when it stops
    #[arg(long)]
    pub rm: bool,
    /// Virtual processors
    #[arg(long, value_name = "COUNT", default_value_t = Resources::default().cpus)]
    pub cpus: u32,
    /// Memory, as `512m` or `2g`; a number alone counts MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_mebibytes, default_value = "1g")]
    pub memory: u32,
    /// Size of the writable disk, as `20g`; a number alone counts MiB; empty space costs nothing
    #[arg(long, value_name = "SIZE", value_parser = parse_mebibytes, default_value = "10g")]
    pub disk_size: u32,
    /// Program to run instead of the image's entrypoint; an empty one leaves COMMAND alone
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Host name in the box [default: its id]
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Platform of the image, as `linux/amd64` [default: that of this host]
    #[arg(long)]
    pub platform: Option<Platform>,
    /// When to ask the registry for the image; `missing` means if it is not held
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Pull::Missing)]
    pub pull: Pull,
    /// Attach a label; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
}

/// When the registry is asked for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pull {
    // Not documented one by one: clap would then spread every help over twice the lines.
    Always,
    Missing,
    Never,
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Always => PullPolicy::Always,
            Pull::Missing => PullPolicy::Missing,
            Pull::Never => PullPolicy::Never,
        }
    }
}

/// `[IMAGE, COMMAND...]` or `[BOX, COMMAND...]`: one list, because everything after the first word belongs to the command,
/// also what looks like a flag of ours.
pub fn split_command(words: &[String]) -> (&str, &[String]) {
    match words {
        [target, dashes, command @ ..] if dashes == "--" => (target, command),
        [target, command @ ..] => (target, command),
        [] => ("", &[]),
    }
}

impl ProcessFlags {
    /// Returns the command `argv` as these flags want it run.
    ///
    /// # Errors
    /// `InvalidArgument` or `Storage` for an environment file that cannot be used.
    pub fn exec_spec(&self, argv: Vec<String>) -> Result<ExecSpec> {
        Ok(ExecSpec {
            argv,
            env: self.environment()?,
            cwd: self.workdir.clone(),
            user: self.user.clone(),
            tty: self.tty.then(terminal::size),
            stdin: self.interactive,
            timeout_ms: None,
        })
    }

    fn environment(&self) -> Result<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        for file in &self.env_file {
            let text = std::fs::read_to_string(file).map_err(|error| Error::io("read", file, error))?;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim_start();
                if !line.is_empty() && !line.starts_with('#') {
                    set(&mut environment, line).map_err(|error| in_file(error, file, number + 1))?;
                }
            }
        }
        for setting in &self.env {
            set(&mut environment, setting)?;
        }
        Ok(environment)
    }
}

fn in_file(error: Error, file: &Path, line: usize) -> Error {
    let message = format!("{} in line {line} of `{}`", error.message(), file.display());
    Error::new(error.code(), message).with(Context::Path, file.display().to_string())
}

/// Enters `NAME=value`; a name alone takes the value it has in our own environment, and nothing if it has none there.
fn set(environment: &mut BTreeMap<String, String>, setting: &str) -> Result<()> {
    let (name, value) = match setting.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (setting, std::env::var(setting).ok()),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("`{setting}` does not set an environment variable"),
        )
        .hint("write it as `NAME=VALUE`"));
    }
    if let Some(value) = value {
        environment.insert(name.to_owned(), value);
    }
    Ok(())
}

impl BoxFlags {
    /// Returns the box as it is asked for, without its main command.
    pub fn box_spec(&self, image: &str) -> BoxSpec {
        BoxSpec {
            image: image.to_owned(),
            name: self.name.clone(),
            platform: self.platform.clone(),
            resources: Resources { cpus: self.cpus, memory_mib: self.memory, disk_mib: self.disk_size },
            hostname: self.hostname.clone(),
            auto_remove: self.rm,
            labels: self.label.clone(),
            ..BoxSpec::default()
        }
    }

    /// Returns program and arguments: `--entrypoint` replaces the image's entrypoint and with it the image's command, and
    /// COMMAND replaces the image's command alone, as docker has it. Empty if nothing names a program.
    pub fn argv(&self, config: &ImageConfig, command: &[String]) -> Vec<String> {
        let (entrypoint, default_command) = match self.entrypoint.as_deref() {
            Some("") => (Vec::new(), &[][..]),
            Some(program) => (vec![program.to_owned()], &[][..]),
            None => (config.entrypoint.clone(), &config.command[..]),
        };
        let command = if command.is_empty() { default_command } else { command };
        entrypoint.into_iter().chain(command.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[derive(Debug, Parser)]
    struct Parsed {
        #[command(flatten)]
        flags: BoxFlags,
    }

    #[test]
    fn entrypoint_and_command_combine_as_in_docker() {
        let config = ImageConfig { entrypoint: words("/entry"), command: words("a b"), ..Default::default() };
        let check = |typed: &str, command: &str, expect: &str| {
            let line = std::iter::once("x").chain(typed.split_whitespace());
            let argv = Parsed::parse_from(line).flags.argv(&config, &words(command));
            assert_eq!(argv, words(expect), "{typed} {command}");
        };
        check("", "", "/entry a b");
        check("", "c", "/entry c");
        check("--entrypoint /other", "", "/other");
        check("--entrypoint /other", "c", "/other c");
        check("--entrypoint=", "c", "c");
        check("--entrypoint=", "", "");
    }

    #[test]
    fn environment_settings_are_taken_or_refused() {
        let check = |settings: &[&str], expect: &[(&str, &str)]| {
            let mut environment = BTreeMap::new();
            settings.iter().for_each(|setting| set(&mut environment, setting).unwrap());
            let expect = expect.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(environment, expect);
        };
        check(&["A=1", "A=2", "B=x=y", "C="], &[("A", "2"), ("B", "x=y"), ("C", "")]);
        check(&["NOT_SET_ANYWHERE_AT_ALL"], &[]);
        for bad in ["", "=1", "A B=1"] {
            assert_eq!(
                set(&mut BTreeMap::new(), bad).unwrap_err().code(),
                ErrorCode::InvalidArgument,
                "{bad}"
            );
        }
    }

    #[test]
    fn everything_after_the_first_word_is_the_command() {
        let check = |typed: &str, target: &str, command: &str| {
            assert_eq!(split_command(&words(typed)), (target, &words(command)[..]), "{typed}");
        };
        check("alpine", "alpine", "");
        check("alpine ls -q", "alpine", "ls -q");
        check("box -- ls -q", "box", "ls -q");
        check("box ls -- x", "box", "ls -- x");
    }
}
