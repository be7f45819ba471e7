//! The rows of images and their layers.

use boxlite_state::rusqlite::{Connection, OptionalExtension, Row, params};
use boxlite_types::{Digest, ImageConfig, LayerInfo, Platform};

use super::{Sql, collect, digest, json, platform, to_json};
use crate::locks::Content;

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

/// Marks an image as used now.
pub(crate) fn touch(connection: &Connection, id: &Digest, now: i64) -> Sql<()> {
    connection
        .execute(
            "UPDATE images SET last_used_at = max(last_used_at, ?2) WHERE id = ?1",
            params![id.to_string(), now],
        )
        .map(|_| ())
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
