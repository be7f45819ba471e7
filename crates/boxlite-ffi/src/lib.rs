//! The C ABI of BoxLite: `libboxlite` and `boxlite.h`.
//!
//! What the header says to C programmers stands in the comments of the exported items here, and in `cbindgen.toml`; `make
//! gen` puts the header together. Nothing here knows how an image is stored or a box isolated: it checks what C passes in,
//! looks handles up, and hands the work to `boxlite`.
//!
//! Invariants: a handle is looked up, never followed ([`table`]); every exported body is inside the panic boundary
//! ([`boundary`]); no code of the program that uses the library runs on a thread of the library; nothing is written to a
//! place that C named after the call has returned.
//!
//! The contracts that `// SAFETY:` comments of exported functions name are those of the header's first page: places and
//! structs may be written until the call returns, texts end with a NUL, an error's place is NULL or may be written.

#![allow(non_camel_case_types, reason = "the names are those of C")]
#![allow(clippy::missing_safety_doc, reason = "the contract of all functions stands once, in the header")]

mod boundary;
mod boxes;
mod data;
mod driver;
mod error;
mod execution;
mod handle;
mod images;
mod input;
mod json_input;
mod operation;
mod options;
mod output;
mod process;
mod queue;
mod result;
mod runtime;
mod scope;
mod signal;
mod status;
mod stream;
mod table;
mod text;
mod version;

pub use boxes::*;
pub use error::*;
pub use execution::*;
pub use images::*;
pub use operation::*;
pub use queue::*;
pub use result::*;
pub use runtime::*;
pub use status::boxlite_status;
pub use stream::*;
pub use version::*;
