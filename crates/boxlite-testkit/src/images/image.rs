//! Builds an image: config and manifest over layers, OCI or Docker, with every field open to change.
//!
//! The edits run in the order in which digests are taken: config first, so that the manifest names the edited config, then
//! the manifest. Whatever no edit touches is true.

use std::sync::Arc;

use boxlite_types::Platform;
use bytes::Bytes;
use serde_json::{Value, json};

use super::artifact::{Artifact, Edit, descriptor};
use super::layer::Layer;

/// An image to be built. Cheap to clone: the layers' bytes are shared.
#[derive(Clone)]
pub struct Image {
    layers: Vec<Layer>,
    platform: Platform,
    docker: bool,
    run: Value,
    config_edits: Vec<Edit>,
    manifest_edits: Vec<Edit>,
    raw_config: Option<Bytes>,
    extra_blobs: Vec<Bytes>,
}

impl Image {
    /// Makes an OCI image for the host's platform from layers, lowest first.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        Image {
            layers: layers.into_iter().collect(),
            platform: Platform::host(),
            docker: false,
            run: json!({ "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"] }),
            config_edits: Vec::new(),
            manifest_edits: Vec::new(),
            raw_config: None,
            extra_blobs: Vec::new(),
        }
    }

    /// Adds a layer on top: this is how an image derived from another is made.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Returns the layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Uses the media types of Docker's manifest, version 2, schema 2.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Builds it for another platform, as `os/architecture[/variant]`.
    ///
    /// # Panics
    /// If `platform` is malformed.
    #[must_use]
    pub fn platform(mut self, platform: &str) -> Self {
        self.platform = platform.parse().expect("a platform");
        self
    }

    /// Sets a field of the config's `config` object, as `.run("User", json!("nobody"))`.
    #[must_use]
    pub fn run(mut self, field: &str, value: Value) -> Self {
        self.run[field] = value;
        self
    }

    /// Changes the config just before its digest is taken; the manifest then names the changed one.
    #[must_use]
    pub fn edit_config(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.config_edits.push(Arc::new(edit));
        self
    }

    /// Uses these bytes as the config.
    #[must_use]
    pub fn raw_config(mut self, config: impl Into<Bytes>) -> Self {
        self.raw_config = Some(config.into());
        self
    }

    /// Changes the manifest just before its digest is taken.
    #[must_use]
    pub fn edit_manifest(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.manifest_edits.push(Arc::new(edit));
        self
    }

    /// Adds a blob for an edited manifest to name.
    #[must_use]
    pub fn blob(mut self, blob: impl Into<Bytes>) -> Self {
        self.extra_blobs.push(blob.into());
        self
    }

    /// Builds config and manifest.
    pub fn build(&self) -> Artifact {
        let config = self.config();
        let (manifest_type, config_type) = match self.docker {
            true => (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
            ),
            false => {
                ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
            }
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| match self.docker {
                true => descriptor(layer.compression.docker_media_type(), &layer.blob),
                false => descriptor(layer.compression.oci_media_type(), &layer.blob),
            })
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": layers,
        });
        self.manifest_edits.iter().for_each(|edit| edit(&mut manifest));

        let mut artifact = Artifact::raw(manifest_type, manifest.to_string());
        artifact.platform = Some(self.platform.clone());
        let blobs = self.layers.iter().map(|layer| layer.blob.clone()).chain(self.extra_blobs.clone());
        artifact.blobs = blobs.chain([config]).map(|blob| (super::sha256(&blob), blob)).collect();
        artifact
    }

    fn config(&self) -> Bytes {
        if let Some(raw) = &self.raw_config {
            return raw.clone();
        }
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let history: Vec<Value> = (1..=self.layers.len())
            .map(|number| json!({ "created_by": format!("layer {number}") }))
            .collect();
        let mut config = json!({
            "created": "2024-01-01T00:00:00Z",
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": self.run,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = variant.as_str().into();
        }
        self.config_edits.iter().for_each(|edit| edit(&mut config));
        config.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Entry, Index};

    #[test]
    fn the_manifest_names_the_edited_config_and_every_layer() {
        let image = Image::new([Layer::from_entries([Entry::file("a", "1")])])
            .edit_config(|config| config["os"] = "windows".into());
        let artifact = image.build();
        let config: Value = serde_json::from_slice(&artifact.blob(&artifact.config_digest())).unwrap();
        assert_eq!(config["os"], "windows");
        assert_eq!(artifact.blob(&artifact.layer_digest(0)), image.layers()[0].blob);
        assert_eq!(artifact, image.build(), "the same calls must give the same bytes");
    }

    #[test]
    fn an_index_carries_the_platforms_of_its_children() {
        let image = Image::new([]);
        let index = Index::new([image.build(), image.clone().platform("linux/arm64/v8").build()]).build();
        assert_eq!(index.json()["manifests"][1]["platform"]["variant"], "v8");
        assert_eq!(index.json()["manifests"][1]["digest"], index.children[1].digest().to_string());
        assert_eq!(index.all().len(), 3);
    }
}
