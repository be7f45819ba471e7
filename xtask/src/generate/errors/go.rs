//! The table as Go: a code is an error itself, so that it is constant, sentinel of `errors.Is` and field of `*Error` in one.

use std::fmt::Write;

use super::Entry;

pub fn sentinels(entries: &[Entry]) -> String {
    let mut out = String::from(
        "// Code generated from api/errors.toml by `make gen`; DO NOT EDIT.\n\npackage boxlite\n\nimport \"errors\"\n\n\
         // ErrorCode is the kind of a failure. It is an error itself, for errors.Is:\n//\n\
         //\tif errors.Is(err, boxlite.ErrStopped) { ... }\n//\n\
         // Names and numbers are the same in every language; a number never changes its meaning.\ntype ErrorCode int32\n\nconst (\n",
    );
    for Entry { code, number, meaning, .. } in entries {
        let _ = writeln!(out, "\t// Err{code}: {meaning}.\n\tErr{code} ErrorCode = {number}");
    }
    out.push_str(")\n\nvar errorCodeNames = map[ErrorCode]string{\n");
    let width = entries.iter().map(|entry| entry.code.len()).max().unwrap_or_default();
    for Entry { code, .. } in entries {
        let space = " ".repeat(width - code.len() + 1);
        let _ = writeln!(out, "\tErr{code}:{space}{code:?},");
    }
    out.push_str("}\n");
    for Entry { code, meaning, .. } in entries {
        let _ = writeln!(
            out,
            "\n// Is{code} reports whether err says: {meaning}.\nfunc Is{code}(err error) bool {{ return errors.Is(err, Err{code}) }}"
        );
    }
    out
}
