//! How a runtime is opened.

use std::ffi::c_char;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxlite::{AcceleratorChoice, Engine, Options, RegistryAuth, RegistryOptions, Transport};

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input::{self, invalid};
use crate::options;
use crate::output::{self, SizedStruct};
use crate::status::boxlite_status;

/// How a runtime is opened. Freed with `boxlite_runtime_options_free`.
pub struct boxlite_runtime_options {
    _private: [u8; 0],
}

impl Handle for boxlite_runtime_options {
    type Object = Mutex<Options>;
    type Ownership = Owned;
    const KIND: Kind = Kind::RuntimeOptions;
    const NOUN: &'static str = "runtime options";
}

/// Protocol spoken to a registry.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum boxlite_transport {
    /// TLS. A registry on loopback without a `ca_file` may fall back to plain HTTP.
    BOXLITE_TRANSPORT_HTTPS = 0,
    /// Plain HTTP, because it was asked for.
    BOXLITE_TRANSPORT_HTTP = 1,
}

/// What runs the guests of virtual machines.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum boxlite_accelerator {
    /// The fastest that is proven to run a guest on this host.
    BOXLITE_ACCELERATOR_FASTEST = 0,
    /// Hardware virtualisation, or an error.
    BOXLITE_ACCELERATOR_KVM = 1,
    /// Software emulation.
    BOXLITE_ACCELERATOR_TCG = 2,
}

/// What is known of one registry. Set everything to zero, then `size` and `host`, then what differs from the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_registry {
    /// `sizeof(boxlite_registry)`.
    pub size: usize,
    /// Host, with the port if it is not the usual one.
    pub host: *const c_char,
    /// Protocol: a `boxlite_transport`.
    pub transport: u32,
    /// Not 0 accepts any certificate.
    pub skip_verify: u8,
    /// Not 0 looks up names without a host here, in the order of the registries.
    pub search: u8,
    /// PEM file of certificate authorities trusted for this host besides the system's; may be NULL.
    pub ca_file: *const c_char,
    /// User name and password; both or neither.
    pub username: *const c_char,
    /// See `username`.
    pub password: *const c_char,
    /// A token the registry itself accepts, instead of a user name.
    pub bearer_token: *const c_char,
    /// A refresh token that is exchanged for one at the token service, instead of either.
    pub identity_token: *const c_char,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_registry {
    const FIRST_SIZE: usize = 64;
}

/// Makes options with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_new(
    options: *mut *mut boxlite_runtime_options,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { options::new(options, error) }
}

