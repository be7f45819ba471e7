//! What people write as options, in JavaScript's spelling, and what the library makes of it.
//!
//! A key that is not here is refused with `InvalidArgument`, naming it; nothing is ever ignored. Keys of the published
//! package that cannot be honoured are refused before, by `lib/published.ts`, which knows the reason.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use boxlite::{
    AcceleratorChoice, BoxSpec, CopyOptions, EngineOptions, Error, ErrorCode, ExecSpec, ImageOptions,
    KernelSource, LogOptions, Options, Platform, PullPolicy, RegistryAuth, RegistryOptions, Resources,
    Result, TerminalSize, Transport,
};
use serde::Deserialize;

/// How a runtime is opened.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuntimeOptions {
    home_dir: Option<PathBuf>,
    image_registries: Vec<Registry>,
    docker_config: Option<PathBuf>,
    parallel_layers: Option<usize>,
    connect_timeout_ms: Option<u64>,
    stall_timeout_ms: Option<u64>,
    retry_attempts: Option<u32>,
    retry_delay_ms: Option<u64>,
    qemu: Option<PathBuf>,
    kernel: Option<String>,
    accelerator: Accelerator,
    spare_machine: bool,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Accelerator {
    #[default]
    Fastest,
    Kvm,
    Tcg,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registry {
    host: String,
    #[serde(default)]
    transport: Protocol,
    #[serde(default)]
    skip_verify: bool,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    search: bool,
    auth: Option<Auth>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    #[default]
    Https,
    Http,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    bearer_token: Option<String>,
    identity_token: Option<String>,
}

impl RuntimeOptions {
    /// Returns the options of the library.
    ///
    /// # Errors
    /// `InvalidArgument` for credentials that are none.
    pub fn resolve(self) -> Result<Options> {
        let mut images = ImageOptions {
            registries: self.image_registries.into_iter().map(Registry::resolve).collect::<Result<_>>()?,
            docker_config: self.docker_config,
            ..ImageOptions::default()
        };
        let set = |target: &mut Duration, given: Option<u64>| {
            *target = given.map_or(*target, Duration::from_millis);
        };
        set(&mut images.connect_timeout, self.connect_timeout_ms);
        set(&mut images.stall_timeout, self.stall_timeout_ms);
        set(&mut images.retry.base_delay, self.retry_delay_ms);
        images.retry.attempts = self.retry_attempts.unwrap_or(images.retry.attempts);
        images.parallel_layers = self.parallel_layers.unwrap_or(images.parallel_layers);
        let accelerator = match self.accelerator {
            Accelerator::Fastest => AcceleratorChoice::Fastest,
            Accelerator::Kvm => AcceleratorChoice::Kvm,
            Accelerator::Tcg => AcceleratorChoice::Tcg,
        };
        let engine = EngineOptions {
            qemu: self.qemu,
            kernel: self.kernel,
            accelerator,
            spare_machine: self.spare_machine,
        };
        Ok(Options { home: self.home_dir, images, engine, custom_engine: None })
    }
}

impl Registry {
    fn resolve(self) -> Result<RegistryOptions> {
        let transport = match self.transport {
            Protocol::Https => Transport::Https,
            Protocol::Http => Transport::Http,
        };
        Ok(RegistryOptions {
            transport,
            skip_verify: self.skip_verify,
            ca_file: self.ca_file,
            search: self.search,
            auth: self.auth.map(|auth| auth.resolve(&self.host)).transpose()?.flatten(),
            host: self.host,
        })
    }
}

impl Auth {
    fn resolve(self, host: &str) -> Result<Option<RegistryAuth>> {
        match (self.username, self.password, self.bearer_token, self.identity_token) {
            (None, None, None, None) => Ok(None),
            (Some(username), Some(password), None, None) => {
                Ok(Some(RegistryAuth::Basic { username, password }))
            }
            (None, None, Some(token), None) => Ok(Some(RegistryAuth::Bearer(token))),
            (None, None, None, Some(token)) => Ok(Some(RegistryAuth::Identity(token))),
            _ => Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("credentials for `{host}`: give username and password, or one token"),
            )),
        }
    }
}

/// How one image is pulled.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PullRequest {
    /// Platform wanted.
    pub platform: Option<String>,
    /// When the registry is asked.
    pub policy: PullPolicy,
}

/// Reads a platform, where one is given.
///
/// # Errors
/// `InvalidArgument` for a malformed one.
pub fn platform(text: Option<&str>) -> Result<Option<Platform>> {
    text.map(str::parse).transpose()
}

