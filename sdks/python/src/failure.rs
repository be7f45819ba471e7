//! Errors on their way to Python, where `boxlite._error` makes exceptions of them.
//!
//! They are handed over as values, not raised: making an exception runs Python code, and a thread that runs Python code
//! below native frames cannot be ended cleanly when the interpreter exits.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;

use boxlite::{Error, ErrorCode};
use pyo3::prelude::*;

/// What an operation failed with: the fields of the library's error.
#[pyclass(frozen, module = "boxlite._native")]
pub struct Failure(pub Error);

#[pymethods]
impl Failure {
    #[getter]
    fn code(&self) -> &'static str {
        self.0.code().as_str()
    }

    #[getter]
    fn message(&self) -> &str {
        self.0.message()
    }

    #[getter]
    fn operation(&self) -> Option<&str> {
        self.0.operation()
    }

    #[getter]
    fn context(&self) -> BTreeMap<&'static str, &str> {
        self.0.context().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[getter]
    fn retryable(&self) -> bool {
        self.0.is_retryable()
    }

    #[getter]
    fn hint(&self) -> Option<&str> {
        self.0.hint_text()
    }

    #[getter]
    fn source(&self) -> Option<String> {
        self.0.source().map(ToString::to_string)
    }
}

/// Takes the library's own error out of one that went through an I/O interface.
pub fn from_io(error: io::Error) -> Error {
    let broken = error.kind() == io::ErrorKind::BrokenPipe;
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) if broken => {
            Error::new(ErrorCode::InvalidState, "the command takes no more input").caused_by(error)
        }
        Err(error) => {
            Error::new(ErrorCode::Network, format!("the stream to the box broke: {error}")).caused_by(error)
        }
    }
}
