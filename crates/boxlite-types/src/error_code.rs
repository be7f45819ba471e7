//! Generated from `api/errors.toml` by `make gen`; change it there.

/// What kind of failure an error is. Names and numbers are the same in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A defect in BoxLite itself.
    Internal = 1,
    /// The named thing does not exist.
    NotFound = 2,
    /// A thing of that name exists already.
    AlreadyExists = 3,
    /// The thing exists, but cannot do this in the state it is in.
    InvalidState = 4,
    /// The input is malformed or out of range.
    InvalidArgument = 5,
    /// A configuration file or setting cannot be used.
    Config = 6,
    /// Reading or writing the home directory failed.
    Storage = 7,
    /// The image is malformed, or uses something that cannot be supported safely.
    Image = 8,
    /// The other side could not be reached, or broke the conversation off.
    Network = 9,
    /// A command could not be started in the box.
    Execution = 10,
    /// The runtime was shut down, or the box was stopped.
    Stopped = 11,
    /// The isolation engine failed.
    Engine = 12,
    /// This host, engine or build cannot do what was asked.
    Unsupported = 13,
    /// The state database refused a transaction.
    Database = 14,
    /// A limit on memory, processes, files or size was reached.
    ResourceExhausted = 20,
    /// The caller cancelled the operation, and it was rolled back.
    Cancelled = 32,
    /// The operation did not finish within its deadline, and was rolled back.
    Timeout = 33,
    /// The registry wants credentials, or refuses the ones it was given.
    Unauthorized = 34,
    /// Bytes are not what their digest, size or DiffID promises.
    DigestMismatch = 35,
    /// The image does not exist for the platform asked for.
    PlatformMismatch = 36,
    /// Something else still needs the thing that was to be changed.
    InUse = 37,
    /// The disk is full, or would be.
    NoSpace = 38,
    /// The registry asks to wait.
    RateLimited = 39,
    /// The handle was freed, is of another kind, or never existed.
    InvalidHandle = 40,
    /// The runtime was opened before a fork, and cannot be used in the child.
    ForkedProcess = 41,
}

