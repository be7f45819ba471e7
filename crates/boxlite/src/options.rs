//! Knobs of a runtime, all with defaults.

use std::path::PathBuf;
use std::sync::Arc;

use boxlite_engine::Engine;

/// How a runtime is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// Home directory; `$BOXLITE_HOME` if `None`, and `~/.boxlite` without that.
    pub home: Option<PathBuf>,
    /// How images are fetched.
    pub images: ImageOptions,
    /// How virtual machines are run.
    pub engine: EngineOptions,
    /// Isolates boxes with this engine instead of virtual machines, for tests and for those who bring their own.
    pub custom_engine: Option<Arc<dyn Engine>>,
}

/// How images are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// Registries an unqualified reference is looked for in, in this order, as `host[:port]`; `docker.io` if empty.
    pub search_registries: Vec<String>,
    /// Registries spoken to over plain http, as `host[:port]`. Loopback addresses always are if https fails.
    pub http_registries: Vec<String>,
    /// Registries whose certificate is not checked.
    pub unverified_registries: Vec<String>,
    /// Further certificate authorities, as PEM files, trusted for the named registry.
    pub certificate_authorities: Vec<(String, PathBuf)>,
    /// Directory of a docker `config.json` with credentials; `$DOCKER_CONFIG`, or `~/.docker`, if `None`.
    pub docker_config: Option<PathBuf>,
}

/// What runs the guests of virtual machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceleratorChoice {
    /// The fastest that is proven to run a guest on this host.
    #[default]
    Fastest,
    /// Hardware virtualisation, or an error.
    Kvm,
    /// Software emulation.
    Tcg,
}

/// How virtual machines are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// QEMU; `qemu-system-<architecture>` on the `PATH` if `None`.
    pub qemu: Option<PathBuf>,
    /// Release of the guest kernel among those installed in the home; the newest, fetched if there is none, if `None`.
    pub kernel: Option<String>,
    /// What runs the guests.
    pub accelerator: AcceleratorChoice,
}
