//! The exported functions of the image handle.

use std::ffi::c_char;
use std::sync::Arc;

use boxlite::{Images, Platform, PullOptions, ResultExt};

use super::boxlite_images;
use super::options::boxlite_pull_options;
use crate::boundary::boundary;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::handle;
use crate::input;
use crate::operation::{Operation, Within, boxlite_operation, submit};
use crate::options;
use crate::output::Out;
use crate::status::boxlite_status;

/// Begins an operation of the image handle. `read` reads what C passed in; the work is made of it only if all is well.
///
/// # Safety
/// The contracts of places, for `operation`, and of errors.
unsafe fn begin<T, F>(
    name: &'static str,
    images: *mut boxlite_images,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
    read: impl FnOnce() -> boxlite::Result<T>,
    work: impl FnOnce(Images, T, &Arc<Operation>) -> F,
) -> boxlite_status
where
    F: Future<Output = boxlite::Result<Outcome>> + Send + 'static,
{
    let begin = || {
        let found = handle::get(images)?;
        found.scope.check()?;
        let images = found.images.clone();
        // SAFETY: as promised by the caller.
        let out = unsafe { Out::new(operation, "operation") }?;
        let input = read()?;
        submit(Within::Scope(&found.scope), out, |begun| work(images, input, begun))
    };
    // SAFETY: as promised by the caller.
    unsafe { boundary(error, || Ok(begin().during(name)?)) }
}

/// # Safety
/// The contract of text.
unsafe fn platform(platform: *const c_char) -> boxlite::Result<Option<Platform>> {
    // SAFETY: as promised by the caller.
    unsafe { input::optional_text(platform, "platform") }?.map(str::parse).transpose()
}

/// Fetches an image, verifies every byte of it, and makes it ready to run. `options` may be NULL.
///
/// Cancelled, it stops at once and leaves partial downloads that the next pull resumes. `boxlite_operation_progress` says
/// how far it is.
///
/// Gives a `boxlite_pulled_image`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_pull(
    images: *mut boxlite_images,
    reference: *const c_char,
    options: *const boxlite_pull_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || Ok((unsafe { input::text(reference, "reference") }?.to_owned(), options::copy(options)?));
    let work = |images: Images, (reference, pull): (String, super::options::Pull), begun: &Arc<Operation>| {
        let begun = begun.clone();
        async move {
            let options = PullOptions {
                platform: pull.platform,
                policy: pull.policy,
                progress: Some(Arc::new(move |event| begun.progress().pull(&event))),
                ..PullOptions::default()
            };
            Ok(Data::PulledImage(images.pull(&reference, options).await?).into())
        }
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.pull", images, operation, error, read, work) }
}

/// Lists every reference held, by name.
///
/// Gives a list of `boxlite_image_info`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_list(
    images: *mut boxlite_images,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let work =
        |images: Images, (), _: &Arc<Operation>| async move { Ok(Data::Images(images.list().await?).into()) };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.list", images, operation, error, || Ok(()), work) }
}

/// Looks up what is held under a reference, a digest, or the unambiguous beginning of one. `platform` may be NULL.
///
/// Gives a `boxlite_image_info`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_get(
    images: *mut boxlite_images,
    reference: *const c_char,
    platform: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || unsafe { named(reference, platform) };
    let work = |images: Images, (reference, platform): Named, _: &Arc<Operation>| async move {
        Ok(Data::Image(images.get(&reference, platform).await?).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.get", images, operation, error, read, work) }
}

type Named = (String, Option<Platform>);

/// # Safety
/// The contract of text.
unsafe fn named(reference: *const c_char, wanted: *const c_char) -> boxlite::Result<Named> {
    // SAFETY: as promised by the caller.
    unsafe { Ok((input::text(reference, "reference")?.to_owned(), platform(wanted)?)) }
}

/// Looks up everything known of an image: configuration, layers, history, and all its names. `platform` may be NULL.
///
/// Gives a `boxlite_image_info`, and all the rest as JSON, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_inspect(
    images: *mut boxlite_images,
    reference: *const c_char,
    platform: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || unsafe { named(reference, platform) };
    let work = |images: Images, (reference, platform): Named, _: &Arc<Operation>| async move {
        Ok(Data::ImageDetails(Box::new(images.inspect(&reference, platform).await?)).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.inspect", images, operation, error, read, work) }
}

/// Makes `name` name the image that `reference` names; a name that exists is moved.
///
/// Gives a `boxlite_image_info`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_tag(
    images: *mut boxlite_images,
    reference: *const c_char,
    name: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || {
        // SAFETY: the contract of text.
        unsafe {
            Ok((input::text(reference, "reference")?.to_owned(), input::text(name, "name")?.to_owned()))
        }
    };
    let work = |images: Images, (reference, name): (String, String), _: &Arc<Operation>| async move {
        Ok(Data::Image(images.tag(&reference, &name).await?).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.tag", images, operation, error, read, work) }
}

/// Removes a name and, with its last one, the image; frees the bytes nobody else needs. An image that a box needs is
/// refused with `BOXLITE_IN_USE`, unless `force` is true: then the name goes, and the bytes stay until the box is removed.
///
/// Gives a `boxlite_removed_image`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_remove(
    images: *mut boxlite_images,
    reference: *const c_char,
    force: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || Ok(unsafe { input::text(reference, "reference") }?.to_owned());
    let work = move |images: Images, reference: String, _: &Arc<Operation>| async move {
        Ok(Data::RemovedImage(images.remove(&reference, force).await?).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.remove", images, operation, error, read, work) }
}

/// Writes the root filesystem of an image as one self-contained EROFS file. `platform` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_export_erofs(
    images: *mut boxlite_images,
    reference: *const c_char,
    platform: *const c_char,
    file: *const c_char,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || unsafe { Ok((named(reference, platform)?, input::path(file, "file")?)) };
    let work = |images: Images,
                ((reference, platform), file): (Named, std::path::PathBuf),
                _: &Arc<Operation>| async move {
        images.export_erofs(&reference, platform, file).await?;
        Ok(Outcome::Nothing)
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("images.export_erofs", images, operation, error, read, work) }
}

/// Frees the image handle, for everybody who holds it; the images stay. See `boxlite_runtime_images`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_images_free(images: *mut boxlite_images) -> boxlite_status {
    // SAFETY: NULL is a place for no error.
    unsafe { boundary(std::ptr::null_mut(), || Ok(handle::free_shared(images).map(drop)?)) }
}
