//! Where a copy lands: the path rules of `docker cp`, as a pure function of two paths and what is at the destination.
//!
//! | source | destination | lands as |
//! |---|---|---|
//! | file | does not exist | that name, in its parent directory |
//! | file | a file | replaces it |
//! | file | a directory | the source's name, in it |
//! | file | does not exist, ends in `/` | an error |
//! | directory | does not exist | that name, holding the source's contents |
//! | directory | a file | an error |
//! | directory | a directory | the source's name, in it |
//! | directory written `dir/.` | a directory | its contents, in it |

use boxlite_types::{Context, Error, ErrorCode, Result};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Other,
    Missing,
}

/// Where the archive goes: entry `name` of the existing directory `directory`, or the directory itself without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub directory: String,
    pub name: Option<String>,
}

/// Decides where the source `source` lands. `source_name` is what it is called when it keeps its name.
///
/// # Errors
/// `InvalidArgument` if the two do not go together.
pub(super) fn place(
    source: &str,
    source_name: &str,
    source_kind: Kind,
    destination: &str,
    found: Kind,
) -> Result<Place> {
    let refuse = |why: &str| {
        Err(Error::new(
            ErrorCode::InvalidArgument,
            format!("cannot copy `{source}` to `{destination}`: {why}"),
        )
        .with(Context::Path, destination))
    };
    let into = |directory: &str, name: &str| {
        Ok(Place { directory: directory.to_owned(), name: Some(name.to_owned()) })
    };
    let contents = source_kind == Kind::Directory && is_contents(source);
    match (source_kind, found) {
        (Kind::Missing, _) => refuse("the source does not exist"),
        (_, Kind::Directory) if contents => Ok(Place { directory: destination.to_owned(), name: None }),
        // The root has no name of its own: it can only be copied as its contents.
        (_, Kind::Directory) if source_name.is_empty() => {
            Ok(Place { directory: destination.to_owned(), name: None })
        }
        (_, Kind::Directory) => into(destination, source_name),
        (Kind::Directory, Kind::Other) => refuse("the destination is no directory"),
        (Kind::Other, Kind::Other) if destination.ends_with('/') => refuse("the destination is no directory"),
        (Kind::Other, Kind::Missing) if destination.ends_with('/') => {
            refuse("the destination directory does not exist")
        }
        (_, Kind::Other | Kind::Missing) => {
            let (directory, name) = split(destination);
            match name {
                Some(name) => into(directory, name),
                None => refuse("the destination has no name"),
            }
        }
    }
}

/// Returns whether a path means what is in a directory, not the directory: it ends in `/.` or is `.`.
pub(super) fn is_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.") || path.ends_with("/./")
}

/// Splits a path into its directory and its last name; no name for `/`, `.` and `..`.
pub(super) fn split(path: &str) -> (&str, Option<&str>) {
    let trimmed = path.trim_end_matches('/');
    let (directory, name) = match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => (".", trimmed),
    };
    (directory, Some(name).filter(|name| !matches!(*name, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use super::Kind::*;
    use super::*;

    #[test]
    fn copies_land_where_docker_puts_them() {
        let check =
            |source: &str, kind: Kind, destination: &str, found: Kind, expect: Option<(&str, &str)>| {
                let name = split(source.trim_end_matches("/.")).1.unwrap_or_default();
                let place = place(source, name, kind, destination, found).ok();
                let place = place.as_ref().map(|p| (p.directory.as_str(), p.name.as_deref().unwrap_or("")));
                assert_eq!(place, expect, "{source} {kind:?} -> {destination} {found:?}");
            };
        check("a", Other, "/x/b", Missing, Some(("/x", "b")));
        check("a", Other, "/x/b", Other, Some(("/x", "b")));
        check("a", Other, "/x/b", Directory, Some(("/x/b", "a")));
        check("a", Other, "/x/b/", Directory, Some(("/x/b/", "a")));
        check("a", Other, "/x/b/", Missing, None);
        check("a", Other, "/x/b/", Other, None);
        check("a", Other, "/b", Missing, Some(("/", "b")));
        check("a", Other, "b", Missing, Some((".", "b")));
        check("/d", Directory, "/x", Missing, Some(("/", "x")));
        check("/d/", Directory, "/x/", Missing, Some(("/", "x")));
        check("/d", Directory, "/x", Other, None);
        check("/d", Directory, "/x", Directory, Some(("/x", "d")));
        check("/d/.", Directory, "/x", Directory, Some(("/x", "")));
        check("/d/.", Directory, "/x", Missing, Some(("/", "x")));
        check("/", Directory, "/x", Directory, Some(("/x", "")));
        check("a", Missing, "/x", Directory, None);
        check("a", Other, "/", Missing, None);
        check("/d", Directory, "/x/..", Missing, None);
    }
}
