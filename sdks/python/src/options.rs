//! The options of a runtime, as the Python class of that name hands them over.

use std::path::PathBuf;
use std::time::Duration;

use boxlite::{
    AcceleratorChoice, EngineOptions, Error, ErrorCode, ImageOptions, Options, RegistryAuth, RegistryOptions,
    Result, RetryOptions, Transport,
};

/// What `boxlite.Options` holds.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeOptions {
    home_dir: Option<PathBuf>,
    image_registries: Vec<Registry>,
    docker_config: Option<PathBuf>,
    connect_timeout_secs: Option<f64>,
    stall_timeout_secs: Option<f64>,
    retry_attempts: Option<u32>,
    retry_delay_secs: Option<f64>,
    qemu: Option<PathBuf>,
    kernel: Option<String>,
    accelerator: String,
    spare_machine: bool,
}

/// What `boxlite.ImageRegistry` holds.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    host: String,
    transport: String,
    skip_verify: bool,
    search: bool,
    username: Option<String>,
    password: Option<String>,
    bearer_token: Option<String>,
    ca_file: Option<PathBuf>,
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

impl RuntimeOptions {
    /// Makes the library's options of them.
    ///
    /// # Errors
    /// `InvalidArgument`, naming what cannot be used.
    pub fn resolve(self) -> Result<Options> {
        let seconds = |what, value: Option<f64>, default: Duration| {
            value.map_or(Ok(default), |value| crate::convert::seconds(what, value))
        };
        let (images, retry) = (ImageOptions::default(), RetryOptions::default());
        let accelerator = match self.accelerator.as_str() {
            "fastest" => AcceleratorChoice::Fastest,
            "kvm" => AcceleratorChoice::Kvm,
            "tcg" => AcceleratorChoice::Tcg,
            other => {
                return Err(
                    invalid(format!("unknown accelerator `{other}`")).hint("it is `fastest`, `kvm` or `tcg`")
                );
            }
        };
        if self.retry_attempts == Some(0) {
            return Err(invalid("`retry_attempts` counts the first attempt, so it is at least 1".into()));
        }
        Ok(Options {
            home: self.home_dir,
            images: ImageOptions {
                registries: self
                    .image_registries
                    .into_iter()
                    .map(Registry::resolve)
                    .collect::<Result<_>>()?,
                docker_config: self.docker_config,
                connect_timeout: seconds(
                    "connect_timeout",
                    self.connect_timeout_secs,
                    images.connect_timeout,
                )?,
                stall_timeout: seconds("stall_timeout", self.stall_timeout_secs, images.stall_timeout)?,
                retry: RetryOptions {
                    attempts: self.retry_attempts.unwrap_or(retry.attempts),
                    base_delay: seconds("retry_delay", self.retry_delay_secs, retry.base_delay)?,
                    ..retry
                },
                ..images
            },
            engine: EngineOptions {
                qemu: self.qemu,
                kernel: self.kernel,
                accelerator,
                spare_machine: self.spare_machine,
            },
            custom_engine: None,
        })
    }
}

impl Registry {
    fn resolve(self) -> Result<RegistryOptions> {
        let transport = match self.transport.as_str() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            other => {
                return Err(invalid(format!("unknown transport `{other}`")).hint("it is `https` or `http`"));
            }
        };
        let auth = match (self.username, self.password, self.bearer_token) {
            (None, None, None) => None,
            (None, None, Some(token)) => Some(RegistryAuth::Bearer(token)),
            (Some(username), Some(password), None) => Some(RegistryAuth::Basic { username, password }),
            _ => {
                let message = format!("the credentials for `{}` are incomplete or contradict", self.host);
                return Err(
                    invalid(message).hint("give a user name with a password, or a bearer token alone")
                );
            }
        };
        Ok(RegistryOptions {
            host: self.host,
            transport,
            skip_verify: self.skip_verify,
            ca_file: self.ca_file,
            search: self.search,
            auth,
        })
    }
}
