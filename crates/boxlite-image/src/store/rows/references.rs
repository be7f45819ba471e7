//! What names mean: the rows of references, and the lists made of them.

use std::collections::HashMap;

use boxlite_state::rusqlite::{self, Connection, OptionalExtension, Row, params};
use boxlite_types::{Digest, ImageInfo, Platform};

use super::{Sql, collect, digest, is_needed, optional_digest, parse_digest, platform, touch};
use crate::ImageName;
use crate::locks::Content;

/// A reference to be set.
pub(crate) struct ReferenceRecord<'a> {
    pub(crate) name: &'a ImageName,
    /// Platform it was resolved for, normalized.
    pub(crate) platform: &'a Platform,
    pub(crate) image_id: Digest,
    pub(crate) index_digest: Option<Digest>,
}

/// A reference as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct HeldReference {
    pub(crate) info: ImageInfo,
    /// Platform it was resolved for; that of the image may be an older variant.
    pub(crate) resolved_for: String,
    pub(crate) index_digest: Option<Digest>,
}

/// What a list says of an image `i`.
macro_rules! image_columns {
    () => {
        "i.id, i.config_digest, i.os, i.architecture, i.variant, i.created, i.size_bytes, i.unpacked_bytes, \
         i.last_used_at, i.layer_count"
    };
}

const INFO_COLUMNS: &str =
    concat!("r.reference, r.repository, r.tag, r.platform, r.cached_at, r.index_digest, ", image_columns!());

/// Reads what an image is, from the columns of `image_columns`.
fn unnamed(row: &Row<'_>, first: usize) -> Sql<ImageInfo> {
    Ok(ImageInfo {
        reference: String::new(),
        repository: String::new(),
        tag: String::new(),
        cached_at: 0,
        id: digest(row, first)?,
        config_digest: digest(row, first + 1)?,
        platform: platform(row, first + 2)?,
        created: row.get(first + 5)?,
        size_bytes: row.get(first + 6)?,
        unpacked_bytes: row.get(first + 7)?,
        last_used_at: row.get(first + 8)?,
        layer_count: row.get(first + 9)?,
    })
}

fn held(row: &Row<'_>) -> Sql<HeldReference> {
    let info = ImageInfo {
        reference: row.get(0)?,
        repository: row.get(1)?,
        tag: row.get(2)?,
        cached_at: row.get(4)?,
        ..unnamed(row, 6)?
    };
    Ok(HeldReference { info, resolved_for: row.get(3)?, index_digest: optional_digest(row, 5)? })
}

/// Returns every reference, by name and platform. Two scans and a map: a join would look each image up by its digest,
/// which for 10,000 of them takes twice as long.
pub(crate) fn list(connection: &Connection) -> Sql<Vec<ImageInfo>> {
    // One look at both tables, whoever writes in between.
    let connection = connection.unchecked_transaction()?;
    let images = collect(
        &connection,
        concat!("SELECT ", image_columns!(), " FROM images i INDEXED BY images_for_list"),
        [],
        |row| Ok((row.get_ref(0)?.as_str()?.to_owned(), unnamed(row, 0)?)),
    )?;
    let images: HashMap<String, ImageInfo> = images.into_iter().collect();
    let named = |row: &Row<'_>| {
        let image = images.get(row.get_ref(4)?.as_str()?).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        Ok(ImageInfo {
            reference: row.get(0)?,
            repository: row.get(1)?,
            tag: row.get(2)?,
            cached_at: row.get(3)?,
            ..image.clone()
        })
    };
    collect(
        &connection,
        "SELECT reference, repository, tag, cached_at, image_id FROM image_references ORDER BY reference, platform",
        [],
        named,
    )
}

/// Returns the references called `name`, one for each platform.
pub(crate) fn references(connection: &Connection, name: &ImageName) -> Sql<Vec<HeldReference>> {
    let statement = format!(
        "SELECT {INFO_COLUMNS} FROM image_references r JOIN images i ON i.id = r.image_id \
         WHERE r.reference = ?1 ORDER BY r.platform"
    );
    collect(connection, &statement, [name.to_string()], held)
}

/// Returns the references to an image. One that has none is returned once, without a name.
pub(crate) fn references_to(connection: &Connection, id: &Digest) -> Sql<Vec<HeldReference>> {
    let statement = format!(
        "SELECT {} FROM images i LEFT JOIN image_references r ON i.id = r.image_id \
         WHERE i.id = ?1 ORDER BY r.reference, r.platform",
        INFO_COLUMNS
            .replace("r.reference", "coalesce(r.reference, i.id)")
            .replace("r.repository", "coalesce(r.repository, '')")
            .replace("r.tag", "coalesce(r.tag, '')")
            .replace("r.platform", "coalesce(r.platform, '')")
            .replace("r.cached_at", "coalesce(r.cached_at, i.pulled_at)")
    );
    collect(connection, &statement, [id.to_string()], held)
}

/// Points a reference at its image, and marks that as used. Returns the image it pointed at before, if another.
pub(crate) fn set_reference(
    connection: &Connection,
    reference: &ReferenceRecord<'_>,
    now: i64,
) -> Sql<Option<Digest>> {
    let (name, platform) = (reference.name.to_string(), reference.platform.to_string());
    let before: Option<String> = connection
        .prepare_cached("SELECT image_id FROM image_references WHERE reference = ?1 AND platform = ?2")?
        .query_row([&name, &platform], |row| row.get(0))
        .optional()?;
    connection.execute(
        "INSERT INTO image_references (reference, platform, repository, tag, image_id, index_digest, cached_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (reference, platform) DO UPDATE SET \
         image_id = excluded.image_id, index_digest = excluded.index_digest, cached_at = excluded.cached_at",
        params![
            name,
            platform,
            reference.name.repository(),
            reference.name.tag(),
            reference.image_id.to_string(),
            reference.index_digest.map(|digest| digest.to_string()),
            now,
        ],
    )?;
    touch(connection, &reference.image_id, now)?;
    let before = before.map(|text| parse_digest(0, &text)).transpose()?;
    Ok(before.filter(|before| *before != reference.image_id))
}

/// Deletes one reference.
pub(crate) fn delete_reference(connection: &Connection, reference: &str, platform: &str) -> Sql<()> {
    connection
        .execute("DELETE FROM image_references WHERE reference = ?1 AND platform = ?2", [reference, platform])
        .map(|_| ())
}

/// Takes a lost index off the references found in it; says whether there were any, and nothing else needs it.
pub(crate) fn forget_index(connection: &Connection, index: &Digest) -> Sql<bool> {
    let changed = connection.execute(
        "UPDATE image_references SET index_digest = NULL WHERE index_digest = ?1",
        [index.to_string()],
    )?;
    Ok(changed > 0 && !is_needed(connection, Content::Blob(*index))?)
}
