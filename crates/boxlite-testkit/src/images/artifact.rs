//! What a reference can point at: a manifest or an index, with every blob and manifest below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxlite_types::{Digest, Platform};
use bytes::Bytes;
use serde_json::{Value, json};

use super::sha256;

/// A manifest or index as it is served, with everything it needs. What it needs is found by digest, so a lie in the
/// manifest never hides the true content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Media type it is served with.
    pub media_type: String,
    /// The exact bytes.
    pub manifest: Bytes,
    /// The platform an index says it is for.
    pub platform: Option<Platform>,
    /// Configs and layers.
    pub blobs: BTreeMap<Digest, Bytes>,
    /// Manifests below an index.
    pub children: Vec<Artifact>,
}

impl Artifact {
    /// Makes an artifact of any bytes at all.
    pub fn raw(media_type: &str, manifest: impl Into<Bytes>) -> Self {
        Artifact {
            media_type: media_type.into(),
            manifest: manifest.into(),
            platform: None,
            blobs: BTreeMap::new(),
            children: Vec::new(),
        }
    }

    /// Returns the digest of the manifest.
    pub fn digest(&self) -> Digest {
        sha256(&self.manifest)
    }

    /// Returns the manifest as JSON, null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.manifest).unwrap_or(Value::Null)
    }

    /// Returns the digest the manifest gives for its layer `number`, counted from 0.
    ///
    /// # Panics
    /// If there is no such layer or its digest is malformed.
    pub fn layer_digest(&self, number: usize) -> Digest {
        let json = self.json();
        json["layers"][number]["digest"].as_str().and_then(|text| text.parse().ok()).expect("a layer digest")
    }

    /// Returns the digest the manifest gives for its config.
    ///
    /// # Panics
    /// If it has none.
    pub fn config_digest(&self) -> Digest {
        self.json()["config"]["digest"].as_str().and_then(|text| text.parse().ok()).expect("a config digest")
    }

    /// Returns the bytes of one of its blobs.
    ///
    /// # Panics
    /// If it has no such blob.
    pub fn blob(&self, digest: &Digest) -> Bytes {
        self.blobs.get(digest).cloned().expect("a blob of the artifact")
    }

    /// Returns the descriptor that an index has for it.
    pub fn descriptor(&self) -> Value {
        let mut value = descriptor(&self.media_type, &self.manifest);
        if let Some(platform) = &self.platform {
            value["platform"] = json!({ "architecture": platform.architecture, "os": platform.os });
            if let Some(variant) = &platform.variant {
                value["platform"]["variant"] = variant.as_str().into();
            }
        }
        value
    }

    /// Returns this artifact and all below it.
    pub fn all(&self) -> Vec<&Artifact> {
        let below = self.children.iter().flat_map(Artifact::all);
        std::iter::once(self).chain(below).collect()
    }
}

/// Returns the honest descriptor of `content` (image-spec, descriptor.md).
pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content).to_string(), "size": content.len() })
}

/// A change to a JSON document before its digest is taken.
pub(super) type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// Builds an index over artifacts.
#[derive(Clone)]
pub struct Index {
    children: Vec<Artifact>,
    docker: bool,
    edits: Vec<Edit>,
}

impl Index {
    /// Makes an OCI index; each child carries its platform.
    pub fn new(children: impl IntoIterator<Item = Artifact>) -> Self {
        Index { children: children.into_iter().collect(), docker: false, edits: Vec::new() }
    }

    /// Makes it a Docker manifest list.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Changes the JSON just before its digest is taken.
    #[must_use]
    pub fn edit(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.edits.push(Arc::new(edit));
        self
    }

    /// Builds it.
    pub fn build(&self) -> Artifact {
        let media_type = match self.docker {
            true => "application/vnd.docker.distribution.manifest.list.v2+json",
            false => "application/vnd.oci.image.index.v1+json",
        };
        let manifests: Vec<Value> = self.children.iter().map(Artifact::descriptor).collect();
        let mut value = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        self.edits.iter().for_each(|edit| edit(&mut value));
        let mut artifact = Artifact::raw(media_type, value.to_string());
        artifact.children = self.children.clone();
        artifact
    }
}
