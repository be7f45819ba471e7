//! Values on their way in and out: the library's types as dictionaries of their serialised fields.

use std::time::Duration;

use boxlite::{Error, ErrorCode, Platform, PullPolicy, Result};
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes a Python value of any value of the library.
pub fn to_python<T: Serialize>(py: Python<'_>, value: &T) -> PyResult<Py<PyAny>> {
    Ok(pythonize::pythonize(py, value)?.unbind())
}

/// Makes a value of the library out of a Python dictionary.
///
/// # Errors
/// `InvalidArgument`, saying which field cannot be used.
pub fn from_python<T: DeserializeOwned>(what: &str, value: &Bound<'_, PyAny>) -> Result<T> {
    pythonize::depythonize(value)
        .map_err(|error| Error::new(ErrorCode::InvalidArgument, format!("malformed {what}: {error}")))
}

/// Reads a platform; none for `None`.
///
/// # Errors
/// `InvalidArgument`.
pub fn platform(text: Option<&str>) -> Result<Option<Platform>> {
    text.map(str::parse).transpose()
}

/// Reads a pull policy.
///
/// # Errors
/// `InvalidArgument`.
pub fn policy(text: Option<&str>) -> Result<PullPolicy> {
    match text {
        None | Some("always") => Ok(PullPolicy::Always),
        Some("missing") => Ok(PullPolicy::Missing),
        Some("never") => Ok(PullPolicy::Never),
        Some(other) => Err(Error::new(ErrorCode::InvalidArgument, format!("unknown pull policy `{other}`"))
            .hint("it is `always`, `missing` or `never`")),
    }
}

/// Reads a number of seconds.
///
/// # Errors
/// `InvalidArgument` for one that is negative or no number.
pub fn seconds(what: &str, value: f64) -> Result<Duration> {
    if value == f64::INFINITY {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(value).map_err(|_| {
        Error::new(ErrorCode::InvalidArgument, format!("{what} of {value} s is not a length of time"))
    })
}
