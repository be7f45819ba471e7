//! The adapter over the command line: each operation is one run of `boxlite --format json`.
//!
//! Exit codes and the two streams are all there is, so it has fewer capabilities than a library: it cannot tell a command
//! that exited with 143 from one that SIGTERM ended, and a box it starts always outlives the command that did it.

mod boxes;
mod invoke;
mod running;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::serve::{Fault, Progress, Request, Surface};
use invoke::Home;
use running::Running;

/// The program `boxlite`.
pub struct CliSurface {
    program: PathBuf,
    handles: Mutex<HashMap<String, Handle>>,
}

#[derive(Clone)]
enum Handle {
    Home(Arc<Home>),
    Box(Arc<Home>, String),
    Running(Arc<Running>),
}

impl CliSurface {
    /// Adapts the program at a path.
    pub fn new(program: PathBuf) -> Arc<Self> {
        Arc::new(CliSurface { program, handles: Mutex::default() })
    }

    fn keep(&self, request: &Request, handle: Handle) -> Result<(), Fault> {
        let name = request.made.clone().ok_or_else(|| Fault::Adapter("`as` is missing".into()))?;
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(name, handle);
        Ok(())
    }

    fn find(&self, request: &Request) -> Result<Handle, Fault> {
        let name = request.on.as_deref().unwrap_or_default();
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.get(name).cloned().ok_or_else(|| Fault::Adapter(format!("there is no handle `{name}`")))
    }

    async fn dispatch(&self, request: &Request, cancel: CancellationToken) -> Result<Json, Fault> {
        let mut arguments = Arguments::new(request.args.clone());
        let answer = if request.op == "runtime.open" {
            let home = Arc::new(Home::new(&self.program, &mut arguments)?);
            // Any command opens the home; this one does nothing else.
            home.json(&["images"], &cancel).await?;
            self.keep(request, Handle::Home(home))?;
            Json::Null
        } else {
            match self.find(request)? {
                Handle::Home(home) => self.on_home(&home, request, &mut arguments, &cancel).await?,
                Handle::Box(home, id) => self.on_box(&home, &id, request, &mut arguments, &cancel).await?,
                Handle::Running(running) => running.perform(request, &mut arguments).await?,
            }
        };
        arguments.finish()?;
        Ok(answer)
    }

    async fn on_home(
        &self,
        home: &Arc<Home>,
        request: &Request,
        arguments: &mut Arguments,
        cancel: &CancellationToken,
    ) -> Result<Json, Fault> {
        let mut words: Vec<String> = Vec::new();
        let platform = |arguments: &mut Arguments| -> Result<Vec<String>, Fault> {
            let platform: Option<String> = arguments.find("platform")?;
            Ok(platform.map_or_else(Vec::new, |platform| vec!["--platform".into(), platform]))
        };
        let force = |arguments: &mut Arguments| -> Result<Vec<String>, Fault> {
            Ok(if arguments.or_default("force")? { vec!["--force".into()] } else { Vec::new() })
        };
        match request.op.as_str() {
            "runtime.images" => {
                self.keep(request, Handle::Home(home.clone()))?;
                return Ok(Json::Null);
            }
            "runtime.create" => {
                let words = boxes::create_words(arguments.take("spec")?)?;
                let made = home.json(&words, cancel).await?;
                return self.keep_box(request, home, &made);
            }
            "runtime.get" => {
                let name: String = arguments.take("name")?;
                let found = home.json(&["inspect", "--", &name], cancel).await?;
                return self.keep_box(request, home, &found[0]);
            }
            "runtime.list" => words.extend(["ps".into(), "--all".into()]),
            "runtime.remove" => {
                words.push("rm".into());
                words.extend(force(arguments)?);
                words.extend(["--".into(), arguments.take("name")?]);
                home.json(&words, cancel).await?;
                return Ok(Json::Null);
            }
            "runtime.usage" => words.extend(["system".into(), "df".into()]),
            "runtime.check" => {
                words.extend(["system".into(), "check".into()]);
                if arguments.or_default("repair")? {
                    words.push("--repair".into());
                }
            }
            "runtime.doctor" => words.push("doctor".into()),
            "kernels.list" => words.extend(["kernel".into(), "ls".into()]),
            "images.pull" => {
                let policy: Option<String> = arguments.find("policy")?;
                if policy.is_some_and(|policy| policy != "always") {
                    return Err(Fault::Adapter("`boxlite pull` always asks the registry".into()));
                }
                words.push("pull".into());
                words.extend(platform(arguments)?);
                words.extend(["--".into(), arguments.take("reference")?]);
            }
            "images.list" => words.push("images".into()),
            "images.get" | "images.inspect" => {
                words.extend(["image".into(), "inspect".into()]);
                words.extend(platform(arguments)?);
                words.extend(["--".into(), arguments.take("reference")?]);
                return Ok(home.json(&words, cancel).await?[0].clone());
            }
            "images.tag" => {
                words.extend(["image", "tag", "--"].map(str::to_owned));
                words.extend([arguments.take("reference")?, arguments.take("name")?]);
            }
            "images.remove" => {
                words.extend(["image".into(), "rm".into()]);
                words.extend(force(arguments)?);
                words.extend(["--".into(), arguments.take("reference")?]);
                return Ok(home.json(&words, cancel).await?[0].clone());
            }
            "images.export_erofs" => {
                words.extend(["image".into(), "export".into()]);
                words.extend(platform(arguments)?);
                words.extend(["--".into(), arguments.take("reference")?, arguments.take("file")?]);
            }
            other => return Err(Fault::Adapter(format!("the command line has no `{other}`"))),
        }
        home.json(&words, cancel).await
    }

    fn keep_box(&self, request: &Request, home: &Arc<Home>, info: &Json) -> Result<Json, Fault> {
        let id = info["id"].as_str().ok_or_else(|| Fault::Adapter(format!("there is no id in {info}")))?;
        self.keep(request, Handle::Box(home.clone(), id.to_owned()))?;
        Ok(json!({ "id": id }))
    }
}

impl Surface for CliSurface {
    fn name(&self) -> &'static str {
        "cli"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["cancel", "main", "vm"]
    }

    fn lacks(&self) -> &'static [&'static str] {
        &["pull_policy", "copy_overwrite", "exit_signal"]
    }

    async fn perform(
        self: Arc<Self>,
        request: Request,
        _progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Json, Fault> {
        self.dispatch(&request, cancel).await
    }
}
