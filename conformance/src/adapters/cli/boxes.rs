//! Operations on a box, as command lines.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxlite::{BoxSpec, ExecSpec, Resources};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::invoke::Home;
use super::running::Running;
use super::{CliSurface, Handle};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

impl CliSurface {
    pub(super) async fn on_box(
        &self,
        home: &Arc<Home>,
        id: &str,
        request: &Request,
        arguments: &mut Arguments,
        cancel: &CancellationToken,
    ) -> Result<Json, Fault> {
        let inside = |path: String| format!("{id}:{path}");
        let mut words: Vec<String> = Vec::new();
        match request.op.as_str() {
            "box.info" => return Ok(home.json(&["inspect", id], cancel).await?[0].clone()),
            "box.start" => words.extend(["start".into(), id.into()]),
            "box.stop" | "box.restart" => {
                words.push(request.op.trim_start_matches("box.").into());
                if let Some(timeout) = arguments.find::<u64>("timeout_ms")? {
                    words.extend(["--time".into(), timeout.div_ceil(1000).to_string()]);
                }
                words.push(id.into());
            }
            "box.remove" => {
                words.push("rm".into());
                if arguments.or_default("force")? {
                    words.push("--force".into());
                }
                words.push(id.into());
            }
            "box.exec" => {
                let words = exec_words(id, arguments.take("spec")?)?;
                return self.keep_running(request, Running::command(home.start(&words)?));
            }
            "box.start_attached" => {
                let child = home.start(&["start", "--attach", "--interactive", id])?;
                return self.keep_running(request, Running::command(child));
            }
            "box.logs" => {
                words.push("logs".into());
                if arguments.or_default("follow")? {
                    words.push("--follow".into());
                }
                if let Some(tail) = arguments.find::<u64>("tail")? {
                    words.extend(["--tail".into(), tail.to_string()]);
                }
                words.extend(["--format".into(), "table".into(), id.into()]);
                return self.keep_running(request, Running::log(home.start(&words)?));
            }
            "box.copy_in" | "box.copy_out" => {
                words.push("cp".into());
                if arguments.or_default("follow_symlinks")? {
                    words.push("--follow-link".into());
                }
                let host = arguments.take::<PathBuf>("host")?.display().to_string();
                let path = inside(arguments.take("inside")?);
                words.extend(if request.op == "box.copy_in" { [host, path] } else { [path, host] });
            }
            "box.put_archive" => {
                let text: String = arguments.take("bytes")?;
                let bytes = STANDARD.decode(text).map_err(|error| Fault::Adapter(error.to_string()))?;
                words.extend(["cp".into(), "-".into(), inside(arguments.take("directory")?)]);
                home.bytes(&words, Some(bytes), cancel).await?;
                return Ok(Json::Null);
            }
            "box.get_archive" => {
                words.extend(["cp".into(), inside(arguments.take("path")?), "-".into()]);
                return Ok(STANDARD.encode(home.bytes(&words, None, cancel).await?).into());
            }
            other => return Err(Fault::Adapter(format!("the command line has no `{other}`"))),
        }
        home.json(&words, cancel).await?;
        Ok(Json::Null)
    }

    fn keep_running(&self, request: &Request, running: Running) -> Result<Json, Fault> {
        self.keep(request, Handle::Running(Arc::new(running)))?;
        Ok(Json::Null)
    }
}

/// Returns the command line that makes a box.
///
/// # Errors
/// If the command line cannot say something the specification does.
pub fn create_words(spec: BoxSpec) -> Result<Vec<String>, Fault> {
    let Resources { cpus, memory_mib, disk_mib } = spec.resources;
    let mut words: Vec<String> = ["create", "--pull", "never", "--cpus"].map(str::to_owned).into();
    words.extend([cpus.to_string(), format!("--memory={memory_mib}"), format!("--disk-size={disk_mib}")]);
    let options = [
        ("--name", spec.name),
        ("--platform", spec.platform.map(|platform| platform.to_string())),
        ("--workdir", spec.cwd),
        ("--user", spec.user),
        ("--hostname", spec.hostname),
    ];
    words.extend(options.into_iter().filter_map(|(flag, value)| Some(format!("{flag}={}", value?))));
    words.extend(spec.env.into_iter().map(|entry| format!("--env={entry}")));
    words.extend(spec.labels.into_iter().map(|label| format!("--label={label}")));
    if spec.auto_remove {
        words.push("--rm".into());
    }
    match (&spec.entrypoint, &spec.main) {
        (None, None) => words.push("--entrypoint=".into()),
        (None, Some(_)) => {}
        (Some(entrypoint), _) if entrypoint.len() < 2 => {
            words.push(format!("--entrypoint={}", entrypoint.concat()))
        }
        (Some(_), _) => return Err(Fault::Adapter("an entrypoint of several words cannot be given".into())),
    }
    let main = spec.main.unwrap_or_default();
    let simple =
        main.env.is_empty() && main.cwd.is_none() && main.user.is_none() && main.timeout_ms.is_none();
    if !simple || main.tty.is_some() {
        return Err(Fault::Adapter("settings of the main command alone cannot be given".into()));
    }
    if main.stdin {
        words.push("--interactive".into());
    }
    words.extend(["--".into(), spec.image]);
    words.extend(main.argv);
    Ok(words)
}

fn exec_words(id: &str, spec: ExecSpec) -> Result<Vec<String>, Fault> {
    if spec.tty.is_some() {
        return Err(Fault::Adapter("there is no terminal here".into()));
    }
    let mut words: Vec<String> = vec!["exec".into()];
    if spec.stdin {
        words.push("--interactive".into());
    }
    words.extend(spec.env.into_iter().map(|(name, value)| format!("--env={name}={value}")));
    let options = [
        ("--workdir", spec.cwd),
        ("--user", spec.user),
        ("--timeout", spec.timeout_ms.map(|milliseconds| (milliseconds as f64 / 1000.0).to_string())),
    ];
    words.extend(options.into_iter().filter_map(|(flag, value)| Some(format!("{flag}={}", value?))));
    words.extend(["--".into(), id.into()]);
    words.extend(spec.argv);
    Ok(words)
}
