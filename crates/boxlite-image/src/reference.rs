//! Names of images, by the grammar of the distribution project (`reference`, "Grammar").
//!
//! A [`Reference`] is what a person wrote; it may lack the host. An [`ImageName`] is complete and is what the store keeps.
//! Nothing is completed from a built-in host: there is none.

use std::fmt;
use std::str::FromStr;

use boxlite_types::{Context, Digest, Error, ErrorCode, Result};

/// Longest repository path.
const PATH_BYTES: usize = 255;
/// Longest tag.
const TAG_BYTES: usize = 128;

/// Characters of a malformed reference that are repeated in the error.
const SHOWN_CHARACTERS: usize = 100;

/// A parsed reference: `[host[:port]/]path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    host: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Which image of a repository is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The one a tag points at now.
    Tag(String),
    /// The one with this digest, for ever.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Tag(tag) => f.write_str(tag),
            Selector::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A complete name: registry, repository, and tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// Registry, as `host[:port]`.
    pub host: String,
    /// Path of the repository at the registry.
    pub path: String,
    /// Tag or digest.
    pub selector: Selector,
}

impl Reference {
    /// Returns the registry, if the reference names one.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Returns the path of the repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the tag as it was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest as it was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Completes the reference, with `host` if it has none. A digest decides over a tag; without both the tag is `latest`.
    pub fn at(&self, host: &str) -> ImageName {
        let selector = match (&self.digest, &self.tag) {
            (Some(digest), _) => Selector::Digest(*digest),
            (None, Some(tag)) => Selector::Tag(tag.clone()),
            (None, None) => Selector::Tag("latest".into()),
        };
        ImageName {
            host: self.host.clone().unwrap_or_else(|| host.to_owned()),
            path: self.path.clone(),
            selector,
        }
    }
}

impl ImageName {
    /// Returns `host/path`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// Returns the tag; empty for a name by digest.
    pub fn tag(&self) -> &str {
        match &self.selector {
            Selector::Tag(tag) => tag,
            Selector::Digest(_) => "",
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if matches!(self.selector, Selector::Tag(_)) { ':' } else { '@' };
        write!(f, "{}/{}{separator}{}", self.host, self.path, self.selector)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |why: &str| {
            let shown = printable(text);
            Error::new(ErrorCode::InvalidArgument, format!("malformed image reference `{shown}`: {why}"))
                .with(Context::Reference, shown)
                .hint("write it as `host/repository:tag` or `host/repository@sha256:...`")
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse::<Digest>().map_err(|error| malformed(why_no_digest(&error)))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon is the start of a tag only after the last slash; before it, it is the one of a port.
        let tail = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[tail..].split_once(':') {
            Some((last, tag)) => (&name[..tail + last.len()], Some(tag)),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(malformed(
                "a tag is up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two",
            ));
        }
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if looks_like_host(first) => (Some(first), rest),
            _ => (None, name),
        };
        if host.is_some_and(|host| !is_host(host)) {
            return Err(malformed("the registry is no `host[:port]`"));
        }
        if path.is_empty() {
            return Err(malformed("it names no repository"));
        }
        if path.len() > PATH_BYTES {
            return Err(malformed("the repository is longer than 255 characters"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(malformed(
                "a repository is made of lower-case letters and digits, joined by `.`, `_`, `__`, `-` or `/`",
            ));
        }
        if host.is_none()
            && digest.is_none()
            && path.len() == 64
            && path.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(malformed("64 hex digits are an image id, not a name"));
        }
        Ok(Reference { host: host.map(Into::into), path: path.into(), tag: tag.map(Into::into), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// Returns what is wrong with a digest, without repeating it.
fn why_no_digest(error: &Error) -> &str {
    error.message().rsplit_once("`: ").map_or("it has a malformed digest", |(_, why)| why)
}

/// Makes any text fit for one line of a message: escaped, and not endless.
fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Tells a registry from the first component of a path, by docker's rule: a dot, a port, `localhost`, or a capital letter.
fn looks_like_host(first: &str) -> bool {
    first.contains(['.', ':', '[']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=TAG_BYTES).contains(&tag.len())
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// `[a-z0-9]+`, joined by single separators: `.`, `_`, `__`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(word) || !bytes.last().is_some_and(word) {
        return false;
    }
    bytes
        .split(word)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

#[cfg(test)]
mod tests;