/// A box as it is asked for. Environment and labels arrive as objects, whatever they were written as.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoxRequest {
    image: String,
    name: Option<String>,
    platform: Option<String>,
    cpus: Option<u32>,
    memory_mib: Option<u32>,
    disk_mib: Option<u32>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    working_dir: Option<String>,
    user: Option<String>,
    hostname: Option<String>,
    entrypoint: Option<Vec<String>>,
    main: Option<ExecRequest>,
    #[serde(default)]
    detach: bool,
    #[serde(default)]
    auto_remove: bool,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl BoxRequest {
    /// Returns the specification of the library, which checks what it says.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed platform.
    pub fn resolve(self) -> Result<BoxSpec> {
        let assignments = |map: BTreeMap<String, String>| {
            map.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        Ok(BoxSpec {
            image: self.image,
            name: self.name,
            platform: platform(self.platform.as_deref())?,
            resources: resources(self.cpus, self.memory_mib, self.disk_mib),
            env: assignments(self.env),
            cwd: self.working_dir,
            user: self.user,
            hostname: self.hostname,
            entrypoint: self.entrypoint,
            main: self.main.map(ExecRequest::resolve),
            detach: self.detach,
            auto_remove: self.auto_remove,
            labels: assignments(self.labels),
            ..BoxSpec::default()
        })
    }
}

fn resources(cpus: Option<u32>, memory_mib: Option<u32>, disk_mib: Option<u32>) -> Resources {
    let usual = Resources::default();
    Resources {
        cpus: cpus.unwrap_or(usual.cpus),
        memory_mib: memory_mib.unwrap_or(usual.memory_mib),
        disk_mib: disk_mib.unwrap_or(usual.disk_mib),
    }
}

/// For which boxes a runtime is prepared.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrepareRequest {
    cpus: Option<u32>,
    memory_mib: Option<u32>,
    disk_mib: Option<u32>,
}

impl PrepareRequest {
    /// Returns the resources of such a box.
    pub fn resolve(self) -> Resources {
        resources(self.cpus, self.memory_mib, self.disk_mib)
    }
}

/// A command to run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecRequest {
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    working_dir: Option<String>,
    user: Option<String>,
    tty: Option<Terminal>,
    #[serde(default)]
    stdin: bool,
    #[serde(default)]
    detach: bool,
    timeout_ms: Option<u64>,
}

/// The size of a terminal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminal {
    rows: u16,
    columns: u16,
}

impl ExecRequest {
    /// Returns the specification of the library.
    pub fn resolve(self) -> ExecSpec {
        ExecSpec {
            argv: self.argv,
            env: self.env,
            cwd: self.working_dir,
            user: self.user,
            tty: self.tty.map(|size| TerminalSize { rows: size.rows, columns: size.columns }),
            stdin: self.stdin,
            detach: self.detach,
            timeout_ms: self.timeout_ms,
        }
    }
}

/// How files are copied.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyRequest {
    overwrite: Option<bool>,
    follow_symlinks: Option<bool>,
    owner: Option<Owner>,
}

/// Who gets what is copied into a box: `uid:gid`, or the numbers of the source.
#[derive(Deserialize)]
#[serde(untagged)]
enum Owner {
    Given { uid: u32, gid: u32 },
    Source(KeepSource),
}

#[derive(Deserialize)]
enum KeepSource {
    #[serde(rename = "source")]
    Source,
}

impl CopyRequest {
    /// Returns the options of the library.
    pub fn resolve(self) -> CopyOptions {
        let usual = CopyOptions::default();
        CopyOptions {
            overwrite: self.overwrite.unwrap_or(usual.overwrite),
            follow_symlinks: self.follow_symlinks.unwrap_or(usual.follow_symlinks),
            owner: match self.owner {
                None => usual.owner,
                Some(Owner::Given { uid, gid }) => Some((uid, gid)),
                Some(Owner::Source(KeepSource::Source)) => None,
            },
        }
    }
}

/// Which part of a log is wanted.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct LogRequest {
    follow: bool,
    tail: Option<usize>,
}

impl LogRequest {
    /// Returns the options of the library.
    pub fn resolve(self) -> LogOptions {
        LogOptions { follow: self.follow, tail: self.tail }
    }
}

/// Where a kernel comes from.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct KernelRequest {
    package: Option<PathBuf>,
    image: Option<PathBuf>,
    modules: Option<PathBuf>,
}

impl KernelRequest {
    /// Returns the source.
    ///
    /// # Errors
    /// `InvalidArgument` for a mixture.
    pub fn resolve(self) -> Result<KernelSource> {
        match (self.package, self.image, self.modules) {
            (None, None, None) => Ok(KernelSource::Distribution),
            (Some(package), None, None) => Ok(KernelSource::Package(package)),
            (None, Some(image), Some(modules)) => Ok(KernelSource::Files { image, modules }),
            _ => Err(Error::new(
                ErrorCode::InvalidArgument,
                "kernel source: give `package`, or `image` with `modules`, or nothing",
            )),
        }
    }
}
