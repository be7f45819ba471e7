//! Finding a held image by what a person writes: a reference, a digest, or the beginning of an id.

use boxlite_state::rusqlite::{Connection, Result as Sql};
use boxlite_types::{Context, Digest, Error, ErrorCode, Platform, Result};

use super::Inner;
use super::rows::{self, HeldReference};
use crate::{ImageName, Reference, selection};

/// Something that may name a held image.
pub(crate) struct Lookup {
    text: String,
    /// Complete names it can stand for, best first.
    names: Vec<ImageName>,
    /// Hex digits an id may begin with.
    prefix: Option<String>,
}

impl Lookup {
    /// Reads `text`.
    ///
    /// # Errors
    /// `InvalidArgument` if it can be neither a reference nor an id.
    pub(crate) fn parse(store: &Inner, text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex =
            !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let prefix = is_hex.then(|| hex.to_owned());
        let names = if is_hex && (text.len() != hex.len() || hex.len() == 64) {
            Vec::new()
        } else {
            let names = text.parse::<Reference>().and_then(|reference| store.names(&reference));
            match names {
                Ok(names) => names,
                Err(_) if is_hex => Vec::new(),
                Err(error) => return Err(error),
            }
        };
        Ok(Lookup { text: text.to_owned(), names, prefix })
    }

    /// Returns everything the text names: one name for all its platforms, or all names of one image.
    pub(crate) fn all(&self, connection: &Connection) -> Sql<Result<Vec<HeldReference>>> {
        for name in &self.names {
            let held = rows::references(connection, name)?;
            if !held.is_empty() {
                return Ok(Ok(held));
            }
        }
        let ids = match &self.prefix {
            Some(prefix) => rows::ids_beginning(connection, prefix)?,
            None => Vec::new(),
        };
        match ids.as_slice() {
            [] => Ok(Err(self.not_found())),
            [id] => rows::references_to(connection, id).map(Ok),
            _ => Ok(Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("`{}` is the beginning of more than one image id", self.text),
            )
            .hint("give more digits"))),
        }
    }

    /// Returns the one image the text names, for `platform` or else for the host's if there is a choice.
    pub(crate) fn one(
        &self,
        connection: &Connection,
        platform: Option<&Platform>,
    ) -> Sql<Result<HeldReference>> {
        let held = match self.all(connection)? {
            Ok(held) => held,
            Err(error) => return Ok(Err(error)),
        };
        let wanted = selection::normalize(&platform.cloned().unwrap_or_else(Platform::host));
        let exact = held.iter().find(|held| {
            held.resolved_for == wanted.to_string() || selection::normalize(&held.info.platform) == wanted
        });
        Ok(match (exact, platform, held.first()) {
            (Some(exact), ..) => Ok(exact.clone()),
            (None, None, Some(first)) => Ok(first.clone()),
            _ => {
                let mut names: Vec<String> = held.iter().map(|held| held.info.platform.to_string()).collect();
                names.dedup();
                Err(selection::mismatch(&wanted, &names).with(Context::Reference, &self.text))
            }
        })
    }

    fn not_found(&self) -> Error {
        Error::new(ErrorCode::NotFound, format!("image `{}` is not held", self.text))
            .with(Context::Reference, &self.text)
            .hint("`boxlite images` lists what is; `boxlite pull` fetches more")
    }
}

/// Returns the references of `id` other than none.
pub(crate) fn names_of(connection: &Connection, id: &Digest) -> Sql<Vec<String>> {
    let held = rows::references_to(connection, id)?;
    let named = held.into_iter().filter(|held| !held.resolved_for.is_empty());
    let mut names: Vec<String> = named.map(|held| held.info.reference).collect();
    names.dedup();
    Ok(names)
}
