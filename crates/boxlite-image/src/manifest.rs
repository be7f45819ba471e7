//! Reading manifests, indexes and configurations (OCI image-spec; docker's image manifest version 2, schema 2).
//!
//! Bytes in, checked values out. Whatever is contradictory, unknown or absurd is refused with the reason, before a byte
//! of a layer is fetched. The bytes themselves are kept elsewhere, as they came: nothing is ever serialised again.

use boxlite_types::{Context, Digest, Error, ErrorCode, Result};

use crate::media::{self, Compression, ManifestKind};

/// Largest size a descriptor may give, in bytes; beyond it sums could overflow, and no disk would hold it.
const BLOB_BYTES: u64 = 1 << 44;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    platform: Option<RawPlatform>,
}

#[derive(serde::Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// Where a blob or manifest is said to be, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// One line of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) descriptor: Descriptor,
    /// `os`, `architecture` and `variant`, where the index says them.
    pub(crate) platform: Option<(String, String, Option<String>)>,
}

/// A layer of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) descriptor: Descriptor,
    pub(crate) compression: Compression,
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Layer>,
}

/// What a manifest document turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Index(Vec<IndexEntry>),
    Image(Manifest),
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Image, message)
}

/// Reads a manifest or index. `types` are the media types it came under: the header's, the descriptor's.
pub(crate) fn parse(bytes: &[u8], types: &[&str], layer_limit: usize) -> Result<Parsed> {
    // A page of some other kind is better called by its name than by what its first byte is not.
    for media_type in types {
        media::manifest_kind(media_type)?;
    }
    let raw: RawManifest =
        serde_json::from_slice(bytes).map_err(|error| refused(format!("manifest is malformed: {error}")))?;
    if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
        return Err(media::schema_1());
    }
    if raw.schema_version != Some(2) {
        return Err(refused("manifest does not say that its schema version is 2"));
    }
    let media_type = agreed_type(raw.media_type.as_deref(), types)?;
    let kind = match &media_type {
        Some(media_type) => media::manifest_kind(media_type)?,
        None => None,
    };
    // Some clients of a document that is both would read the one half, some the other.
    let kind = match (kind, raw.manifests.is_some(), raw.config.is_some() || raw.layers.is_some()) {
        (_, true, true) => return Err(refused("manifest is both an index and an image")),
        (Some(ManifestKind::Index) | None, true, false) => ManifestKind::Index,
        (Some(ManifestKind::Image) | None, false, true) => ManifestKind::Image,
        (Some(ManifestKind::Index), ..) => return Err(refused("index holds no list of manifests")),
        (Some(ManifestKind::Image), ..) => return Err(refused("manifest holds no configuration and layers")),
        (None, false, false) => return Err(refused("document is no manifest")),
    };
    match kind {
        ManifestKind::Index => {
            let entries = raw.manifests.unwrap_or_default();
            entries.into_iter().map(read_entry).collect::<Result<_>>().map(Parsed::Index)
        }
        ManifestKind::Image => {
            let config = raw.config.ok_or_else(|| refused("manifest names no configuration"))?.read()?;
            media::check_config(&config.media_type)?;
            let layers = raw.layers.ok_or_else(|| refused("manifest has no list of layers"))?;
            if layers.len() > layer_limit {
                return Err(refused(format!(
                    "image has {} layers; more than {layer_limit} are refused",
                    layers.len()
                )));
            }
            let layers = layers.into_iter().map(read_layer).collect::<Result<_>>()?;
            let media_type = media_type.unwrap_or_else(|| media::OCI_MANIFEST.to_owned());
            Ok(Parsed::Image(Manifest { media_type, config, layers }))
        }
    }
}

/// Returns the one media type that all who give one agree on.
fn agreed_type(inside: Option<&str>, outside: &[&str]) -> Result<Option<String>> {
    let mut agreed: Option<&str> = None;
    for media_type in inside.into_iter().chain(outside.iter().copied()) {
        if media::manifest_kind(media_type)?.is_none() {
            continue;
        }
        match agreed {
            Some(first) if first != media_type => {
                return Err(refused(format!(
                    "manifest is `{first}` in one place and `{media_type}` in another"
                )));
            }
            _ => agreed = Some(media_type),
        }
    }
    Ok(agreed.map(str::to_owned))
}

impl RawDescriptor {
    fn read(self) -> Result<Descriptor> {
        let digest = self.digest.parse().map_err(|error: Error| refused(error.message().to_owned()))?;
        let size = u64::try_from(self.size).ok().filter(|size| *size <= BLOB_BYTES).ok_or_else(|| {
            refused(format!("blob `{}` has the absurd size {}", self.digest, self.size))
                .with(Context::Digest, &self.digest)
        })?;
        Ok(Descriptor { media_type: self.media_type, digest, size })
    }
}

fn read_entry(raw: RawDescriptor) -> Result<IndexEntry> {
    let mut raw = raw;
    let platform = raw.platform.take().map(|platform| (platform.os, platform.architecture, platform.variant));
    Ok(IndexEntry { descriptor: raw.read()?, platform })
}

fn read_layer(raw: RawDescriptor) -> Result<Layer> {
    let descriptor = raw.read()?;
    let compression = media::layer_compression(&descriptor.media_type)
        .map_err(|error| error.with(Context::Digest, descriptor.digest.to_string()))?;
    Ok(Layer { descriptor, compression })
}

#[cfg(test)]
mod tests;
