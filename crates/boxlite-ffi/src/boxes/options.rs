//! How a box is made: everything but its image.

use std::ffi::c_char;
use std::sync::Mutex;

use boxlite::BoxSpec;

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::execution::boxlite_exec_options;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::status::boxlite_status;
use crate::{json_input, options};

/// How a box is made. Freed with `boxlite_box_options_free`.
pub struct boxlite_box_options {
    _private: [u8; 0],
}

impl Handle for boxlite_box_options {
    type Object = Mutex<BoxSpec>;
    type Ownership = Owned;
    const KIND: Kind = Kind::BoxOptions;
    const NOUN: &'static str = "box options";
}

/// Makes options with the defaults: 1 virtual processor, 1024 MiB of memory, 10240 MiB of disk, no main command.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_new(
    options: *mut *mut boxlite_box_options,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { options::new(options, error) }
}

/// Sets everything at once, from JSON as `spec` in what `boxlite_box_inspect` gives: `name`, `platform`, `resources`
/// (`cpus`, `memory_mib`, `disk_mib`), `env`, `cwd`, `user`, `hostname`, `entrypoint`, `main` (as for
/// `boxlite_exec_options_set_json`), `detach`, `auto_remove`, `labels`. What is not named is set to its default; a field
/// that does not exist is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_json(
    options: *mut boxlite_box_options,
    json: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        *spec = json_input::parse(unsafe { input::text(json, "json") }?, "json")?;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the name, unique in the home: letters, digits, `_`, `.`, `-`, at most 63.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_name(
    options: *mut boxlite_box_options,
    name: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.name = Some(unsafe { input::text(name, "name") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the platform of the image, as `linux/amd64`; the host's by default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_platform(
    options: *mut boxlite_box_options,
    platform: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.platform = Some(unsafe { input::text(platform, "platform") }?.parse()?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets what the box may use: virtual processors, 1 to 16; memory in MiB, 128 to 65536; disk in MiB, 64 to 61440. Memory
/// and disk are taken from the host only as the box touches them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_resources(
    options: *mut boxlite_box_options,
    cpus: u32,
    memory_mib: u32,
    disk_mib: u32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        spec.resources = boxlite::Resources { cpus, memory_mib, disk_mib };
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Adds a variable to the environment of every command in the box.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_add_env(
    options: *mut boxlite_box_options,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.env.push(unsafe { pair(name, value) }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Adds a label, for the owner's own use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_add_label(
    options: *mut boxlite_box_options,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.labels.push(unsafe { pair(name, value) }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// # Safety
/// The contract of text.
unsafe fn pair(name: *const c_char, value: *const c_char) -> boxlite::Result<String> {
    // SAFETY: as promised by the caller.
    let (name, value) = unsafe { (input::text(name, "name")?, input::text(value, "value")?) };
    if name.is_empty() || name.contains('=') {
        return Err(input::invalid(format!("`{name}` is no name")));
    }
    Ok(format!("{name}={value}"))
}

/// Sets the working directory of every command in the box, instead of the image's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_cwd(
    options: *mut boxlite_box_options,
    cwd: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.cwd = Some(unsafe { input::text(cwd, "cwd") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the user of every command in the box, as `user[:group]` by name or number, instead of the image's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_user(
    options: *mut boxlite_box_options,
    user: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.user = Some(unsafe { input::text(user, "user") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the host name inside; the id of the box by default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_hostname(
    options: *mut boxlite_box_options,
    hostname: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of text.
        spec.hostname = Some(unsafe { input::text(hostname, "hostname") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the entrypoint instead of the image's, and with it instead of the image's command; an empty one leaves the
/// arguments of the main command alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_entrypoint(
    options: *mut boxlite_box_options,
    arguments: *const *const c_char,
    count: usize,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of lists of text.
        spec.entrypoint = Some(unsafe { input::list(arguments, count, "arguments") }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the main command: run at each start, its output kept as the box's log, the box stopping when it ends. A box
/// without one stays up until it is stopped. No arguments mean the image's own command; `how` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_main(
    options: *mut boxlite_box_options,
    arguments: *const *const c_char,
    count: usize,
    how: *const boxlite_exec_options,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        // SAFETY: the contract of lists of text.
        spec.main = Some(unsafe { crate::execution::spec(arguments, count, how) }?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets whether the box outlives the process that started it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_detach(
    options: *mut boxlite_box_options,
    detach: bool,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        spec.detach = detach;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets whether the box is removed when it stops.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_set_auto_remove(
    options: *mut boxlite_box_options,
    auto_remove: bool,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut BoxSpec| {
        spec.auto_remove = auto_remove;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Frees options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_options_free(options: *mut boxlite_box_options) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(options).map(drop)?)) }
}
