//! `api/errors.toml` to the Rust type and the table in the docs.

use std::collections::HashSet;
use std::fmt::Write;

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
    Ok(vec![
        Generated { path: "crates/boxlite-types/src/error_code.rs", text: rust(&table.error) },
        Generated { path: "docs/errors.md", text: docs(&table.error) },
    ])
}

fn rust(entries: &[Entry]) -> String {
    let mut out = String::from(
        "//! Generated from `api/errors.toml` by `make gen`; change it there.\n\n\
         /// What kind of failure an error is. Names and numbers are the same in every language.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]\n\
         #[repr(i32)]\n#[non_exhaustive]\npub enum ErrorCode {\n",
    );
    for entry in entries {
        let Entry { code, number, meaning, .. } = entry;
        let _ = writeln!(out, "    /// {}.\n    {code} = {number},", capitalised(meaning));
    }
    out.push_str("}\n\nimpl ErrorCode {\n    /// Every code, in the order of the table.\n    pub const ALL: &'static [ErrorCode] = &[\n");
    for entry in entries {
        let _ = writeln!(out, "        ErrorCode::{},", entry.code);
    }
    out.push_str("    ];\n\n    /// Returns the number of the code, the same in every release.\n    pub const fn number(self) -> i32 {\n        self as i32\n    }\n");
    match_method(&mut out, entries, "Returns the name of the code.", "as_str", "&'static str", |e| {
        format!("{:?}", e.code)
    });
    match_method(
        &mut out,
        entries,
        "Returns whether the same call may succeed later, all else unchanged.",
        "retryable",
        "bool",
        |e| e.retryable.to_string(),
    );
    match_method(
        &mut out,
        entries,
        "Returns the HTTP status that stands for the code.",
        "http_status",
        "u16",
        |e| e.http.to_string(),
    );
    match_method(
        &mut out,
        entries,
        "Returns the general advice for the code; empty if there is none.",
        "hint",
        "&'static str",
        |e| format!("{:?}", e.hint),
    );
    out.push_str(
        "}\n\nimpl std::fmt::Display for ErrorCode {\n    \
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {\n        f.write_str(self.as_str())\n    }\n}\n",
    );
    out
}

fn match_method(
    out: &mut String,
    entries: &[Entry],
    doc: &str,
    name: &str,
    ty: &str,
    value: impl Fn(&Entry) -> String,
) {
    let _ = writeln!(
        out,
        "\n    /// {doc}\n    #[rustfmt::skip]\n    pub const fn {name}(self) -> {ty} {{\n        match self {{"
    );
    for entry in entries {
        let _ = writeln!(out, "            ErrorCode::{} => {},", entry.code, value(entry));
    }
    out.push_str("        }\n    }\n");
}

fn docs(entries: &[Entry]) -> String {
    let mut out = String::from(
        "# Errors\n\n<!-- Generated from `api/errors.toml` by `make gen`; change it there. -->\n\n\
         Every failure carries one of these codes, in every language and on the command line (`--format json`). A number\n\
         never changes its meaning.\n\n| code | number | meaning | retryable | HTTP | what to do |\n|---|---|---|---|---|---|\n",
    );
    for Entry { code, number, meaning, retryable, http, hint } in entries {
        let retryable = if *retryable { "yes" } else { "no" };
        let _ = writeln!(out, "| `{code}` | {number} | {meaning} | {retryable} | {http} | {hint} |");
    }
    out
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
