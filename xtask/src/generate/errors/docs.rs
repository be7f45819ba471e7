//! The table as a page.

use std::fmt::Write;

use super::Entry;

pub fn table(entries: &[Entry]) -> String {
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
