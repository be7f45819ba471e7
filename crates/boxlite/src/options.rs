//! Knobs of a runtime, all with defaults.

use std::path::PathBuf;
use std::sync::Arc;

use boxlite_engine::Engine;
use boxlite_image::ImageOptions;
use boxlite_types::{Error, ErrorCode, Home, Result};

/// Names the home directory.
const HOME_VARIABLE: &str = "BOXLITE_HOME";

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
    /// Release of the guest kernel among those installed in the home; if `None` the one installed last, fetched when there
    /// is none.
    pub kernel: Option<String>,
    /// What runs the guests.
    pub accelerator: AcceleratorChoice,
    /// Keeps one machine ready for the next start, from the first start of a box on, for boxes of the same image and
    /// size that are not detached; [`crate::Runtime::prepare`] waits until it is ready. Without hardware virtualisation
    /// a start then takes a quarter to half of the time, for the memory of one more idle box and, after each start, half a
    /// second of a processor.
    pub spare_machine: bool,
}

impl Options {
    /// Returns the home these options name, as an absolute path: what is spawned later may have another directory.
    ///
    /// # Errors
    /// `Config` if nothing names one.
    pub(crate) fn resolve_home(&self) -> Result<Home> {
        let not_empty =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = self
            .home
            .clone()
            .or_else(|| not_empty(HOME_VARIABLE))
            .or_else(|| Some(not_empty("HOME")?.join(".boxlite")))
            .ok_or_else(|| {
                Error::new(
                    ErrorCode::Config,
                    "neither BOXLITE_HOME nor HOME says where the home directory is",
                )
                .hint("set BOXLITE_HOME, or name the home in the options")
            })?;
        let absolute = std::path::absolute(&home).map_err(|error| Error::io("resolve", &home, error))?;
        Ok(Home::new(absolute))
    }
}
