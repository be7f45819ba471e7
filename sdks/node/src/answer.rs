//! What crosses to JavaScript: records and errors as JSON text.

use boxlite::{Error, ErrorCode, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a record.
pub fn text<T: Serialize>(record: T) -> Result<String> {
    serde_json::to_string(&record)
        .map_err(|error| Error::new(ErrorCode::Internal, format!("a record cannot be written: {error}")))
}

/// Reads what somebody wrote as `what`.
///
/// # Errors
/// `InvalidArgument`, saying what does not belong.
pub fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let (full, place) = (error.to_string(), format!(" at line {} column", error.line()));
        // What serde calls a field is an option to whoever wrote it.
        let why = full.split(&place).next().unwrap_or(&full).replacen("unknown field", "unknown option", 1);
        Error::new(ErrorCode::InvalidArgument, format!("{what}: {why}"))
    })
}

/// Writes an error, as `{code, message, operation, context, retryable, hint, source}`.
pub fn error_text(error: &Error) -> String {
    serde_json::to_string(error).unwrap_or_else(|_| "{}".into())
}

/// Writes an answer that is not a promise: `None` if all is well.
pub fn refusal(result: Result<()>) -> Option<String> {
    result.err().as_ref().map(error_text)
}

/// The answer to waiting that its caller gave up.
pub fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the operation was cancelled")
}
