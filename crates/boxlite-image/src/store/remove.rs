//! Giving things up: removing references, deleting the images nobody needs, and the files nobody needs after that.
//!
//! Rows go first, in one transaction; then each piece of content is deleted under its exclusive lock, once no row needs
//! it. A pull in any process that is about to point a row at it holds the shared lock, so it is left alone: then the
//! pull owns it.

use boxlite_types::{Context, Error, ErrorCode, RemovedImage, Result};

use super::Inner;
use super::files::{self, Unfinished};
use super::leases::Leases;
use super::lookup::Lookup;
use super::rows::{self, HeldReference, ImageRecord};
use crate::locks::Content;

impl Inner {
    /// Removes what `reference` names: a name for every platform, or, by digest or id, every name of the image.
    pub(crate) fn remove(&self, reference: &str, force: bool) -> Result<RemovedImage> {
        let lookup = Lookup::parse(self, reference)?;
        let (removed, deleted, indexes) = self.database.try_write(|transaction| {
            let held = match lookup.all(transaction)? {
                Ok(held) => held,
                Err(error) => return Ok(Err(error)),
            };
            for reference in &held {
                if let Some(error) = in_use(transaction, reference, &held)?.filter(|_| !force) {
                    return Ok(Err(error));
                }
            }
            for reference in &held {
                rows::delete_reference(transaction, &reference.info.reference, &reference.resolved_for)?;
            }
            let untagged = held.iter().filter(|held| !held.resolved_for.is_empty());
            let mut untagged: Vec<String> = untagged.map(|held| held.info.reference.clone()).collect();
            untagged.dedup();
            let indexes: Vec<Content> =
                held.iter().filter_map(|held| held.index_digest).map(Content::Blob).collect();
            let deleted = rows::delete_unneeded(transaction)?;
            Ok(Ok((untagged, deleted, indexes)))
        })?;
        let mut freed = self.delete_content_of(&deleted)?;
        freed += self.discard(&indexes)?;
        Ok(RemovedImage {
            untagged: removed,
            deleted: deleted.iter().map(|image| image.id).collect(),
            bytes_freed: freed,
        })
    }

    /// Deletes the images that neither a reference nor a box needs.
    pub(crate) fn collect(&self) -> Result<RemovedImage> {
        let deleted = self.database.write(|transaction| rows::delete_unneeded(transaction))?;
        let bytes_freed = self.delete_content_of(&deleted)?;
        let deleted = deleted.iter().map(|image| image.id).collect();
        Ok(RemovedImage { untagged: Vec::new(), deleted, bytes_freed })
    }

    /// Lets go of everything `leases` hold. What lost its rows meanwhile, and could not be deleted because it was held, is
    /// deleted now; what is marked awaits the next pull.
    pub(crate) fn let_go(&self, leases: &Leases) -> Result<()> {
        let mut forsaken = Vec::new();
        for content in leases.release() {
            let marked = files::unfinished(&self.home, content, Unfinished::Made).exists();
            if !marked && !self.database.read(|connection| rows::is_needed(connection, content))? {
                forsaken.push(content);
            }
        }
        self.discard(&forsaken).map(|_| ())
    }

    fn delete_content_of(&self, images: &[ImageRecord]) -> Result<u64> {
        let mut content: Vec<Content> = images.iter().flat_map(ImageRecord::content).collect();
        content.sort_unstable();
        content.dedup();
        self.discard(&content)
    }

    /// Deletes each piece of `content` that no row needs and nobody holds. Returns the bytes freed.
    pub(crate) fn discard(&self, content: &[Content]) -> Result<u64> {
        let mut freed = 0;
        for content in content {
            let Some(_guard) = self.locks.try_exclusive(*content)? else { continue };
            if self.database.read(|connection| rows::is_needed(connection, *content))? {
                continue;
            }
            freed += files::delete(&self.home, &files::place(&self.home, *content))?;
            files::delete_file(&files::unfinished(&self.home, *content, Unfinished::Made))?;
        }
        Ok(freed)
    }
}

/// Returns the refusal if removing `removed` would take from a box the name it was made from, or the last name of its
/// image.
fn in_use(
    connection: &boxlite_state::rusqlite::Connection,
    reference: &HeldReference,
    removed: &[HeldReference],
) -> boxlite_state::rusqlite::Result<Option<Error>> {
    let boxes = rows::boxes_of(connection, &reference.info.id)?;
    if boxes.is_empty() {
        return Ok(None);
    }
    let key = |held: &HeldReference| (held.info.reference.clone(), held.resolved_for.clone());
    let stays = |held: &HeldReference| !removed.iter().any(|other| key(other) == key(held));
    let last = !rows::references_to(connection, &reference.info.id)?.iter().any(stays);
    let needing: Vec<&str> = boxes
        .iter()
        .filter(|(_, made_from)| last || *made_from == reference.info.reference)
        .map(|(name, _)| name.as_str())
        .collect();
    let Some(first) = needing.first() else { return Ok(None) };
    let others = match needing.len() - 1 {
        0 => String::new(),
        1 => " and another box".to_owned(),
        count => format!(" and {count} other boxes"),
    };
    let name = &reference.info.reference;
    Ok(Some(
        Error::new(ErrorCode::InUse, format!("image `{name}` is needed by box `{first}`{others}"))
            .with(Context::Reference, name)
            .with(Context::Box, *first)
            .hint("remove the box first, or force it: then the name goes, and the box keeps its files"),
    ))
}
