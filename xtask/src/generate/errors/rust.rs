//! The table as Rust: the type of boxlite-types, and the status of the C ABI with its mapping.

use std::fmt::Write;

use super::{Entry, capitalised, screaming};

pub fn types(entries: &[Entry]) -> String {
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

/// The statuses of the C ABI. The mapping is an array of all codes, whose length is checked: a new code does not compile
/// until it has a status.
pub fn statuses(entries: &[Entry]) -> String {
    let mut out = String::from(
        "//! Generated from `api/errors.toml` by `make gen`; change it there.\n\nuse boxlite::ErrorCode;\n\n\
         /// How a call ended. Numbers never change their meaning.\n\
         #[allow(non_camel_case_types)]\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\n#[repr(i32)]\n\
         pub enum boxlite_status {\n    /// Success.\n    BOXLITE_OK = 0,\n",
    );
    for Entry { code, number, meaning, .. } in entries {
        let _ =
            writeln!(out, "    /// {}.\n    BOXLITE_{} = {number},", capitalised(meaning), screaming(code));
    }
    let _ = writeln!(
        out,
        "}}\n\n#[rustfmt::skip]\nconst CODES: [(ErrorCode, boxlite_status); {}] = [",
        entries.len()
    );
    for Entry { code, .. } in entries {
        let _ = writeln!(out, "    (ErrorCode::{code}, boxlite_status::BOXLITE_{}),", screaming(code));
    }
    out.push_str(
        "];\n\nconst _: () = assert!(CODES.len() == ErrorCode::ALL.len(), \"stale: run `make gen`\");\n\n\
         impl From<ErrorCode> for boxlite_status {\n    fn from(code: ErrorCode) -> Self {\n        \
         let found = CODES.iter().find(|(known, _)| *known == code);\n        \
         found.map_or(boxlite_status::BOXLITE_INTERNAL, |(_, status)| *status)\n    }\n}\n",
    );
    out
}
