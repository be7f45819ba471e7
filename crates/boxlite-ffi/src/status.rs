//! Generated from `api/errors.toml` by `make gen`; change it there.

use boxlite::ErrorCode;

/// How a call ended. Numbers never change their meaning.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum boxlite_status {
    /// Success.
    BOXLITE_OK = 0,
    /// A defect in BoxLite itself.
    BOXLITE_INTERNAL = 1,
    /// The named thing does not exist.
    BOXLITE_NOT_FOUND = 2,
    /// A thing of that name exists already.
    BOXLITE_ALREADY_EXISTS = 3,
    /// The thing exists, but cannot do this in the state it is in.
    BOXLITE_INVALID_STATE = 4,
    /// The input is malformed or out of range.
    BOXLITE_INVALID_ARGUMENT = 5,
    /// A configuration file or setting cannot be used.
    BOXLITE_CONFIG = 6,
    /// Reading or writing the home directory failed.
    BOXLITE_STORAGE = 7,
    /// The image is malformed, or uses something that cannot be supported safely.
    BOXLITE_IMAGE = 8,
    /// The other side could not be reached, or broke the conversation off.
    BOXLITE_NETWORK = 9,
    /// A command could not be started in the box.
    BOXLITE_EXECUTION = 10,
    /// The runtime was shut down, or the box was stopped.
    BOXLITE_STOPPED = 11,
    /// The isolation engine failed.
    BOXLITE_ENGINE = 12,
    /// This host, engine or build cannot do what was asked.
    BOXLITE_UNSUPPORTED = 13,
    /// The state database refused a transaction.
    BOXLITE_DATABASE = 14,
    /// A limit on memory, processes, files or size was reached.
    BOXLITE_RESOURCE_EXHAUSTED = 20,
    /// The caller cancelled the operation, and it was rolled back.
    BOXLITE_CANCELLED = 32,
    /// The operation did not finish within its deadline, and was rolled back.
    BOXLITE_TIMEOUT = 33,
    /// The registry wants credentials, or refuses the ones it was given.
    BOXLITE_UNAUTHORIZED = 34,
    /// Bytes are not what their digest, size or DiffID promises.
    BOXLITE_DIGEST_MISMATCH = 35,
    /// The image does not exist for the platform asked for.
    BOXLITE_PLATFORM_MISMATCH = 36,
    /// Something else still needs the thing that was to be changed.
    BOXLITE_IN_USE = 37,
    /// The disk is full, or would be.
    BOXLITE_NO_SPACE = 38,
    /// The registry asks to wait.
    BOXLITE_RATE_LIMITED = 39,
    /// The handle was freed, is of another kind, or never existed.
    BOXLITE_INVALID_HANDLE = 40,
    /// The runtime was opened before a fork, and cannot be used in the child.
    BOXLITE_FORKED_PROCESS = 41,
}

#[rustfmt::skip]
const CODES: [(ErrorCode, boxlite_status); 25] = [
    (ErrorCode::Internal, boxlite_status::BOXLITE_INTERNAL),
    (ErrorCode::NotFound, boxlite_status::BOXLITE_NOT_FOUND),
    (ErrorCode::AlreadyExists, boxlite_status::BOXLITE_ALREADY_EXISTS),
    (ErrorCode::InvalidState, boxlite_status::BOXLITE_INVALID_STATE),
    (ErrorCode::InvalidArgument, boxlite_status::BOXLITE_INVALID_ARGUMENT),
    (ErrorCode::Config, boxlite_status::BOXLITE_CONFIG),
    (ErrorCode::Storage, boxlite_status::BOXLITE_STORAGE),
    (ErrorCode::Image, boxlite_status::BOXLITE_IMAGE),
    (ErrorCode::Network, boxlite_status::BOXLITE_NETWORK),
    (ErrorCode::Execution, boxlite_status::BOXLITE_EXECUTION),
    (ErrorCode::Stopped, boxlite_status::BOXLITE_STOPPED),
    (ErrorCode::Engine, boxlite_status::BOXLITE_ENGINE),
    (ErrorCode::Unsupported, boxlite_status::BOXLITE_UNSUPPORTED),
    (ErrorCode::Database, boxlite_status::BOXLITE_DATABASE),
    (ErrorCode::ResourceExhausted, boxlite_status::BOXLITE_RESOURCE_EXHAUSTED),
    (ErrorCode::Cancelled, boxlite_status::BOXLITE_CANCELLED),
    (ErrorCode::Timeout, boxlite_status::BOXLITE_TIMEOUT),
    (ErrorCode::Unauthorized, boxlite_status::BOXLITE_UNAUTHORIZED),
    (ErrorCode::DigestMismatch, boxlite_status::BOXLITE_DIGEST_MISMATCH),
    (ErrorCode::PlatformMismatch, boxlite_status::BOXLITE_PLATFORM_MISMATCH),
    (ErrorCode::InUse, boxlite_status::BOXLITE_IN_USE),
    (ErrorCode::NoSpace, boxlite_status::BOXLITE_NO_SPACE),
    (ErrorCode::RateLimited, boxlite_status::BOXLITE_RATE_LIMITED),
    (ErrorCode::InvalidHandle, boxlite_status::BOXLITE_INVALID_HANDLE),
    (ErrorCode::ForkedProcess, boxlite_status::BOXLITE_FORKED_PROCESS),
];

const _: () = assert!(CODES.len() == ErrorCode::ALL.len(), "stale: run `make gen`");

impl From<ErrorCode> for boxlite_status {
    fn from(code: ErrorCode) -> Self {
        let found = CODES.iter().find(|(known, _)| *known == code);
        found.map_or(boxlite_status::BOXLITE_INTERNAL, |(_, status)| *status)
    }
}
