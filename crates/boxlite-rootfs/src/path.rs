//! Paths inside an image: bytes, relative to its root, without `.`, `..` or empty components.
//!
//! Cleaning is lexical, as umoci does it: `..` takes away the component before it and stops at the root, an absolute
//! path counts from the root. Symbolic links are not looked at here; [`crate::tree`] resolves them.

use std::borrow::Cow;

use boxlite_types::{Context, Error, ErrorCode, Result};

/// Longest name of one file that a Linux kernel takes (`NAME_MAX`), in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Writes the cleaned form of `path` over `clean`; the root is the empty path.
pub(crate) fn clean(path: &[u8], max_bytes: usize, clean: &mut Vec<u8>) -> Result<()> {
    clean.clear();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => clean.truncate(parent(clean).len()),
            name if name.len() > MAX_NAME_BYTES => {
                return Err(refused(
                    path,
                    format_args!("a name of {} bytes is longer than {MAX_NAME_BYTES}", name.len()),
                ));
            }
            name if name.contains(&0) => return Err(refused(path, "a name holds a NUL byte")),
            name => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(name);
            }
        }
        if clean.len() > max_bytes {
            return Err(refused(path, format_args!("its path is longer than {max_bytes} bytes")));
        }
    }
    Ok(())
}

/// Returns the directory part of a cleaned path: all before the last component.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |slash| &path[..slash])
}

/// Returns the last component of a cleaned path; empty for the root.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(path, |slash| &path[slash + 1..])
}

/// Returns the path as text for one line of a message: odd bytes are escaped, absurd lengths cut.
pub(crate) fn printable(path: &[u8]) -> Cow<'_, str> {
    const SHOWN_BYTES: usize = 200;
    if path.len() > SHOWN_BYTES {
        return format!("{}...", path[..SHOWN_BYTES].escape_ascii()).into();
    }
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => path.escape_ascii().to_string().into(),
    }
}

/// Makes the error for an entry that no file system should hold.
pub(crate) fn refused(path: &[u8], why: impl std::fmt::Display) -> Error {
    let entry = printable(path);
    Error::new(ErrorCode::Image, format!("malformed layer: entry `{entry}`: {why}"))
        .with(Context::Entry, entry)
}

/// Makes the error for an entry that goes beyond a budget.
pub(crate) fn exhausted(path: &[u8], why: impl std::fmt::Display) -> Error {
    let entry = printable(path);
    Error::new(ErrorCode::ResourceExhausted, format!("layer too large: entry `{entry}`: {why}"))
        .with(Context::Entry, entry)
        .retryable(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: &str) {
        let mut cleaned = Vec::new();
        clean(path.as_bytes(), 4095, &mut cleaned).unwrap();
        assert_eq!(String::from_utf8(cleaned).unwrap(), expect, "{path}");
    }

    #[test]
    fn paths_are_cleaned_and_clamped() {
        check("a/b", "a/b");
        check("./a//b/./c/", "a/b/c");
        check("/a/../../../b", "b");
        check("..", "");
        check("./", "");
        check("", "");
        check("a/..b/...", "a/..b/...");
    }

    #[test]
    fn what_no_kernel_takes_is_refused_by_name() {
        let refusal = |path: &[u8]| clean(path, 4095, &mut Vec::new()).unwrap_err();
        assert_eq!(refusal(&[b'x'; 256]).code(), ErrorCode::Image);
        assert_eq!(refusal(b"a/b\0c").context()[&Context::Entry], "a/b\\x00c");
        assert!(refusal(&b"x/".repeat(3000)).message().contains("longer than 4095"));
        clean(&[b'x'; 255], 4095, &mut Vec::new()).unwrap();
    }
}
