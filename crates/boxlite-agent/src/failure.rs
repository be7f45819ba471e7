//! Turning failed system calls into errors that say what failed and on what.

use boxlite_types::{Error, ErrorCode};
use rustix::io::Errno;

/// Makes the error of a system call: `what` reads as in "cannot `what`: no such file".
pub(crate) fn failed(what: impl std::fmt::Display, errno: Errno) -> Error {
    Error::new(code_of(errno), format!("cannot {what}: {}", text_of(errno)))
}

/// As [`failed`], for errors of the standard library.
pub(crate) fn failed_io(what: impl std::fmt::Display, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(number) => failed(what, Errno::from_raw_os_error(number)),
        None => Error::new(ErrorCode::Storage, format!("cannot {what}: {error}")),
    }
}

/// Returns the code that callers can act on.
fn code_of(errno: Errno) -> ErrorCode {
    match errno {
        Errno::NOENT => ErrorCode::NotFound,
        Errno::EXIST => ErrorCode::AlreadyExists,
        Errno::NOSPC | Errno::DQUOT => ErrorCode::NoSpace,
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL => {
            ErrorCode::InvalidArgument
        }
        Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE => ErrorCode::ResourceExhausted,
        _ => ErrorCode::Storage,
    }
}

/// Returns the system's words for an error, without the number the standard library adds.
pub(crate) fn text_of(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

/// Shows bytes of the box to people.
pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
