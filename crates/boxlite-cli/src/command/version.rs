//! `boxlite version`.

use serde_json::json;

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::{print, print_json};

/// Prints the version of this build and the platform it was built for.
pub fn execute(format: Format) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let platform = boxlite::Platform::host();
    match format {
        Format::Table => print(format_args!("boxlite {version} ({platform})\n"))?,
        Format::Json => print_json(&json!({ "version": version, "platform": platform.to_string() }))?,
    }
    Ok(0)
}
