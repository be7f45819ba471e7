//! Running the `boxlite` program as a person or a script would, each time in a home of its own unless told otherwise.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod pty;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A way to call the program: a home, and flags for every call.
pub struct Cli {
    home: PathBuf,
    flags: Vec<String>,
    // Removes a home that was made for one test.
    _temporary: Option<tempfile::TempDir>,
}

/// What a call left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    /// Uses a new, empty home.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Cli { home: directory.path().join("home"), flags: Vec::new(), _temporary: Some(directory) }
    }

    /// Uses the home at `path`.
    pub fn at(path: &Path) -> Self {
        Cli { home: path.to_owned(), flags: Vec::new(), _temporary: None }
    }

    /// Gives every call further flags.
    pub fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.to_string()));
        self
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the call, not yet made: no stdin, nothing of the caller's settings.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boxlite"));
        command.env("BOXLITE_HOME", &self.home).env_remove("BOXLITE_CONFIG").env_remove("COLUMNS");
        // Nobody's credentials take part in a test.
        command.env("DOCKER_CONFIG", self.home.join("no-docker-config"));
        command.args(&self.flags).args(words).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    /// Calls it with `input` on stdin.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, words: &[S], input: &[u8]) -> Ran {
        let mut command = self.command(words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // The program may end without reading everything.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.into()
    }

    /// Calls it, demands success, and returns stdout without the line feed at its end.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.trim_end().to_owned()
    }

    /// Calls it with `--format json`, demands success, and returns the document on stdout.
    #[track_caller]
    pub fn json<S: AsRef<OsStr>>(&self, words: &[S]) -> Value {
        let words: Vec<&OsStr> =
            ["--format", "json"].iter().map(OsStr::new).chain(words.iter().map(AsRef::as_ref)).collect();
        serde_json::from_str(&self.ok(&words)).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Ran {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Returns the error a call with `--format json` ended with: the last line of stderr.
    #[track_caller]
    pub fn error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}
