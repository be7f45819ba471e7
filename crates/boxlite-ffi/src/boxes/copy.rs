//! Files in and out of a box.

use std::ffi::c_char;
use std::sync::Arc;

use boxlite::{BoxHandle, CopyOptions, Result};

use super::exports::begin;
use super::{BoxObject, boxlite_box};
use crate::boundary::boundary;
use crate::data::{Data, Outcome};
use crate::error::boxlite_error;
use crate::handle;
use crate::input;
use crate::operation::{Within, boxlite_operation, submit};
use crate::output::{self, Out, SizedStruct};
use crate::status::boxlite_status;
use crate::stream::{ReaderObject, WriterObject, boxlite_writer};

/// Bytes of an archive that may lie between the program and the box.
const ARCHIVE_BYTES: usize = 256 * 1024;

/// How files are copied. Set everything to zero, then `size`, then what differs from the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct boxlite_copy_options {
    /// `sizeof(boxlite_copy_options)`.
    pub size: usize,
    /// Not 0 fails the copy with `BOXLITE_ALREADY_EXISTS` rather than replace a file.
    pub keep_existing: u8,
    /// Not 0 copies a symbolic link that is named as the source as what it points to.
    pub follow_symlinks: u8,
    /// Into a box: not 0 keeps the numbers of owner and group, instead of `owner` and `group`.
    pub keep_owner: u8,
    /// Into a box: owner of everything; root by default.
    pub owner: u32,
    /// Into a box: group of everything; root by default.
    pub group: u32,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_copy_options {
    const FIRST_SIZE: usize = 24;
}

/// # Safety
/// The contract of structs; `options` may be NULL.
unsafe fn read(options: *const boxlite_copy_options) -> Result<CopyOptions> {
    if options.is_null() {
        return Ok(CopyOptions::default());
    }
    // SAFETY: as promised by the caller.
    let given = unsafe { output::read(options, "options") }?;
    Ok(CopyOptions {
        overwrite: given.keep_existing == 0,
        follow_symlinks: given.follow_symlinks != 0,
        owner: (given.keep_owner == 0).then_some((given.owner, given.group)),
    })
}

/// Copies a file or directory of the host into a box, which has to run. Where it lands follows `docker cp`: an existing
/// directory takes the source under its name, anything else is the name itself; `dir/.` means the contents of `dir`.
/// `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_copy_in(
    r#box: *mut boxlite_box,
    host: *const c_char,
    inside: *const c_char,
    options: *const boxlite_copy_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || {
        // SAFETY: the contracts of text and structs.
        unsafe { Ok((input::path(host, "host")?, input::text(inside, "inside")?.to_owned(), read(options)?)) }
    };
    let work = |made: BoxHandle, _, (host, inside, options): (std::path::PathBuf, String, _)| async move {
        made.copy_in(host, &inside, options).await.map(|()| Outcome::Nothing)
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.copy_in", r#box, operation, error, read, work) }
}

/// Copies a file or directory of a box, which has to run, to the host, by the same rules. Everything belongs to the caller
/// afterwards; device nodes are refused, set-user-id bits dropped, and no path leaves the destination, whatever the box
/// sends. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_copy_out(
    r#box: *mut boxlite_box,
    inside: *const c_char,
    host: *const c_char,
    options: *const boxlite_copy_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let read = || {
        // SAFETY: the contracts of text and structs.
        unsafe { Ok((input::text(inside, "inside")?.to_owned(), input::path(host, "host")?, read(options)?)) }
    };
    let work = |made: BoxHandle, _, (inside, host, options): (String, std::path::PathBuf, _)| async move {
        made.copy_out(&inside, host, options).await.map(|()| Outcome::Nothing)
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.copy_out", r#box, operation, error, read, work) }
}

/// Unpacks a tar archive in an existing directory of a box. The archive is what is written to `writer`, until that is
/// closed; the operation ends when all of it has been unpacked. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_put_archive(
    r#box: *mut boxlite_box,
    directory: *const c_char,
    options: *const boxlite_copy_options,
    operation: *mut *mut boxlite_operation,
    writer: *mut *mut boxlite_writer,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    let body = || {
        let made = handle::get(r#box)?;
        made.scope.check()?;
        // SAFETY: the contracts of places, text and structs.
        let (writer, operation, directory, options) = unsafe {
            let writer = Out::new(writer, "writer")?;
            let operation = Out::new(operation, "operation")?;
            (writer, operation, input::text(directory, "directory")?.to_owned(), read(options)?)
        };
        let (near, far) = tokio::io::duplex(ARCHIVE_BYTES);
        let object = Arc::new(WriterObject::new(near, made.scope.clone()));
        let handle = handle::insert::<boxlite_writer>(object)?;
        let box_handle = made.handle.clone();
        let work =
            async move { box_handle.put_archive(&directory, far, options).await.map(|()| Outcome::Nothing) };
        if let Err(refused) = submit(Within::Scope(&made.scope), operation, |_| work) {
            let _ = handle::free(handle);
            return Err(refused.during("box.put_archive").into());
        }
        writer.set(handle);
        Ok(())
    };
    // SAFETY: the contract of errors.
    unsafe { boundary(error, body) }
}

/// Packs a file or directory of a box, which has to run, as a tar archive. `options` may be NULL.
///
/// Gives a reader of the archive, with `boxlite_operation_take_reader`; it comes to its end without an error only if the
/// archive is whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_get_archive(
    r#box: *mut boxlite_box,
    path: *const c_char,
    options: *const boxlite_copy_options,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contracts of text and structs.
    let read = || unsafe { Ok((input::text(path, "path")?.to_owned(), read(options)?)) };
    let work = |handle: BoxHandle, made: Arc<BoxObject>, (path, options): (String, _)| async move {
        let archive = handle.get_archive(&path, options).await?;
        Ok(ReaderObject::new(archive, made.scope.clone()).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.get_archive", r#box, operation, error, read, work) }
}

/// Looks up what is at an absolute path in a box, which has to run.
///
/// Gives a `boxlite_file_stat`, with `boxlite_operation_take_result`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn boxlite_box_stat(
    r#box: *mut boxlite_box,
    path: *const c_char,
    follow_symlinks: bool,
    operation: *mut *mut boxlite_operation,
    error: *mut *mut boxlite_error,
) -> boxlite_status {
    // SAFETY: the contract of text.
    let read = || Ok(unsafe { input::text(path, "path") }?.to_owned());
    let work = move |made: BoxHandle, _, path: String| async move {
        Ok(Data::FileStat(made.stat(&path, follow_symlinks).await?).into())
    };
    // SAFETY: the contracts of places and errors.
    unsafe { begin("box.stat", r#box, operation, error, read, work) }
}
