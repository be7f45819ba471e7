//! Images described as data. The same description gives the same bytes and digests on every run.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use boxlite_testkit::images::{Artifact, Compression, Entry, Image, Index, Layer, busybox, library_like};
use boxlite_types::Platform;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An image, or an index of several. One of `base`, `layers` and `index` has to be there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageDescription {
    /// Starts from an image that really boots.
    pub base: Option<Base>,
    /// Layers, lowest first; above those of `base`.
    pub layers: Vec<LayerDescription>,
    /// Makes an index of these instead.
    pub index: Vec<ImageDescription>,
    /// Platform; the host's by default.
    pub platform: Option<String>,
    /// Fields of the configuration's `config` object, as `Cmd` or `Env`.
    pub run: BTreeMap<String, Value>,
    /// Docker's media types instead of OCI's.
    pub docker: bool,
    /// Values to put into the configuration, by JSON pointer, before its digest is taken.
    pub edit_config: BTreeMap<String, Value>,
    /// Values to put into the manifest or index, by JSON pointer, before its digest is taken.
    pub edit_manifest: BTreeMap<String, Value>,
}

/// An image to start from.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// busybox, with a shell and every applet.
    Busybox,
    /// busybox, in which the programs of the fake engine do the same as there.
    Programs,
}

/// One layer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerDescription {
    /// Text files by path; one that begins with `#!` can be executed.
    pub files: BTreeMap<String, String>,
    /// Adds a file `filler` of so many bytes that hardly compress.
    pub filler_bytes: usize,
    /// Distinguishes fillers of one size.
    pub seed: u64,
    /// How the layer is packed: `gzip` by default, `zstd` or `none`.
    pub compression: Packing,
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// One gzip member.
    #[default]
    Gzip,
    /// One zstd frame.
    Zstd,
    /// Not at all.
    None,
}

/// What was pushed, for expectations and faults to name.
#[derive(Clone, Debug, Serialize)]
pub struct PushedImage {
    /// `host:port/repository:tag`.
    pub reference: String,
    /// Digest of what the tag names: a manifest, or an index.
    pub digest: String,
    /// Manifest digest for the host's platform, or of the first image of the index.
    pub id: String,
    /// Digest of its configuration.
    pub config_digest: String,
    /// Digests of its layers, lowest first.
    pub layers: Vec<String>,
    /// Compressed bytes of its layers and its configuration.
    pub size_bytes: u64,
}

impl ImageDescription {
    /// Builds it.
    ///
    /// # Errors
    /// If the description makes no sense.
    pub fn build(&self) -> Result<Artifact> {
        if !self.index.is_empty() {
            return self.build_index();
        }
        let mut image = match self.base {
            Some(Base::Busybox) => busybox(),
            Some(Base::Programs) => busybox().layer(programs()),
            None if self.layers.is_empty() => bail!("an image needs `base`, `layers` or `index`"),
            None => Image::new([]),
        };
        for layer in &self.layers {
            image = image.layer(layer.build());
        }
        if self.docker {
            image = image.docker();
        }
        if let Some(platform) = &self.platform {
            let known: Platform = platform.parse().with_context(|| format!("platform `{platform}`"))?;
            image = image.platform(&known.to_string());
        }
        for (field, value) in &self.run {
            image = image.run(field, value.clone());
        }
        let edits = self.edit_config.clone();
        image = image.edit_config(move |config| put(config, &edits));
        let edits = self.edit_manifest.clone();
        Ok(image.edit_manifest(move |manifest| put(manifest, &edits)).build())
    }

    fn build_index(&self) -> Result<Artifact> {
        if self.base.is_some() || !self.layers.is_empty() {
            bail!("an index has no `base` and no `layers` of its own");
        }
        let children = self.index.iter().map(ImageDescription::build).collect::<Result<Vec<_>>>()?;
        let mut index = Index::new(children);
        if self.docker {
            index = index.docker();
        }
        let edits = self.edit_manifest.clone();
        Ok(index.edit(move |index| put(index, &edits)).build())
    }
}

impl LayerDescription {
    fn build(&self) -> Layer {
        let mut entries: Vec<Entry> = Vec::new();
        let mut made: Vec<&str> = Vec::new();
        for (path, text) in &self.files {
            let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
            for parent in parents.filter(|parent| !parent.is_empty()) {
                if !made.contains(&parent) {
                    made.push(parent);
                    entries.push(Entry::directory(parent));
                }
            }
            let file = Entry::file(path, text);
            entries.push(if text.starts_with("#!") { file.mode(0o755) } else { file });
        }
        if self.filler_bytes > 0 {
            entries.push(Entry::file("filler", library_like(self.filler_bytes, self.seed)));
        }
        let compression = match self.compression {
            Packing::Gzip => Compression::Gzip,
            Packing::Zstd => Compression::Zstd,
            Packing::None => Compression::None,
        };
        Layer::packed(entries, compression)
    }
}

