//! The one error type of the product: data first, prose second.
//!
//! An [`Error`] is a code, a one-line message that names the thing, and separate fields for everything a program or a
//! person might want next: operation, context, hint, whether a retry can help, and the cause. It is one pointer wide.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::ErrorCode;

/// The result of everything in BoxLite that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error happened to: the well-known keys of its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Context {
    /// Image reference as it was given.
    Reference,
    /// Digest of the blob or manifest.
    Digest,
    /// Registry, as `host[:port]`.
    Registry,
    /// Path on the host.
    Path,
    /// Id or name of a box.
    Box,
    /// Path inside an image or a box.
    Entry,
    /// Platform, as `os/architecture[/variant]`.
    Platform,
    /// HTTP status received.
    Status,
}

impl Context {
    /// Returns the key as it is printed and serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Context::Reference => "reference",
            Context::Digest => "digest",
            Context::Registry => "registry",
            Context::Path => "path",
            Context::Box => "box",
            Context::Entry => "entry",
            Context::Platform => "platform",
            Context::Status => "status",
        }
    }
}

/// A failure, with what it happened to and what to do about it.
pub struct Error(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    operation: Option<Cow<'static, str>>,
    context: BTreeMap<Context, String>,
    retryable: bool,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error; `message` is one line without a trailing period that says what failed and on what.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let hint = code.hint();
        Error(Box::new(Inner {
            code,
            message: message.into(),
            operation: None,
            context: BTreeMap::new(),
            retryable: code.retryable(),
            hint: (!hint.is_empty()).then_some(Cow::Borrowed(hint)),
            source: None,
        }))
    }

    /// Makes a storage error out of a failed file operation on `path`; a full disk becomes [`ErrorCode::NoSpace`].
    pub fn io(action: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        let code = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
            _ => ErrorCode::Storage,
        };
        Error::new(code, format!("cannot {action} `{}`: {source}", path.display()))
            .with(Context::Path, path.display().to_string())
            .caused_by(source)
    }

    /// Names the operation that failed, as `images.pull`; an operation already named stays.
    #[must_use]
    pub fn during(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    /// Adds what the error happened to; a value already there stays, since the innermost one knows best.
    #[must_use]
    pub fn with(mut self, key: Context, value: impl Into<String>) -> Self {
        self.0.context.entry(key).or_insert_with(|| value.into());
        self
    }

    /// Replaces the hint: what to do now, as one line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Overrides whether the same call may succeed later.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Attaches the underlying failure.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Returns the one-line message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the operation that failed, where it is known.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Returns what the error happened to.
    pub fn context(&self) -> &BTreeMap<Context, String> {
        &self.0.context
    }

    /// Returns whether the same call may succeed later without the caller changing anything.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Returns what to do about it, where there is something to say.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        if let Some(operation) = &self.0.operation {
            write!(f, " [{operation}]")?;
        }
        for (key, value) in &self.0.context {
            write!(f, " {}={value}", key.as_str())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// The fields of contract.md, as `{code, message, operation, context, retryable, hint, source}`.
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Error", 7)?;
        fields.serialize_field("code", self.0.code.as_str())?;
        fields.serialize_field("message", &self.0.message)?;
        fields.serialize_field("operation", &self.0.operation)?;
        fields.serialize_field("context", &self.0.context)?;
        fields.serialize_field("retryable", &self.0.retryable)?;
        fields.serialize_field("hint", &self.0.hint)?;
        fields.serialize_field("source", &self.0.source.as_ref().map(|source| source.to_string()))?;
        fields.end()
    }
}

/// Adds operation and context to the error of a result on its way up.
pub trait ResultExt<T> {
    /// Names the operation; see [`Error::during`].
    fn during(self, operation: &'static str) -> Result<T>;
    /// Adds context; see [`Error::with`].
    fn with(self, key: Context, value: impl fmt::Display) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|error| error.during(operation))
    }

    fn with(self, key: Context, value: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.with(key, value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_context_and_operation_win() {
        let error = Error::new(ErrorCode::NotFound, "no such image `a`")
            .with(Context::Reference, "inner")
            .with(Context::Reference, "outer")
            .during("images.get")
            .during("boxes.create");
        assert_eq!(error.context()[&Context::Reference], "inner");
        assert_eq!(error.operation(), Some("images.get"));
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let path = std::path::Path::new("/x");
        let full = Error::io("write", path, std::io::ErrorKind::StorageFull.into());
        let broken = Error::io("write", path, std::io::ErrorKind::PermissionDenied.into());
        assert_eq!((full.code(), broken.code()), (ErrorCode::NoSpace, ErrorCode::Storage));
        assert!(full.is_retryable() && !broken.is_retryable());
    }
}
