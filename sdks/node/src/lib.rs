//! The native module of the Node package: the library's handles as raw classes, which `lib/*.ts` makes idiomatic.
//!
//! Every method that waits returns a promise. Records cross as JSON text, bytes as `Buffer`; a promise is rejected with the
//! JSON text of an error, never with an `Error`. The last argument of a method that waits is the number under which
//! [`cancel`] finds it: 0 if nobody will cancel it, 2^32 - 1 if it was given up before it began.
//!
//! **One thread.** The event loop of Node is the executor of the library's futures (`executor`): nothing here starts a
//! thread, and promises settle in the order in which the work ended, so that none settles after that of a shutdown.
//!
//! Not here: names, defaults and checks of what people write. A method trusts the types of its arguments.

mod answer;
mod boxes;
mod execution;
mod executor;
mod images;
mod kernels;
mod listener;
mod options;
mod promise;
mod runtime;
mod sequences;
mod streams;
mod wake;

pub use boxes::NativeBox;
pub use execution::NativeExecution;
pub use images::NativeImages;
pub use kernels::NativeKernels;
pub use runtime::NativeRuntime;
pub use sequences::{NativeEvents, NativeLogEntry, NativeLogs};
pub use streams::{NativeInput, NativeOutput, NativePipe};

use napi_derive::napi;

/// Returns the version of the library this module was built from.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Asks the operation of that number to end; one that is over is left alone.
#[napi]
pub fn cancel(env: &napi::Env, operation: u32) -> napi::Result<()> {
    executor::Executor::of(env)?.cancel(operation);
    Ok(())
}