/// The programs of the fake engine that busybox lacks, or has with another meaning, so that one scenario runs on both.
fn programs() -> Layer {
    let script = |name: &str, body: &str| {
        Entry::file(format!("usr/local/bin/{name}"), format!("#!/bin/sh\n{body}\n")).mode(0o755)
    };
    Layer::from_entries([
        Entry::directory("usr/local"),
        Entry::directory("usr/local/bin"),
        script("exit", "exit \"$1\""),
        script("printenv", "env | sed -n \"s/^$1=//p\""),
        script("stderr", "echo \"$@\" >&2"),
        script("sleep", "exec /bin/sleep 1000000"),
        script("ready-then-sleep", "echo ready\nexec /bin/sleep 1000000"),
        script("yes", "/bin/busybox yes y | head -c \"$1\""),
    ])
}

/// Puts values where JSON pointers say; a member that is missing is made, `-` appends to an array.
fn put(document: &mut Value, edits: &BTreeMap<String, Value>) {
    for (pointer, value) in edits {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        match document.pointer_mut(parent) {
            Some(Value::Object(members)) => {
                members.insert(name.to_owned(), value.clone());
            }
            Some(Value::Array(items)) if name == "-" => items.push(value.clone()),
            Some(Value::Array(items)) => {
                if let Some(item) = name.parse().ok().and_then(|number: usize| items.get_mut(number)) {
                    *item = value.clone();
                }
            }
            _ => {}
        }
    }
}

impl PushedImage {
    /// Describes an artifact that is served as `reference`.
    pub fn of(reference: String, artifact: &Artifact) -> Self {
        let host = Platform::host();
        let mut manifests = artifact.all().into_iter().filter(|part| part.json().get("layers").is_some());
        let first = manifests.clone().next();
        let image = manifests.find(|part| part.platform.as_ref() == Some(&host)).or(first);
        let json = image.map(|image| image.json()).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let layers = json["layers"].as_array().cloned().unwrap_or_default();
        let sizes = layers.iter().chain([&json["config"]]).filter_map(|part| part["size"].as_u64());
        PushedImage {
            reference,
            digest: artifact.digest().to_string(),
            id: image.map_or_else(String::new, |image| image.digest().to_string()),
            config_digest: text(&json["config"]["digest"]),
            size_bytes: sizes.sum(),
            layers: layers.iter().map(|layer| text(&layer["digest"])).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(json: Value) -> Result<Artifact> {
        serde_json::from_value::<ImageDescription>(json)?.build()
    }

    #[test]
    fn an_image_is_what_its_description_says() {
        let json = serde_json::json!({
            "layers": [{ "files": { "etc/motd": "hello" } }, { "filler_bytes": 1000, "compression": "zstd" }],
            "edit_config": { "/rootfs/diff_ids/0": "sha256:false", "/os": "plan9" },
        });
        let artifact = build(json.clone()).unwrap();
        let pushed = PushedImage::of("r".into(), &artifact);
        assert_eq!((pushed.digest.clone(), pushed.layers.len()), (pushed.id, 2));
        let config: Value = serde_json::from_slice(&artifact.blob(&artifact.config_digest())).unwrap();
        assert_eq!(
            (&config["os"], &config["rootfs"]["diff_ids"][0]),
            (&"plan9".into(), &"sha256:false".into())
        );
        assert_eq!(artifact, build(json).unwrap());
    }

    #[test]
    fn an_index_is_described_by_the_image_for_this_host() {
        let layers = serde_json::json!([{ "files": { "a": "1" } }]);
        let artifact = build(serde_json::json!({
            "index": [{ "layers": layers, "platform": "linux/s390x" }, { "layers": layers }],
        }));
        let artifact = artifact.unwrap();
        let pushed = PushedImage::of("r".into(), &artifact);
        assert_eq!(pushed.id, artifact.children[1].digest().to_string());
        assert_eq!(pushed.digest, artifact.digest().to_string());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(build(serde_json::json!({})).is_err());
        assert!(build(serde_json::json!({ "layer": [] })).is_err());
        assert!(build(serde_json::json!({ "base": "busybox", "index": [{ "base": "busybox" }] })).is_err());
    }
}
