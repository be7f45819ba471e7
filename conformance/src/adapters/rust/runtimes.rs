//! Operations on a runtime.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boxlite::{
    AcceleratorChoice, BoxSpec, EngineOptions, ImageOptions, KernelSource, Options, RegistryAuth,
    RegistryOptions, Resources, RetryOptions, Runtime, Transport,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::handles::Handle;
use super::{RustSurface, to_json, unknown};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

/// What a shutdown may take if nothing else is said.
const SHUTDOWN_MS: u64 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryArguments {
    host: String,
    transport: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl RustSurface {
    pub(super) async fn runtime(&self, request: &Request, arguments: &mut Arguments) -> Result<Json, Fault> {
        if request.op == "runtime.open" {
            let runtime = Runtime::open(self.options(arguments)?).await?;
            self.handles.keep(request, Handle::Runtime(runtime))?;
            return Ok(Json::Null);
        }
        if request.op == "runtime.close" {
            let handle = self.handles.take(request.on.as_deref());
            // Dropping the last one is a shutdown, which this waits for.
            let dropped = tokio::task::spawn_blocking(move || drop(handle)).await;
            return dropped.map(|()| Json::Null).map_err(|error| Fault::Adapter(error.to_string()));
        }
        let runtime = self.handles.runtime(request)?;
        match request.op.as_str() {
            "runtime.images" => {
                let images = runtime.images();
                let address = std::ptr::from_ref(images) as usize;
                self.handles.keep(request, Handle::Images(images.clone(), address))?;
                Ok(Json::Null)
            }
            "runtime.create" => {
                let made = runtime.create(arguments.take::<BoxSpec>("spec")?).await?;
                let id = made.id().to_string();
                self.handles.keep(request, Handle::Box(made))?;
                Ok(json!({ "id": id }))
            }
            "runtime.get" => {
                let found = runtime.get(&arguments.take::<String>("name")?).await?;
                let id = found.id().to_string();
                self.handles.keep(request, Handle::Box(found))?;
                Ok(json!({ "id": id }))
            }
            "runtime.list" => to_json(runtime.list().await?),
            "runtime.remove" => {
                let (name, force) = (arguments.take::<String>("name")?, arguments.or_default("force")?);
                to_json(runtime.remove(&name, force).await?)
            }
            "runtime.metrics" => to_json(runtime.metrics().await?),
            "runtime.usage" => to_json(runtime.usage().await?),
            "runtime.check" => to_json(runtime.check(arguments.or_default("repair")?).await?),
            "runtime.doctor" => to_json(runtime.doctor().await?),
            "runtime.prepare" => {
                let resources: Resources = arguments.or_default("resources")?;
                to_json(runtime.prepare(&resources, None).await?)
            }
            "runtime.events" => {
                let events = Arc::new(tokio::sync::Mutex::new(runtime.events()));
                self.handles.keep(request, Handle::Events(events))?;
                Ok(Json::Null)
            }
            "runtime.shutdown" => {
                let timeout = arguments.find("timeout_ms")?.unwrap_or(SHUTDOWN_MS);
                to_json(runtime.shutdown(Duration::from_millis(timeout)).await?)
            }
            "kernels.list" => to_json(runtime.kernels().list().await?),
            "kernels.install" => to_json(runtime.kernels().install(KernelSource::Distribution).await?),
            _ => Err(unknown(request)),
        }
    }

    fn options(&self, arguments: &mut Arguments) -> Result<Options, Fault> {
        let home: PathBuf = arguments.take("home")?;
        let registries: Vec<RegistryArguments> = arguments.or_default("registries")?;
        let retry = match arguments.find("retry_delay_ms")? {
            Some(delay) => {
                RetryOptions { base_delay: Duration::from_millis(delay), ..RetryOptions::default() }
            }
            None => RetryOptions::default(),
        };
        let accelerator = match arguments.find::<String>("accelerator")?.as_deref() {
            None => AcceleratorChoice::Fastest,
            Some("tcg") => AcceleratorChoice::Tcg,
            Some("kvm") => AcceleratorChoice::Kvm,
            Some(other) => return Err(Fault::Adapter(format!("there is no accelerator `{other}`"))),
        };
        let registries = registries.into_iter().map(registry).collect::<Result<_, _>>()?;
        // No credentials of whoever runs this, and none of theirs harmed.
        let docker_config = Some(home.join("no-docker-config.json"));
        Ok(Options {
            home: Some(home),
            images: ImageOptions { registries, retry, docker_config, ..ImageOptions::default() },
            engine: EngineOptions {
                accelerator,
                spare_machine: arguments.or_default("spare_machine")?,
                ..EngineOptions::default()
            },
            custom_engine: self.engine.clone().map(|engine| engine as _),
        })
    }
}

fn registry(known: RegistryArguments) -> Result<RegistryOptions, Fault> {
    let transport = match known.transport.as_deref() {
        None | Some("https") => Transport::Https,
        Some("http") => Transport::Http,
        Some(other) => return Err(Fault::Adapter(format!("there is no transport `{other}`"))),
    };
    let auth = match (known.username, known.password, known.token) {
        (Some(username), Some(password), None) => Some(RegistryAuth::Basic { username, password }),
        (None, None, Some(token)) => Some(RegistryAuth::Bearer(token)),
        (None, None, None) => None,
        _ => return Err(Fault::Adapter("half of the credentials are missing".into())),
    };
    Ok(RegistryOptions { host: known.host, transport, auth, ..RegistryOptions::default() })
}
