//! Views of images.

use std::ffi::c_char;

use boxlite::ImageInfo;

use super::{boxlite_result, view};
use crate::data::Data;
use crate::error::boxlite_error;
use crate::input::invalid;
use crate::output::SizedStruct;
use crate::status::boxlite_status;
use crate::text::Texts;

/// One reference held in the store. Times are seconds since the Unix epoch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_image_info {
    /// `sizeof(boxlite_image_info)`.
    pub size: usize,
    /// Full reference: `host/repository:tag`, or `host/repository@digest`.
    pub reference: *const c_char,
    /// `host/repository`.
    pub repository: *const c_char,
    /// Tag; empty for a reference by digest.
    pub tag: *const c_char,
    /// Manifest digest: the identity of the image for its platform.
    pub id: *const c_char,
    /// Digest of the image configuration.
    pub config_digest: *const c_char,
    /// Platform, as `linux/amd64`.
    pub platform: *const c_char,
    /// When the image was built, as it says itself (RFC 3339); NULL if it does not.
    pub created: *const c_char,
    /// When this reference was last set.
    pub cached_at: i64,
    /// When a pull or a box last used it.
    pub last_used_at: i64,
    /// Bytes that a pull of it transfers.
    pub size_bytes: u64,
    /// Bytes of the files of all its layers.
    pub unpacked_bytes: u64,
    /// Number of layers.
    pub layer_count: u32,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_image_info {
    const FIRST_SIZE: usize = 104;
}

/// What a finished pull gives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_pulled_image {
    /// `sizeof(boxlite_pulled_image)`.
    pub size: usize,
    /// Full reference that now names the image.
    pub reference: *const c_char,
    /// Manifest digest for the platform.
    pub id: *const c_char,
    /// Digest of the configuration.
    pub config_digest: *const c_char,
    /// Platform chosen.
    pub platform: *const c_char,
    /// Bytes this pull itself received from the registry.
    pub bytes_fetched: u64,
    /// Number of layers.
    pub layer_count: u32,
    /// 1 if everything was held already, 0 if not.
    pub cached: u32,
}

// SAFETY: `repr(C)`, size first, numbers and addresses.
unsafe impl SizedStruct for boxlite_pulled_image {
    const FIRST_SIZE: usize = 56;
}

/// What a removal did; which references and images, is in the JSON.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_removed_image {
    /// `sizeof(boxlite_removed_image)`.
    pub size: usize,
    /// References that no longer name anything.
    pub untagged: usize,
    /// Images of which nothing is left.
    pub deleted: usize,
    /// Bytes given back to the disk.
    pub bytes_freed: u64,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_removed_image {
    const FIRST_SIZE: usize = 32;
}

/// Shows one image: of a list by its index, from 0 to `boxlite_result_count`; of `boxlite_images_get`, `_inspect` and
/// `_tag` the only one, at 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_image(
    result: *const boxlite_result,
    index: usize,
    image: *mut boxlite_image_info,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, texts: &Texts| {
        let info = match data {
            Data::Images(images) => images.get(index),
            Data::Image(image) if index == 0 => Some(image),
            Data::ImageDetails(details) if index == 0 => Some(&details.info),
            _ => None,
        };
        Ok(describe(info.ok_or_else(|| invalid(format!("the result has no image {index}")))?, texts))
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, image, error, look) }
}

fn describe(info: &ImageInfo, texts: &Texts) -> boxlite_image_info {
    boxlite_image_info {
        size: 0,
        reference: texts.keep(&info.reference),
        repository: texts.keep(&info.repository),
        tag: texts.keep(&info.tag),
        id: texts.keep(&info.id.to_string()),
        config_digest: texts.keep(&info.config_digest.to_string()),
        platform: texts.keep(&info.platform.to_string()),
        created: texts.keep_optional(info.created.as_deref()),
        cached_at: info.cached_at,
        last_used_at: info.last_used_at,
        size_bytes: info.size_bytes,
        unpacked_bytes: info.unpacked_bytes,
        layer_count: info.layer_count,
    }
}

/// Shows what a pull gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_pulled_image(
    result: *const boxlite_result,
    pulled: *mut boxlite_pulled_image,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, texts: &Texts| {
        let Data::PulledImage(pulled) = data else { return Err(invalid("the result is not that of a pull")) };
        Ok(boxlite_pulled_image {
            size: 0,
            reference: texts.keep(&pulled.reference),
            id: texts.keep(&pulled.id.to_string()),
            config_digest: texts.keep(&pulled.config_digest.to_string()),
            platform: texts.keep(&pulled.platform.to_string()),
            bytes_fetched: pulled.bytes_fetched,
            layer_count: pulled.layer_count,
            cached: pulled.cached.into(),
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, pulled, error, look) }
}

/// Shows what a removal did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_result_removed_image(
    result: *const boxlite_result,
    removed: *mut boxlite_removed_image,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let look = |data: &Data, _: &Texts| {
        let Data::RemovedImage(removed) = data else {
            return Err(invalid("the result is not that of a removal"));
        };
        Ok(boxlite_removed_image {
            size: 0,
            untagged: removed.untagged.len(),
            deleted: removed.deleted.len(),
            bytes_freed: removed.bytes_freed,
        })
    };
    // SAFETY: the contracts of structs and errors.
    unsafe { view(result, removed, error, look) }
}
