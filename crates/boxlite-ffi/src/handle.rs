//! The tie between a C type and the Rust type behind its handles, and how a handle of it is made, used and freed.
//!
//! Everything exported goes through here, so that no handle can reach an object of another type, and an object whose
//! handle was freed while somebody used it lives until that use is over.

use std::sync::Arc;

use boxlite::{Error, ErrorCode, Result};

use crate::process::Process;
use crate::table::{Missing, Token};

/// A C type whose pointers are handles.
pub(crate) trait Handle: 'static {
    /// What is behind the handle.
    type Object: Send + Sync + 'static;
    /// Who ends its life.
    type Ownership: Ownership;
    /// Its mark in the handle; unique among all kinds, 1 to 127.
    const KIND: Kind;
    /// What it is called in messages.
    const NOUN: &'static str;
}

/// All kinds of handles. The numbers are part of no interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Runtime = 1,
    RuntimeOptions,
    Images,
    PullOptions,
    Box,
    BoxOptions,
    Execution,
    ExecOptions,
    Events,
    Logs,
    Reader,
    Writer,
    Operation,
    Queue,
    Result,
    Error,
}

/// Who ends the life of a handle: [`Owned`] or [`Shared`].
pub(crate) trait Ownership {}

/// Each handle has one owner, who frees it with [`free`].
pub(crate) enum Owned {}

/// One handle for all who ask for it, remembered by what made it, which has to ask whether it is still there before it
/// gives it out again. It is freed, for all of them, with [`free_shared`].
pub(crate) enum Shared {}

impl Ownership for Owned {}
impl Ownership for Shared {}

/// Gives an object a handle.
///
/// # Errors
/// `ResourceExhausted` after sixteen million handles that nobody freed.
pub(crate) fn insert<H: Handle>(object: Arc<H::Object>) -> Result<*mut H> {
    let token = Process::current().table.insert(H::KIND as u8, object);
    token.map(pointer).ok_or_else(|| Error::new(ErrorCode::ResourceExhausted, "there are too many handles"))
}

/// Finds what is behind a handle.
///
/// # Errors
/// `InvalidArgument` for NULL; `InvalidHandle`; `ForkedProcess`.
pub(crate) fn get<H: Handle>(handle: *const H) -> Result<Arc<H::Object>> {
    if handle.is_null() {
        return Err(Error::new(ErrorCode::InvalidArgument, format!("the {} is NULL", H::NOUN)));
    }
    let found = Process::current().table.get(H::KIND as u8, Token(handle.addr()));
    Ok(found.map_err(missing::<H>)?.downcast().expect("the kind decides the type"))
}

/// Frees a handle; what is behind it goes when the last call that uses it returns. NULL is nothing to free.
///
/// # Errors
/// `InvalidHandle`; `ForkedProcess`.
pub(crate) fn free<H: Handle<Ownership = Owned>>(handle: *const H) -> Result<Option<Arc<H::Object>>> {
    if handle.is_null() {
        return Ok(None);
    }
    remove(handle).map(Some)
}

/// Frees a handle that several hold. NULL is nothing to free.
///
/// # Errors
/// `InvalidHandle`; `ForkedProcess`.
pub(crate) fn free_shared<H: Handle<Ownership = Shared>>(handle: *const H) -> Result<Option<Arc<H::Object>>> {
    if handle.is_null() {
        return Ok(None);
    }
    remove(handle).map(Some)
}

/// Makes a handle stale.
fn remove<H: Handle>(handle: *const H) -> Result<Arc<H::Object>> {
    let removed = Process::current().table.remove(H::KIND as u8, Token(handle.addr()));
    Ok(removed.map_err(missing::<H>)?.downcast().expect("the kind decides the type"))
}

/// A handle has no provenance: it is a number, and nothing can be read through it.
fn pointer<H>(token: Token) -> *mut H {
    std::ptr::without_provenance_mut(token.0)
}

fn missing<H: Handle>(missing: Missing) -> Error {
    match missing {
        Missing::Invalid => Error::new(
            ErrorCode::InvalidHandle,
            format!("no such {}: it was freed, is of another kind, or never existed", H::NOUN),
        ),
        Missing::OfParent => Error::new(
            ErrorCode::ForkedProcess,
            format!("the {} belongs to the process of which this one was forked", H::NOUN),
        ),
    }
}
