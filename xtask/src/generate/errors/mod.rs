//! `api/errors.toml` to the error types of every language and the table in the docs.

mod docs;
mod go;
mod node;
mod python;
mod rust;

use std::collections::HashSet;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::Generated;

#[derive(Deserialize)]
struct Table {
    error: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    code: String,
    number: i32,
    meaning: String,
    retryable: bool,
    http: u16,
    hint: String,
}

pub fn generate(toml: &str) -> Result<Vec<Generated>> {
    let table: Table = toml::from_str(toml)?;
    let (mut codes, mut numbers) = (HashSet::new(), HashSet::from([0]));
    for entry in &table.error {
        if !codes.insert(&entry.code) || !numbers.insert(entry.number) {
            bail!("errors.toml: `{}` ({}) is there twice", entry.code, entry.number);
        }
    }
    let entries = &table.error;
    Ok([
        ("crates/boxlite-types/src/error_code.rs", rust::types(entries)),
        ("crates/boxlite-ffi/src/status.rs", rust::statuses(entries)),
        ("sdks/go/error_codes.go", go::sentinels(entries)),
        ("sdks/python/python/boxlite/_error_codes.py", python::classes(entries)),
        ("sdks/node/lib/error-codes.js", node::classes(entries)),
        ("sdks/node/lib/error-codes.d.ts", node::types(entries)),
        ("docs/errors.md", docs::table(entries)),
    ]
    .map(|(path, text)| Generated { path, text })
    .into())
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// `NotFound` as `NOT_FOUND`.
fn screaming(code: &str) -> String {
    let mut out = String::new();
    for letter in code.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}
