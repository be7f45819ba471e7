//! What comes and goes piece by piece: bytes out of a box and into it, log entries, events.

mod events;
mod logs;
mod park;
mod reader;
mod writer;

use std::io;

use boxlite::{Error, ErrorCode};

pub use events::*;
pub use logs::*;
pub use reader::*;
pub use writer::*;

/// Takes the library's own error out of one that went through an I/O interface.
pub(crate) fn from_io(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::new(ErrorCode::InvalidState, "nobody reads what is written any more");
    }
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorCode::Network, format!("the stream to the box broke: {error}")),
    }
}
