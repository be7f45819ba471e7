//! Writes artifacts as an OCI image layout (image-spec, image-layout.md), for umoci, skopeo and podman.

use std::io;
use std::path::Path;

use boxlite_types::Digest;
use bytes::Bytes;
use serde_json::{Value, json};

use super::artifact::Artifact;

/// Writes `images` as the layout `directory`, each under its tag; other images of a layout that is there are kept.
///
/// # Errors
/// What the file system says.
pub fn write_layout<'a>(
    directory: &Path,
    images: impl IntoIterator<Item = (&'a str, &'a Artifact)>,
) -> io::Result<()> {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = directory.join("index.json");
    let mut entries: Vec<Value> = match std::fs::read(&index) {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|value| value["manifests"].as_array().cloned())
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    for (tag, artifact) in images {
        for part in artifact.all() {
            write_once(&blobs.join(part.digest().hex()), &part.manifest)?;
            for (digest, blob) in &part.blobs {
                write_once(&blobs.join(digest.hex()), blob)?;
            }
        }
        let mut descriptor = artifact.descriptor();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        entries.retain(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] != tag);
        entries.push(descriptor);
    }
    std::fs::write(index, json!({ "schemaVersion": 2, "manifests": entries }).to_string())
}

fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.exists() { Ok(()) } else { std::fs::write(path, bytes) }
}

/// Reads the image that `tag` names in the layout `directory`, with all it needs.
///
/// # Errors
/// `NotFound` if the tag or something below it is not there, `InvalidData` if the layout is malformed.
pub fn read_layout(directory: &Path, tag: &str) -> io::Result<Artifact> {
    let index: Value = serde_json::from_slice(&std::fs::read(directory.join("index.json"))?)?;
    let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let entry = index["manifests"].as_array().into_iter().flatten().find(named);
    read_artifact(directory, entry.ok_or(io::ErrorKind::NotFound)?)
}

fn read_artifact(directory: &Path, descriptor: &Value) -> io::Result<Artifact> {
    let media_type = descriptor["mediaType"].as_str().ok_or(io::ErrorKind::InvalidData)?;
    let mut artifact = Artifact::raw(media_type, read_blob(directory, descriptor)?.1);
    let json = artifact.json();
    for child in json["manifests"].as_array().into_iter().flatten() {
        artifact.children.push(read_artifact(directory, child)?);
    }
    let layers = json["layers"].as_array().into_iter().flatten();
    for blob in layers.chain(json.get("config")) {
        artifact.blobs.extend([read_blob(directory, blob)?]);
    }
    Ok(artifact)
}

fn read_blob(directory: &Path, descriptor: &Value) -> io::Result<(Digest, Bytes)> {
    let digest: Option<Digest> = descriptor["digest"].as_str().and_then(|text| text.parse().ok());
    let digest = digest.ok_or(io::ErrorKind::InvalidData)?;
    let bytes = std::fs::read(directory.join("blobs/sha256").join(digest.hex()))?;
    Ok((digest, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Entry, Image, Index, Layer};

    #[test]
    fn a_layout_reads_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let image = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
        let mut index = Index::new([image.clone()]).build();
        // Which platform a child is for stands in the index, not in the layout.
        index.children[0].platform = None;
        write_layout(directory.path(), [("one", &image), ("both", &index)]).unwrap();
        assert_eq!(read_layout(directory.path(), "both").unwrap(), index);
        assert_eq!(read_layout(directory.path(), "one").unwrap().blobs, image.blobs);
        assert_eq!(read_layout(directory.path(), "none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
