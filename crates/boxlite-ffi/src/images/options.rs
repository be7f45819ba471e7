//! How one pull is done.

use std::ffi::c_char;
use std::sync::Mutex;

use boxlite::{Platform, PullPolicy};

use crate::boundary::boundary;
use crate::error::boxlite_error;
use crate::handle::{self, Handle, Kind, Owned};
use crate::input;
use crate::options;
use crate::status::boxlite_status;

/// How one pull is done. Freed with `boxlite_pull_options_free`.
pub struct boxlite_pull_options {
    _private: [u8; 0],
}

impl Handle for boxlite_pull_options {
    type Object = Mutex<Pull>;
    type Ownership = Owned;
    const KIND: Kind = Kind::PullOptions;
    const NOUN: &'static str = "pull options";
}

/// What can be set.
#[derive(Clone, Default)]
pub(crate) struct Pull {
    pub platform: Option<Platform>,
    pub policy: PullPolicy,
}

/// When a pull asks the registry.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum boxlite_pull_policy {
    /// Every time; blobs that are held are not fetched again.
    BOXLITE_PULL_ALWAYS = 0,
    /// Only if the reference is not held for the platform.
    BOXLITE_PULL_MISSING = 1,
    /// Never: use what is held, or fail with `BOXLITE_NOT_FOUND`.
    BOXLITE_PULL_NEVER = 2,
}

/// Makes options with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_pull_options_new(
    options: *mut *mut boxlite_pull_options,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe { options::new(options, error) }
}

/// Sets the platform wanted, as `linux/arm64/v8`; the host's by default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_pull_options_set_platform(
    options: *mut boxlite_pull_options,
    platform: *const c_char,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Pull| {
        // SAFETY: the contract of text.
        options.platform = Some(unsafe { input::text(platform, "platform") }?.parse()?);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Sets when the registry is asked: a `boxlite_pull_policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_pull_options_set_policy(
    options: *mut boxlite_pull_options,
    policy: u32,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let change = |options: &mut Pull| {
        let choices = [PullPolicy::Always, PullPolicy::Missing, PullPolicy::Never];
        options.policy = input::choice(policy, "policy", &choices)?;
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { options::set(options, error, change) }
}

/// Frees options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_pull_options_free(options: *mut boxlite_pull_options) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free(options).map(drop)?)) }
}
