//! The rows of images and references: every statement the store runs, and the conversion of rows to types.
//!
//! Takes connections and transactions, opens none. What a row means for the files stands elsewhere.

use boxlite_state::rusqlite::{self, Connection, OptionalExtension, Row, params};
use boxlite_types::{Digest, ImageConfig, ImageInfo, LayerInfo, Platform};

use crate::ImageName;
use crate::locks::Content;

type Sql<T> = rusqlite::Result<T>;

/// All that is kept of an image.
#[derive(Clone, Debug)]
pub(crate) struct ImageRecord {
    pub(crate) id: Digest,
    pub(crate) config_digest: Digest,
    pub(crate) media_type: String,
    pub(crate) platform: Platform,
    pub(crate) chain_id: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) unpacked_bytes: u64,
    pub(crate) created: Option<String>,
    pub(crate) config: ImageConfig,
    pub(crate) history: Vec<(String, bool)>,
    pub(crate) layers: Vec<LayerRecord>,
}

/// A layer of an image, with the bytes of its files.
#[derive(Clone, Debug)]
pub(crate) struct LayerRecord {
    pub(crate) info: LayerInfo,
    pub(crate) file_bytes: u64,
}

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

const INFO_COLUMNS: &str = "r.reference, r.repository, r.tag, r.platform, r.cached_at, r.index_digest, i.id, \
    i.config_digest, i.os, i.architecture, i.variant, i.created, i.size_bytes, i.unpacked_bytes, i.last_used_at, \
    i.layer_count";

fn digest(row: &Row<'_>, column: usize) -> Sql<Digest> {
    parse_digest(column, row.get_ref(column)?.as_str()?)
}