/// Sets the home directory, made if it does not exist. Without one it is `$BOXLITE_HOME`, or `~/.boxlite`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_home(
    options: *mut boxlite_runtime_options,
    home: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        // SAFETY: the contract of text.
        options.home = Some(unsafe { input::path(home, "home") }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Adds what is known of a registry. The others are spoken to over TLS with the system's certificates, and the credentials
/// of docker's own configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_add_registry(
    options: *mut boxlite_runtime_options,
    registry: *const boxlite_registry,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        // SAFETY: the contract of structs.
        let given = unsafe { output::read(registry, "registry") }?;
        // SAFETY: the contract of text, for each text in it.
        options.images.registries.push(unsafe { registry_options(&given) }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// # Safety
/// The texts are as they have to be for [`input::text`].
unsafe fn registry_options(given: &boxlite_registry) -> boxlite::Result<RegistryOptions> {
    // SAFETY: as promised by the caller.
    let text = |text, name| unsafe { input::optional_text(text, name) };
    let host = text(given.host, "registry.host")?.filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| invalid("`registry.host` names no host"))?.to_owned();
    let transports = [Transport::Https, Transport::Http];
    let owned = |text: &str| text.to_owned();
    let credentials = (
        text(given.username, "registry.username")?.map(owned),
        text(given.password, "registry.password")?.map(owned),
        text(given.bearer_token, "registry.bearer_token")?.map(owned),
        text(given.identity_token, "registry.identity_token")?.map(owned),
    );
    let auth = match credentials {
        (None, None, None, None) => None,
        (Some(username), Some(password), None, None) => Some(RegistryAuth::Basic { username, password }),
        (None, None, Some(token), None) => Some(RegistryAuth::Bearer(token)),
        (None, None, None, Some(token)) => Some(RegistryAuth::Identity(token)),
        _ => {
            return Err(invalid(format!("the credentials for `{host}` do not go together"))
                .hint("set `username` and `password`, or `bearer_token`, or `identity_token`"));
        }
    };
    Ok(RegistryOptions {
        host,
        transport: input::choice(given.transport, "registry.transport", &transports)?,
        skip_verify: given.skip_verify != 0,
        ca_file: text(given.ca_file, "registry.ca_file")?.map(Into::into),
        search: given.search != 0,
        auth,
    })
}

/// Sets a docker `config.json` to take credentials from, instead of the user's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_docker_config(
    options: *mut boxlite_runtime_options,
    file: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        // SAFETY: the contract of text.
        options.images.docker_config = Some(unsafe { input::path(file, "file") }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets how many layers are fetched and converted at a time, by all pulls together; 4 by default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_parallel_layers(
    options: *mut boxlite_runtime_options,
    layers: usize,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        if layers == 0 {
            return Err(invalid("`layers` is 0: nothing could ever be fetched"));
        }
        options.images.parallel_layers = layers;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets how a request to a registry is repeated after a failure that may pass: how often in all, and after how many
/// milliseconds first; each further delay is twice the one before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_retry(
    options: *mut boxlite_runtime_options,
    attempts: u32,
    base_delay_ms: u64,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        if attempts == 0 {
            return Err(invalid("`attempts` is 0: the first one counts"));
        }
        options.images.retry.attempts = attempts;
        options.images.retry.base_delay = Duration::from_millis(base_delay_ms);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets what runs the guests of virtual machines: a `boxlite_accelerator`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_accelerator(
    options: *mut boxlite_runtime_options,
    accelerator: u32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        let choices = [AcceleratorChoice::Fastest, AcceleratorChoice::Kvm, AcceleratorChoice::Tcg];
        options.engine.accelerator = input::choice(accelerator, "accelerator", &choices)?;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets whether a machine is kept ready for the next start; without this it is not.
///
/// If `keep` is true, one machine is kept ready for the next start, from the first start of a box on, for boxes of the
/// same image and size that are not detached; `boxlite_runtime_prepare` waits until it is ready. Without hardware
/// virtualisation a start then takes a quarter to half of the time, for the memory of one more idle box and, after each start,
/// half a second of a processor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_spare_machine(
    options: *mut boxlite_runtime_options,
    keep: bool,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        options.engine.spare_machine = keep;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the guest kernel, by the release of one that is installed in the home; without one it is the one installed last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_kernel(
    options: *mut boxlite_runtime_options,
    release: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        // SAFETY: the contract of text.
        options.engine.kernel = Some(unsafe { input::text(release, "release") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the QEMU to run, instead of the one on the `PATH`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_set_qemu(
    options: *mut boxlite_runtime_options,
    program: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Options| {
        // SAFETY: the contract of text.
        options.engine.qemu = Some(unsafe { input::path(program, "program") }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Isolates boxes with `engine` instead of virtual machines. For programs in Rust that go through the C interface: the
/// tests of this crate.
///
/// # Errors
/// `InvalidHandle`.
pub fn set_engine(options: *mut boxlite_runtime_options, engine: Arc<dyn Engine>) -> boxlite::Result<()> {
    let options = handle::get(options)?;
    options.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).custom_engine = Some(engine);
    Ok(())
}

/// Frees options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_options_free(
    options: *mut boxlite_runtime_options,
) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(options).map(drop)?)) }
}
