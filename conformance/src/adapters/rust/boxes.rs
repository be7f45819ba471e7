//! Operations on a box.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxlite::{CopyOptions, ExecSpec, LogOptions};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;

use super::executions::{Command, stream_error};
use super::handles::Handle;
use super::{RustSurface, to_json, unknown};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

/// What a stop may take if nothing else is said.
const STOP_MS: u64 = 10_000;

impl RustSurface {
    pub(super) async fn boxes(&self, request: &Request, arguments: &mut Arguments) -> Result<Json, Fault> {
        let made = self.handles.made(request)?;
        match request.op.as_str() {
            "box.info" => to_json(made.info().await?),
            "box.start" => to_json(made.start().await?),
            "box.start_attached" => self.keep_execution(request, made.start_attached().await?),
            "box.exec" => self.keep_execution(request, made.exec(arguments.take::<ExecSpec>("spec")?).await?),
            "box.attach" => self.keep_execution(request, made.attach().await?),
            "box.detach" => to_json(made.detach().await?),
            "box.stop" => to_json(made.stop(stop_timeout(arguments)?).await?),
            "box.restart" => to_json(made.restart(stop_timeout(arguments)?).await?),
            "box.kill" => to_json(made.kill().await?),
            "box.signal" => to_json(made.signal(arguments.take("signal")?).await?),
            "box.wait" => to_json(made.wait().await?),
            "box.metrics" => to_json(made.metrics().await?),
            "box.stat" => {
                let (path, follow) =
                    (arguments.take::<String>("path")?, arguments.or_default("follow_symlinks")?);
                to_json(made.stat(&path, follow).await?)
            }
            "box.copy_in" => {
                let (host, inside) =
                    (arguments.take::<PathBuf>("host")?, arguments.take::<String>("inside")?);
                to_json(made.copy_in(host, &inside, copy_options(arguments)?).await?)
            }
            "box.copy_out" => {
                let (inside, host) =
                    (arguments.take::<String>("inside")?, arguments.take::<PathBuf>("host")?);
                to_json(made.copy_out(&inside, host, copy_options(arguments)?).await?)
            }
            "box.put_archive" => {
                let (directory, text) =
                    (arguments.take::<String>("directory")?, arguments.take::<String>("bytes")?);
                let bytes = STANDARD.decode(text).map_err(|error| Fault::Adapter(error.to_string()))?;
                to_json(made.put_archive(&directory, Cursor::new(bytes), copy_options(arguments)?).await?)
            }
            "box.get_archive" => {
                let path: String = arguments.take("path")?;
                let mut archive = made.get_archive(&path, copy_options(arguments)?).await?;
                let mut bytes = Vec::new();
                archive.read_to_end(&mut bytes).await.map_err(stream_error)?;
                Ok(STANDARD.encode(bytes).into())
            }
            "box.logs" => {
                let options =
                    LogOptions { follow: arguments.or_default("follow")?, tail: arguments.find("tail")? };
                let logs = Arc::new(tokio::sync::Mutex::new(made.logs(options).await?));
                self.handles.keep(request, Handle::Logs(logs))?;
                Ok(Json::Null)
            }
            "box.remove" => to_json(made.remove(arguments.or_default("force")?).await?),
            _ => Err(unknown(request)),
        }
    }

    fn keep_execution(&self, request: &Request, execution: boxlite::Execution) -> Result<Json, Fault> {
        self.handles.keep(request, Handle::Execution(Arc::new(Command::new(execution))))?;
        Ok(Json::Null)
    }

    /// Takes the next item of a stream.
    pub(super) async fn next(&self, request: &Request) -> Result<Json, Fault> {
        match (request.op.as_str(), self.handles.find(request.on.as_deref())?) {
            ("events.next", Handle::Events(events)) => to_json(events.lock().await.next().await),
            ("logs.next", Handle::Logs(logs)) => match logs.lock().await.next().await {
                None => Ok(Json::Null),
                Some(entry) => {
                    let entry = entry?;
                    let bytes = STANDARD.encode(&entry.bytes);
                    let mut json = to_json(entry)?;
                    json["bytes"] = bytes.into();
                    Ok(json)
                }
            },
            _ => Err(unknown(request)),
        }
    }
}

fn stop_timeout(arguments: &mut Arguments) -> Result<Duration, Fault> {
    Ok(Duration::from_millis(arguments.find("timeout_ms")?.unwrap_or(STOP_MS)))
}

fn copy_options(arguments: &mut Arguments) -> Result<CopyOptions, Fault> {
    let defaults = CopyOptions::default();
    Ok(CopyOptions {
        overwrite: arguments.find("overwrite")?.unwrap_or(defaults.overwrite),
        follow_symlinks: arguments.find("follow_symlinks")?.unwrap_or(defaults.follow_symlinks),
        owner: defaults.owner,
    })
}