fn parse_digest(column: usize, text: &str) -> Sql<Digest> {
    text.parse().map_err(|error: boxlite_types::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn optional_digest(row: &Row<'_>, column: usize) -> Sql<Option<Digest>> {
    row.get_ref(column)?.as_str_or_null()?.map(|text| parse_digest(column, text)).transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Sql<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Sql<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn platform(row: &Row<'_>, first: usize) -> Sql<Platform> {
    let variant: String = row.get(first + 2)?;
    Ok(Platform {
        os: row.get(first)?,
        architecture: row.get(first + 1)?,
        variant: Some(variant).filter(|variant| !variant.is_empty()),
    })
}

fn held(row: &Row<'_>) -> Sql<HeldReference> {
    let info = ImageInfo {
        reference: row.get(0)?,
        repository: row.get(1)?,
        tag: row.get(2)?,
        id: digest(row, 6)?,
        config_digest: digest(row, 7)?,
        platform: platform(row, 8)?,
        cached_at: row.get(4)?,
        last_used_at: row.get(14)?,
        created: row.get(11)?,
        size_bytes: row.get(12)?,
        unpacked_bytes: row.get(13)?,
        layer_count: row.get(15)?,
    };
    Ok(HeldReference { info, resolved_for: row.get(3)?, index_digest: optional_digest(row, 5)? })
}

fn collect<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> Sql<T>,
) -> Sql<Vec<T>> {
    connection.prepare_cached(statement)?.query_map(parameters, read)?.collect()
}

/// Returns every reference, by name and platform.
pub(crate) fn list(connection: &Connection) -> Sql<Vec<HeldReference>> {
    let statement = format!(
        "SELECT {INFO_COLUMNS} FROM image_references r JOIN images i INDEXED BY images_for_list ON i.id = r.image_id \
         ORDER BY r.reference, r.platform"
    );
    collect(connection, &statement, [], held)
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

/// Returns the ids of images whose id or configuration digest begins with `sha256:<prefix>`; two at most.
pub(crate) fn ids_beginning(connection: &Connection, prefix: &str) -> Sql<Vec<Digest>> {
    // Digests are lower-case hex, so that a range is a prefix: `g` sorts after every digit.
    let (from, to) = (format!("sha256:{prefix}"), format!("sha256:{prefix}g"));
    collect(
        connection,
        "SELECT id FROM images WHERE id >= ?1 AND id < ?2 \
         UNION SELECT id FROM images WHERE config_digest >= ?1 AND config_digest < ?2 LIMIT 2",
        [from, to],
        |row| digest(row, 0),
    )
}

/// Returns an image with its layers.
pub(crate) fn image(connection: &Connection, id: &Digest) -> Sql<Option<ImageRecord>> {
    let read = |row: &Row<'_>| {
        Ok(ImageRecord {
            id: *id,
            config_digest: digest(row, 0)?,
            media_type: row.get(1)?,
            platform: platform(row, 2)?,
            chain_id: digest(row, 5)?,
            size_bytes: row.get(6)?,
            unpacked_bytes: row.get(7)?,
            created: row.get(8)?,
            config: json(row, 9)?,
            history: json(row, 10)?,
            layers: Vec::new(),
        })
    };
    let mut statement = connection.prepare_cached(
        "SELECT config_digest, media_type, os, architecture, variant, chain_id, size_bytes, unpacked_bytes, created, \
         config, history FROM images WHERE id = ?1",
    )?;
    let Some(mut image) = statement.query_row([id.to_string()], read).optional()? else { return Ok(None) };
    image.layers = collect(
        connection,
        "SELECT digest, diff_id, media_type, size_bytes, entries, file_bytes FROM image_layers \
         WHERE image_id = ?1 ORDER BY position",
        [id.to_string()],
        |row| {
            let info = LayerInfo {
                digest: digest(row, 0)?,
                diff_id: digest(row, 1)?,
                media_type: row.get(2)?,
                size_bytes: row.get(3)?,
                entries: row.get(4)?,
            };
            Ok(LayerRecord { info, file_bytes: row.get(5)? })
        },
    )?;
    Ok(Some(image))
}

/// Returns the ids of all images.
pub(crate) fn image_ids(connection: &Connection) -> Sql<Vec<Digest>> {
    collect(connection, "SELECT id FROM images ORDER BY id", [], |row| digest(row, 0))
}

/// Returns entries and bytes of the files of a layer, if an image has it.
pub(crate) fn layer_numbers(connection: &Connection, diff_id: &Digest) -> Sql<Option<(u64, u64)>> {
    connection
        .prepare_cached("SELECT entries, file_bytes FROM image_layers WHERE diff_id = ?1 LIMIT 1")?
        .query_row([diff_id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Returns whether an image has the blob `digest` of `size` bytes as the layer `diff_id`: then that has been verified.
pub(crate) fn is_proven(connection: &Connection, digest: &Digest, size: u64, diff_id: &Digest) -> Sql<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM image_layers WHERE digest = ?1 AND size_bytes = ?2 AND diff_id = ?3)",
        )?
        .query_row(params![digest.to_string(), size, diff_id.to_string()], |row| row.get(0))
}

/// Returns whether some row needs `content`.
pub(crate) fn is_needed(connection: &Connection, content: Content) -> Sql<bool> {
    let (statement, digest) = match content {
        Content::Blob(digest) => (
            "SELECT EXISTS (SELECT 1 FROM images WHERE id = ?1) OR EXISTS (SELECT 1 FROM images WHERE config_digest = ?1) \
             OR EXISTS (SELECT 1 FROM image_layers WHERE digest = ?1) \
             OR EXISTS (SELECT 1 FROM image_references WHERE index_digest = ?1)",
            digest,
        ),
        Content::Layer(digest) => ("SELECT EXISTS (SELECT 1 FROM image_layers WHERE diff_id = ?1)", digest),
        Content::Merged(digest) => ("SELECT EXISTS (SELECT 1 FROM images WHERE chain_id = ?1)", digest),
    };
    connection.prepare_cached(statement)?.query_row([digest.to_string()], |row| row.get(0))
}

/// Adds an image; one that is there already stays as it is.
pub(crate) fn insert_image(connection: &Connection, image: &ImageRecord, now: i64) -> Sql<()> {
    let added = connection.execute(
        "INSERT INTO images (id, config_digest, media_type, os, architecture, variant, chain_id, size_bytes, \
         unpacked_bytes, created, config, history, pulled_at, last_used_at, layer_count) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14) ON CONFLICT (id) DO NOTHING",
        params![
            image.id.to_string(),
            image.config_digest.to_string(),
            image.media_type,
            image.platform.os,
            image.platform.architecture,
            image.platform.variant.as_deref().unwrap_or_default(),
            image.chain_id.to_string(),
            image.size_bytes,
            image.unpacked_bytes,
            image.created,
            to_json(&image.config)?,
            to_json(&image.history)?,
            now,
            image.layers.len(),
        ],
    )?;
    if added == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO image_layers (image_id, position, digest, diff_id, media_type, size_bytes, entries, file_bytes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (position, LayerRecord { info, file_bytes }) in image.layers.iter().enumerate() {
        statement.execute(params![
            image.id.to_string(),
            position,
            info.digest.to_string(),
            info.diff_id.to_string(),
            info.media_type,
            info.size_bytes,
            info.entries,
            file_bytes,
        ])?;
    }
    Ok(())
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

/// Marks an image as used now.
pub(crate) fn touch(connection: &Connection, id: &Digest, now: i64) -> Sql<()> {
    connection
        .execute(
            "UPDATE images SET last_used_at = max(last_used_at, ?2) WHERE id = ?1",
            params![id.to_string(), now],
        )
        .map(|_| ())
}

/// Returns the boxes that need an image: what to call them, and the reference they were made from.
pub(crate) fn boxes_of(connection: &Connection, id: &Digest) -> Sql<Vec<(String, String)>> {
    collect(
        connection,
        "SELECT coalesce(name, id), image FROM boxes WHERE image_id = ?1 ORDER BY created_at",
        [id.to_string()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Deletes one reference.
pub(crate) fn delete_reference(connection: &Connection, reference: &str, platform: &str) -> Sql<()> {
    connection
        .execute("DELETE FROM image_references WHERE reference = ?1 AND platform = ?2", [reference, platform])
        .map(|_| ())
}

/// Deletes the images that neither a reference nor a box needs; returns them as they were.
pub(crate) fn delete_unneeded(connection: &Connection) -> Sql<Vec<ImageRecord>> {
    let ids = collect(
        connection,
        "SELECT id FROM images i WHERE NOT EXISTS (SELECT 1 FROM image_references r WHERE r.image_id = i.id) \
         AND NOT EXISTS (SELECT 1 FROM boxes b WHERE b.image_id = i.id)",
        [],
        |row| digest(row, 0),
    )?;
    let mut deleted = Vec::with_capacity(ids.len());
    for id in ids {
        deleted.extend(image(connection, &id)?);
        connection.execute("DELETE FROM images WHERE id = ?1", [id.to_string()])?;
    }
    Ok(deleted)
}

/// Returns whether a blob is needed as a layer, and as nothing else.
pub(crate) fn is_only_layer_blob(connection: &Connection, blob: &Digest) -> Sql<bool> {
    connection
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM images WHERE id = ?1 OR config_digest = ?1) \
             AND NOT EXISTS (SELECT 1 FROM image_references WHERE index_digest = ?1)",
        )?
        .query_row([blob.to_string()], |row| row.get(0))
}

/// Takes an image and its references away, unless a box needs it; says whether it did.
pub(crate) fn forget_image(connection: &Connection, id: &Digest) -> Sql<bool> {
    if !boxes_of(connection, id)?.is_empty() {
        return Ok(false);
    }
    connection.execute("DELETE FROM image_references WHERE image_id = ?1", [id.to_string()])?;
    connection.execute("DELETE FROM images WHERE id = ?1", [id.to_string()])?;
    Ok(true)
}

/// Takes a lost index off the references found in it; says whether there were any, and nothing else needs it.
pub(crate) fn forget_index(connection: &Connection, index: &Digest) -> Sql<bool> {
    let changed = connection.execute(
        "UPDATE image_references SET index_digest = NULL WHERE index_digest = ?1",
        [index.to_string()],
    )?;
    Ok(changed > 0 && !is_needed(connection, Content::Blob(*index))?)
}

/// Returns the digests that some image needs, each with whether a box needs one of those images.
pub(crate) fn needed_content(connection: &Connection) -> Sql<Vec<(Content, bool)>> {
    let boxed = "EXISTS (SELECT 1 FROM boxes b WHERE b.image_id = i.id)";
    let mut found = Vec::new();
    for (column, source, kind) in [
        ("i.id", "images i", Content::Blob as fn(Digest) -> Content),
        ("i.config_digest", "images i", Content::Blob),
        ("i.chain_id", "images i", Content::Merged),
        ("l.digest", "image_layers l JOIN images i ON i.id = l.image_id", Content::Blob),
        ("l.diff_id", "image_layers l JOIN images i ON i.id = l.image_id", Content::Layer),
        (
            "r.index_digest",
            "image_references r JOIN images i ON i.id = r.image_id AND r.index_digest IS NOT NULL",
            Content::Blob,
        ),
    ] {
        let statement = format!("SELECT {column}, max({boxed}) FROM {source} GROUP BY {column}");
        found.extend(collect(connection, &statement, [], |row| Ok((kind(digest(row, 0)?), row.get(1)?)))?);
    }
    Ok(found)
}

impl ImageRecord {
    /// Returns every piece of content this image needs, save the index it may have come from.
    pub(crate) fn content(&self) -> Vec<Content> {
        let mut content =
            vec![Content::Merged(self.chain_id), Content::Blob(self.id), Content::Blob(self.config_digest)];
        for layer in &self.layers {
            content.extend([Content::Layer(layer.info.diff_id), Content::Blob(layer.info.digest)]);
        }
        content.sort_unstable();
        content.dedup();
        content
    }
}
