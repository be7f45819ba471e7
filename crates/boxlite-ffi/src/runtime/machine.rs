//! What boxes need of the host: guest kernels and warm templates.

use std::ffi::c_char;
use std::path::PathBuf;
use std::sync::Arc;

use boxlite::KernelSource;

use super::boxlite_runtime;
use super::exports::begin_with;
use crate::boxes::boxlite_box_options;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::input::{self, invalid};
use crate::operation::boxlite_operation;
use crate::options;
use crate::status::boxlite_status;

/// Does now what the first start of a box with the resources of `options` would do: kernel, accelerator, warm template.
/// `options` may be NULL. `boxlite_operation_next_events` tells the stages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_prepare(
    runtime: *mut boxlite_runtime,
    options: *const boxlite_box_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || Ok(options::copy::<_, boxlite::BoxSpec>(options)?.resources);
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with("runtime.prepare", runtime, operation, error, read, |found, resources, begun| {
            let (runtime, begun) = (found.runtime.clone(), begun.clone());
            let progress = Arc::new(move |stage, elapsed| begun.progress().prepare(stage, elapsed));
            async move { runtime.prepare(&resources, Some(progress)).await.map(|()| Outcome::Nothing) }
        })
    }
}

/// Lists the guest kernels of the home, the one installed last first.
///
/// Gives a list as JSON, with `boxlite_operation_take_result`: `release`, `path`, `size_bytes`, `current` of each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_kernels(
    runtime: *mut boxlite_runtime,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with(
            "kernels.list",
            runtime,
            operation,
            error,
            || Ok(()),
            |found, (), _| {
                let kernels = found.runtime.kernels().clone();
                async move { Ok(Data::Kernels(kernels.list().await?).into()) }
            },
        )
    }
}

/// Installs a guest kernel into the home; the host's own is not touched. It comes from the distribution's package client if
/// `file` is NULL; otherwise from a package file, or, if `modules` names a directory, from a kernel image and its modules.
///
/// Gives the kernel as JSON, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_runtime_install_kernel(
    runtime: *mut boxlite_runtime,
    file: *const c_char,
    modules: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || {
        // SAFETY: the contract of text.
        let (file, modules) =
            unsafe { (input::optional_text(file, "file")?, input::optional_text(modules, "modules")?) };
        match (file.map(PathBuf::from), modules.map(PathBuf::from)) {
            (None, None) => Ok(KernelSource::Distribution),
            (Some(package), None) => Ok(KernelSource::Package(package)),
            (Some(image), Some(modules)) => Ok(KernelSource::Files { image, modules }),
            (None, Some(_)) => Err(invalid("`modules` without `file`")),
        }
    };
    // SAFETY: the contracts of places and errors.
    unsafe {
        begin_with("kernels.install", runtime, operation, error, read, |found, source, _| {
            let kernels = found.runtime.kernels().clone();
            async move { Ok(Data::Kernel(kernels.install(source).await?).into()) }
        })
    }
}
