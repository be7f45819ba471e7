//! The table as JavaScript and its types: a class per code.

use std::fmt::Write;

use super::{Entry, capitalised};

const HEAD: &str = "// Generated from `api/errors.toml` by `make gen`; change it there.\n";

pub fn classes(entries: &[Entry]) -> String {
    let mut out = format!("{HEAD}'use strict';\n\nconst {{ BoxliteError }} = require('./error.js');\n\n");
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "class {code}Error extends BoxliteError {{}}");
    }
    out.push_str("\n/** The number of each code: the same in every language. */\nconst ErrorNumber = Object.freeze({\n");
    for Entry { code, number, .. } in entries {
        let _ = writeln!(out, "  {code}: {number},");
    }
    out.push_str("});\n\n/** The class of each code. */\nconst ErrorClass = Object.freeze({\n");
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "  {code}: {code}Error,");
    }
    out.push_str("});\n\nmodule.exports = {\n  ErrorNumber,\n  ErrorClass,\n");
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "  {code}Error,");
    }
    out.push_str("};\n");
    out
}

pub fn types(entries: &[Entry]) -> String {
    let mut out = format!(
        "{HEAD}\nimport {{ BoxliteError }} from './error';\n\n/** What kind of failure an error is. */\nexport type ErrorCode =\n"
    );
    let codes: Vec<_> = entries.iter().map(|entry| format!("  | '{}'", entry.code)).collect();
    let _ = writeln!(
        out,
        "{};\n\n/** The number of each code: the same in every language. */\nexport declare const ErrorNumber: Readonly<Record<ErrorCode, number>>;\n\n/** The class of each code. */\nexport declare const ErrorClass: Readonly<Record<ErrorCode, typeof BoxliteError>>;\n",
        codes.join("\n")
    );
    for Entry { code, meaning, .. } in entries {
        let _ = writeln!(
            out,
            "/** {}. */\nexport declare class {code}Error extends BoxliteError {{}}",
            capitalised(meaning)
        );
    }
    out
}
