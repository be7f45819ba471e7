//! Who still needs an image, a layer or a blob, and the taking away of what nobody does.

use boxlite_state::rusqlite::{Connection, params};
use boxlite_types::Digest;

use super::{ImageRecord, Sql, collect, digest, image};
use crate::locks::Content;

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

/// Returns the boxes that need an image: what to call them, and the reference they were made from.
pub(crate) fn boxes_of(connection: &Connection, id: &Digest) -> Sql<Vec<(String, String)>> {
    collect(
        connection,
        "SELECT coalesce(name, id), image FROM boxes WHERE image_id = ?1 ORDER BY created_at",
        [id.to_string()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
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
