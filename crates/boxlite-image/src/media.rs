//! Media types of manifests, configurations and layers: what is understood, and why the rest is refused.
//!
//! OCI image-spec, media-types.md, and docker's image manifest version 2, schema 2. The type decides; content is never
//! guessed from its first bytes.

use boxlite_types::{Error, ErrorCode, Result};

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Value of the `Accept` header when asking for a manifest.
pub(crate) const ACCEPTED_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// What a document at `manifests/` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestKind {
    /// A list of images by platform.
    Index,
    /// One image.
    Image,
}

fn refused(message: String) -> Error {
    Error::new(ErrorCode::Image, message)
}

/// Says what kind of document a media type stands for; `None` for one that says nothing, as `text/plain`.
pub(crate) fn manifest_kind(media_type: &str) -> Result<Option<ManifestKind>> {
    match media_type {
        OCI_INDEX | DOCKER_LIST => Ok(Some(ManifestKind::Index)),
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(Some(ManifestKind::Image)),
        "" | "application/json" | "application/octet-stream" | "text/plain" => Ok(None),
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Err(schema_1()),
        other => Err(refused(format!("manifest has the unknown media type `{other}`"))),
    }
}

/// The answer to a manifest of docker's first schema, whose layers cannot be verified against a configuration.
pub(crate) fn schema_1() -> Error {
    refused("manifest is of docker's schema 1, which is obsolete".into())
        .hint("push the image again with a current tool; its layers stay the same")
}

/// Accepts the media type of an image configuration.
pub(crate) fn check_config(media_type: &str) -> Result<()> {
    match media_type {
        OCI_CONFIG | DOCKER_CONFIG => Ok(()),
        other => Err(refused(format!(
            "not an image but an artifact: its configuration has the media type `{other}`"
        ))
        .hint("only container images can be pulled")),
    }
}

/// Says how the layer of a media type is compressed.
pub(crate) fn layer_compression(media_type: &str) -> Result<Compression> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Ok(Compression::None)
        }
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
        other if other.contains("nondistributable") || other.contains("foreign") => Err(refused(format!(
            "layer of the media type `{other}` is not served by the registry but has to be fetched elsewhere, which is \
             not supported"
        ))),
        other => Err(refused(format!("layer has the unknown media type `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            "",
            "text/plain",
            "application/vnd.oci.image.layer.v1.tar+lzma",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.empty.v1+json",
        ] {
            assert_eq!(layer_compression(bad).unwrap_err().code(), ErrorCode::Image, "{bad}");
            assert_eq!(check_config(bad).unwrap_err().code(), ErrorCode::Image, "{bad}");
        }
        for bad in [
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.cncf.helm.config.v1+json",
        ] {
            assert_eq!(manifest_kind(bad).unwrap_err().code(), ErrorCode::Image, "{bad}");
        }
        assert_eq!(manifest_kind("text/plain").unwrap(), None);
    }
}
