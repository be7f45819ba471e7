//! One run of the program, to its end: arguments in, a JSON document or the fields of an error out.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::adapters::arguments::Arguments;
use crate::adapters::serve::Fault;

/// A home, with the settings it is opened with each time.
pub struct Home {
    program: PathBuf,
    home: PathBuf,
    settings: tempfile::TempDir,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryArguments {
    host: String,
    transport: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl Home {
    /// Writes down how the home is to be opened.
    ///
    /// # Errors
    /// If an argument is missing or the settings cannot be written.
    pub fn new(program: &Path, arguments: &mut Arguments) -> Result<Self, Fault> {
        // A faster retry is no setting of the command line.
        let _: Option<u64> = arguments.find("retry_delay_ms")?;
        let registries: Vec<RegistryArguments> = arguments.or_default("registries")?;
        let mut text = String::new();
        for known in registries {
            text.push_str("[[registries]]\n");
            let fields = [
                ("host", Some(known.host)),
                ("transport", known.transport),
                ("username", known.username),
                ("password", known.password),
                ("bearer_token", known.token),
            ];
            for (name, value) in fields {
                if let Some(value) = value {
                    text.push_str(&format!("{name} = {}\n", json!(value)));
                }
            }
        }
        if let Some(accelerator) = arguments.find::<String>("accelerator")? {
            text.push_str(&format!("[engine]\naccelerator = {}\n", json!(accelerator)));
        }
        let failed = |error: std::io::Error| Fault::Adapter(format!("writing settings: {error}"));
        let settings = tempfile::tempdir().map_err(failed)?;
        std::fs::write(settings.path().join("settings.toml"), text).map_err(failed)?;
        Ok(Home { program: program.to_owned(), home: arguments.take("home")?, settings })
    }

    /// Returns the command that does `words`.
    pub fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--home")
            .arg(&self.home)
            .arg("--config")
            .arg(self.settings.path().join("settings.toml"))
            .args(["--format", "json", "--quiet"])
            .args(words)
            .env("DOCKER_CONFIG", self.settings.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the command and reads the document it prints.
    ///
    /// # Errors
    /// The error it prints.
    pub async fn json<W: AsRef<OsStr>>(
        &self,
        words: &[W],
        cancel: &CancellationToken,
    ) -> Result<Json, Fault> {
        let bytes = self.bytes(words, None, cancel).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Json::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            Fault::Adapter(format!("no JSON ({error}): {}", String::from_utf8_lossy(&bytes)))
        })
    }

    /// Runs the command with `input` and returns what it prints.
    ///
    /// # Errors
    /// The error it prints.
    pub async fn bytes<W: AsRef<OsStr>>(
        &self,
        words: &[W],
        input: Option<Vec<u8>>,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, Fault> {
        let mut command = self.command(words);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(|error| self.cannot_start(&error))?;
        let feeding = child.stdin.take().zip(input);
        let feed = async {
            if let Some((mut stdin, input)) = feeding {
                // A program that fails early reads no more.
                let _ = stdin.write_all(&input).await;
            }
        };
        let pid = child.id();
        let output = async { tokio::join!(feed, child.wait_with_output()).1 };
        tokio::pin!(output);
        let output = tokio::select! {
            output = &mut output => output,
            () = cancel.cancelled() => {
                interrupt(pid);
                // It says itself how it ended.
                output.await
            }
        };
        let output = output.map_err(|error| Fault::Adapter(error.to_string()))?;
        match printed_error(&output) {
            Some(error) => Err(Fault::Error(error)),
            // The interrupt came before the program could catch it: nothing was begun.
            None if output.status.signal() == Some(Signal::INT.as_raw()) => Err(Fault::cancelled()),
            // `system check` and `doctor` exit with 1 and a report.
            None if output.status.success()
                || (output.status.code() == Some(1) && !output.stdout.is_empty()) =>
            {
                Ok(output.stdout)
            }
            None => Err(Fault::Adapter(format!(
                "{}, and no error is printed: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ))),
        }
    }

    /// Starts the command with pipes for all three streams.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Child, Fault> {
        self.command(words).stdin(Stdio::piped()).spawn().map_err(|error| self.cannot_start(&error))
    }

    fn cannot_start(&self, error: &std::io::Error) -> Fault {
        Fault::Adapter(format!("`{}` cannot be started: {error}", self.program.display()))
    }
}

/// Asks a run to give up, as Ctrl-C does.
fn interrupt(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid as i32)) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::INT);
    }
}

fn printed_error(output: &Output) -> Option<Json> {
    if output.status.success() {
        return None;
    }
    last_error(&output.stderr).map(|(error, _)| error)
}

/// Returns the error on the last line of stderr, and what was printed before it.
pub fn last_error(stderr: &[u8]) -> Option<(Json, &[u8])> {
    let end = stderr.strip_suffix(b"\n")?;
    let start = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let error: Json = serde_json::from_slice(&end[start..]).ok()?;
    error["code"].is_string().then_some((error, &stderr[..start]))
}
