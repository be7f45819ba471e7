//! The table as Python: an exception class per code.

use std::fmt::Write;

use super::{Entry, capitalised};

/// What else an exception is, so that code which knows nothing of BoxLite catches it.
const ALSO: [(&str, &str); 2] = [("Timeout", "builtins.TimeoutError"), ("ForkedProcess", "RuntimeError")];

pub fn classes(entries: &[Entry]) -> String {
    let mut out = String::from(
        "# Generated from `api/errors.toml` by `make gen`; change it there.\n\
         \"\"\"An exception class for each error code. Names and numbers are the same in every language.\"\"\"\n\n\
         import builtins\n\nfrom ._error import BoxliteError\n",
    );
    for Entry { code, number, meaning, retryable, .. } in entries {
        let also = ALSO.iter().find(|(known, _)| known == code);
        let also = also.map_or(String::new(), |(_, base)| format!(", {base}"));
        let retryable = capitalised(&retryable.to_string());
        let _ = writeln!(
            out,
            "\n\nclass {code}Error(BoxliteError{also}):\n    \"\"\"{}.\"\"\"\n\n    code = {code:?}\n    number = {number}\n    retryable = {retryable}",
            capitalised(meaning)
        );
    }
    out.push_str("\n\nBY_CODE: dict[str, type[BoxliteError]] = {\n");
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "    {code:?}: {code}Error,");
    }
    out.push_str("}\n\n__all__ = [\n");
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "    \"{code}Error\",");
    }
    out.push_str("]\n");
    out
}
