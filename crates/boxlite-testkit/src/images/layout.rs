//! Writes artifacts as an OCI image layout (image-spec, image-layout.md), for umoci, skopeo and podman.

use std::io;
use std::path::Path;

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
