//! The project's chores that are more than one command: `cargo xtask <chore>`.
//!
//! `gen` writes every generated file; `check-gen` fails if one of them is stale. The Makefile is the way in for people.

mod generate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The root of the checkout this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the checkout").to_owned()
}

fn main() -> ExitCode {
    let chore = std::env::args().nth(1).unwrap_or_default();
    let result = match chore.as_str() {
        "gen" => generate::write(&root()),
        "check-gen" => generate::check(&root()),
        _ => Err(anyhow::anyhow!("usage: cargo xtask gen|check-gen")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
