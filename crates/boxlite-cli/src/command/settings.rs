//! Flags that several commands share, and what they mean as a `BoxSpec` and an `ExecSpec`.
//!
//! Only the spelling is checked here; whether a value is in range is the library's decision, so that the same limits hold
//! in every language.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxlite::{BoxSpec, Context, Error, ErrorCode, ExecSpec, Platform, PullPolicy, Resources, Result};
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
            ..ExecSpec::default()
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
    /// Returns the box as it is asked for; without a main command if `--entrypoint=` and no COMMAND leave none.
    ///
    /// # Errors
    /// Those of [`ProcessFlags::exec_spec`].
    pub fn box_spec(&self, image: &str, command: &[String]) -> Result<BoxSpec> {
        let entrypoint = self.entrypoint.as_ref().map(|program| match program.as_str() {
            "" => Vec::new(),
            program => vec![program.to_owned()],
        });
        let nothing = command.is_empty() && entrypoint.as_ref().is_some_and(Vec::is_empty);
        let process = self.process.exec_spec(command.to_vec())?;
        // Environment, directory and user belong to the box, so that a later `exec` has them too.
        let main =
            ExecSpec { argv: process.argv, tty: process.tty, stdin: process.stdin, ..ExecSpec::default() };
        Ok(BoxSpec {
            image: image.to_owned(),
            name: self.name.clone(),
            platform: self.platform.clone(),
            resources: Resources { cpus: self.cpus, memory_mib: self.memory, disk_mib: self.disk_size },
            env: process.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            cwd: process.cwd,
            user: process.user,
            hostname: self.hostname.clone(),
            entrypoint,
            main: (!nothing).then_some(main),
            auto_remove: self.rm,
            labels: self.label.clone(),
            ..BoxSpec::default()
        })
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

    fn spec(typed: &str, command: &str) -> BoxSpec {
        let line = std::iter::once("x").chain(typed.split_whitespace());
        Parsed::parse_from(line).flags.box_spec("image", &words(command)).unwrap()
    }

    #[test]
    fn entrypoint_and_command_are_handed_on_apart() {
        let check = |typed: &str, command: &str, entrypoint: Option<&str>, main: Option<&str>| {
            let spec = spec(typed, command);
            assert_eq!(spec.entrypoint, entrypoint.map(words), "{typed} {command}");
            assert_eq!(spec.main.map(|main| main.argv), main.map(words), "{typed} {command}");
        };
        check("", "", None, Some(""));
        check("", "a b", None, Some("a b"));
        check("--entrypoint /other", "a", Some("/other"), Some("a"));
        check("--entrypoint=", "a", Some(""), Some("a"));
        check("--entrypoint=", "", Some(""), None);
    }

    #[test]
    fn what_is_set_for_a_box_holds_for_every_command_in_it() {
        let spec = spec("-e A=1 -w /srv -u app -i --rm --memory 2g --label x=y", "ls");
        assert_eq!(
            (spec.env, spec.cwd.as_deref(), spec.user.as_deref()),
            (words("A=1"), Some("/srv"), Some("app"))
        );
        assert_eq!((spec.resources.memory_mib, spec.auto_remove, spec.labels), (2048, true, words("x=y")));
        let main = spec.main.unwrap();
        assert!(main.stdin && main.tty.is_none() && main.env.is_empty() && main.cwd.is_none());
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
