//! How a command is run.

use std::ffi::c_char;
use std::sync::Mutex;

use boxlite::{ExecSpec, TerminalSize};

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::status::boxlite_status;
use crate::{json_input, options};

/// How a command is run. Freed with `boxlite_exec_options_free`.
pub struct boxlite_exec_options {
    _private: [u8; 0],
}

impl Handle for boxlite_exec_options {
    type Object = Mutex<ExecSpec>;
    type Ownership = Owned;
    const KIND: Kind = Kind::ExecOptions;
    const NOUN: &'static str = "exec options";
}

/// Makes options with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_new(
    options: *mut *mut boxlite_exec_options,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { options::new(options, error) }
}

/// Sets everything at once, from JSON: `argv`, `env` (an object), `cwd`, `user`, `tty` (`rows`, `columns`), `stdin`,
/// `timeout_ms`, `detach`. What is not named is set to its default; a field that does not exist is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_json(
    options: *mut boxlite_exec_options,
    json: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        // SAFETY: the contract of text.
        *spec = json_input::parse(unsafe { input::text(json, "json") }?, "json")?;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets a variable of the environment, on top of the image's and the box's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_env(
    options: *mut boxlite_exec_options,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        // SAFETY: the contract of text.
        let (name, value) = unsafe { (input::text(name, "name")?, input::text(value, "value")?) };
        spec.env.insert(name.to_owned(), value.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the working directory, made if it does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_cwd(
    options: *mut boxlite_exec_options,
    cwd: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        // SAFETY: the contract of text.
        spec.cwd = Some(unsafe { input::text(cwd, "cwd") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets the user, as `user[:group]` by name or number, looked up in the box's own `/etc/passwd`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_user(
    options: *mut boxlite_exec_options,
    user: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        // SAFETY: the contract of text.
        spec.user = Some(unsafe { input::text(user, "user") }?.to_owned());
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Gives the command a terminal of this size; stdout and stderr are then one stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_tty(
    options: *mut boxlite_exec_options,
    rows: u16,
    columns: u16,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        spec.tty = Some(TerminalSize { rows, columns });
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets whether stdin is connected; otherwise it reads as empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_stdin(
    options: *mut boxlite_exec_options,
    connected: bool,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        spec.stdin = connected;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Kills the command, with everything it started, after so many milliseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_timeout(
    options: *mut boxlite_exec_options,
    timeout_ms: u64,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        spec.timeout_ms = Some(timeout_ms);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets whether the command goes on in the box when nobody holds it any more. It gets no stdin, and its output is thrown
/// away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_set_detach(
    options: *mut boxlite_exec_options,
    detach: bool,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |spec: &mut ExecSpec| {
        spec.detach = detach;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Frees options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_exec_options_free(options: *mut boxlite_exec_options) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(options).map(drop)?)) }
}