impl ErrorCode {
    /// Every code, in the order of the table.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::Internal,
        ErrorCode::NotFound,
        ErrorCode::AlreadyExists,
        ErrorCode::InvalidState,
        ErrorCode::InvalidArgument,
        ErrorCode::Config,
        ErrorCode::Storage,
        ErrorCode::Image,
        ErrorCode::Network,
        ErrorCode::Execution,
        ErrorCode::Stopped,
        ErrorCode::Engine,
        ErrorCode::Unsupported,
        ErrorCode::Database,
        ErrorCode::ResourceExhausted,
        ErrorCode::Cancelled,
        ErrorCode::Timeout,
        ErrorCode::Unauthorized,
        ErrorCode::DigestMismatch,
        ErrorCode::PlatformMismatch,
        ErrorCode::InUse,
        ErrorCode::NoSpace,
        ErrorCode::RateLimited,
        ErrorCode::InvalidHandle,
        ErrorCode::ForkedProcess,
    ];

    /// Returns the number of the code, the same in every release.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Returns the name of the code.
    #[rustfmt::skip]
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Internal => "Internal",
            ErrorCode::NotFound => "NotFound",
            ErrorCode::AlreadyExists => "AlreadyExists",
            ErrorCode::InvalidState => "InvalidState",
            ErrorCode::InvalidArgument => "InvalidArgument",
            ErrorCode::Config => "Config",
            ErrorCode::Storage => "Storage",
            ErrorCode::Image => "Image",
            ErrorCode::Network => "Network",
            ErrorCode::Execution => "Execution",
            ErrorCode::Stopped => "Stopped",
            ErrorCode::Engine => "Engine",
            ErrorCode::Unsupported => "Unsupported",
            ErrorCode::Database => "Database",
            ErrorCode::ResourceExhausted => "ResourceExhausted",
            ErrorCode::Cancelled => "Cancelled",
            ErrorCode::Timeout => "Timeout",
            ErrorCode::Unauthorized => "Unauthorized",
            ErrorCode::DigestMismatch => "DigestMismatch",
            ErrorCode::PlatformMismatch => "PlatformMismatch",
            ErrorCode::InUse => "InUse",
            ErrorCode::NoSpace => "NoSpace",
            ErrorCode::RateLimited => "RateLimited",
            ErrorCode::InvalidHandle => "InvalidHandle",
            ErrorCode::ForkedProcess => "ForkedProcess",
        }
    }

    /// Returns whether the same call may succeed later, all else unchanged.
    #[rustfmt::skip]
    pub const fn retryable(self) -> bool {
        match self {
            ErrorCode::Internal => false,
            ErrorCode::NotFound => false,
            ErrorCode::AlreadyExists => false,
            ErrorCode::InvalidState => false,
            ErrorCode::InvalidArgument => false,
            ErrorCode::Config => false,
            ErrorCode::Storage => false,
            ErrorCode::Image => false,
            ErrorCode::Network => true,
            ErrorCode::Execution => false,
            ErrorCode::Stopped => false,
            ErrorCode::Engine => false,
            ErrorCode::Unsupported => false,
            ErrorCode::Database => false,
            ErrorCode::ResourceExhausted => true,
            ErrorCode::Cancelled => true,
            ErrorCode::Timeout => true,
            ErrorCode::Unauthorized => false,
            ErrorCode::DigestMismatch => false,
            ErrorCode::PlatformMismatch => false,
            ErrorCode::InUse => true,
            ErrorCode::NoSpace => true,
            ErrorCode::RateLimited => true,
            ErrorCode::InvalidHandle => false,
            ErrorCode::ForkedProcess => false,
        }
    }

    /// Returns the HTTP status that stands for the code.
    #[rustfmt::skip]
    pub const fn http_status(self) -> u16 {
        match self {
            ErrorCode::Internal => 500,
            ErrorCode::NotFound => 404,
            ErrorCode::AlreadyExists => 409,
            ErrorCode::InvalidState => 409,
            ErrorCode::InvalidArgument => 400,
            ErrorCode::Config => 500,
            ErrorCode::Storage => 500,
            ErrorCode::Image => 422,
            ErrorCode::Network => 502,
            ErrorCode::Execution => 422,
            ErrorCode::Stopped => 503,
            ErrorCode::Engine => 500,
            ErrorCode::Unsupported => 501,
            ErrorCode::Database => 500,
            ErrorCode::ResourceExhausted => 429,
            ErrorCode::Cancelled => 499,
            ErrorCode::Timeout => 504,
            ErrorCode::Unauthorized => 401,
            ErrorCode::DigestMismatch => 502,
            ErrorCode::PlatformMismatch => 404,
            ErrorCode::InUse => 409,
            ErrorCode::NoSpace => 507,
            ErrorCode::RateLimited => 429,
            ErrorCode::InvalidHandle => 400,
            ErrorCode::ForkedProcess => 500,
        }
    }

    /// Returns the general advice for the code; empty if there is none.
    #[rustfmt::skip]
    pub const fn hint(self) -> &'static str {
        match self {
            ErrorCode::Internal => "please report it together with the message",
            ErrorCode::NotFound => "check the name; `boxlite images` and `boxlite ps -a` list what exists",
            ErrorCode::AlreadyExists => "choose another name, or remove the existing one first",
            ErrorCode::InvalidState => "",
            ErrorCode::InvalidArgument => "",
            ErrorCode::Config => "correct the setting the message names",
            ErrorCode::Storage => "check the permissions and health of the disk; `boxlite system check` looks at every file",
            ErrorCode::Image => "the image has to be rebuilt or fixed by whoever publishes it",
            ErrorCode::Network => "check that the registry is reachable, then try again",
            ErrorCode::Execution => "check that the program exists in the image and may be executed",
            ErrorCode::Stopped => "open a new runtime, or start the box again",
            ErrorCode::Engine => "`boxlite doctor` says what the engine needs",
            ErrorCode::Unsupported => "",
            ErrorCode::Database => "`boxlite system check` examines the database",
            ErrorCode::ResourceExhausted => "",
            ErrorCode::Cancelled => "",
            ErrorCode::Timeout => "try again with a longer timeout",
            ErrorCode::Unauthorized => "log in to the registry with any docker-compatible tool; `config.json` and its credential helpers are read",
            ErrorCode::DigestMismatch => "the registry, a proxy or the image itself is corrupt; nothing of it was kept",
            ErrorCode::PlatformMismatch => "choose one of the platforms the message names with `--platform`",
            ErrorCode::InUse => "",
            ErrorCode::NoSpace => "free space on the disk of the home directory; `boxlite system df` shows what takes it",
            ErrorCode::RateLimited => "try again later, or log in for a higher limit",
            ErrorCode::InvalidHandle => "",
            ErrorCode::ForkedProcess => "start a program anew, with `exec` or `spawn`, instead of forking",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
