//! Reading an image configuration (OCI image-spec, config.md): platform, DiffIDs, and how the image wants to be run.

use std::collections::BTreeMap;

use boxlite_types::{DiffId, Digest, Error, ErrorCode, ImageConfig, Platform, Result};
use sha2::{Digest as _, Sha256};

/// Longest chain of `history` that is kept.
const HISTORY_ENTRIES: usize = 10_000;

#[derive(serde::Deserialize)]
struct RawConfiguration {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawConfig>,
    rootfs: Option<RawRootfs>,
    history: Option<Vec<RawHistory>>,
}

/// Every field may be absent or `null`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(serde::Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
struct RawHistory {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

/// A configuration that has been read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) platform: Platform,
    pub(crate) created: Option<String>,
    pub(crate) config: ImageConfig,
    pub(crate) diff_ids: Vec<DiffId>,
    pub(crate) history: Vec<(String, bool)>,
}

impl Configuration {
    /// Reads a configuration for an image of `layer_count` layers.
    ///
    /// # Errors
    /// `Image` if it is malformed, or does not have one DiffID for each layer.
    pub(crate) fn parse(bytes: &[u8], layer_count: usize) -> Result<Self> {
        let refused = |why: String| Error::new(ErrorCode::Image, format!("image configuration {why}"));
        let raw: RawConfiguration =
            serde_json::from_slice(bytes).map_err(|error| refused(format!("is malformed: {error}")))?;
        if raw.os.is_empty() || raw.architecture.is_empty() {
            return Err(refused("does not say which platform it is for".into()));
        }
        let rootfs = raw.rootfs.ok_or_else(|| refused("describes no root filesystem".into()))?;
        if rootfs.kind != "layers" {
            return Err(refused(format!("has a root filesystem of the unknown type `{}`", rootfs.kind)));
        }
        let diff_ids = rootfs
            .diff_ids
            .unwrap_or_default()
            .iter()
            .map(|text| text.parse().map_err(|error: Error| refused(format!("has a {}", error.message()))))
            .collect::<Result<Vec<DiffId>>>()?;
        if diff_ids.len() != layer_count {
            return Err(refused(format!("has {} DiffIDs for {layer_count} layers", diff_ids.len())));
        }
        let history = raw.history.unwrap_or_default();
        Ok(Configuration {
            platform: Platform {
                os: raw.os,
                architecture: raw.architecture,
                variant: raw.variant.filter(|variant| !variant.is_empty()),
            },
            created: raw.created,
            config: raw.config.unwrap_or_default().into(),
            diff_ids,
            history: history
                .into_iter()
                .take(HISTORY_ENTRIES)
                .map(|step| (step.created_by, step.empty_layer))
                .collect(),
        })
    }
}

impl From<RawConfig> for ImageConfig {
    fn from(raw: RawConfig) -> Self {
        ImageConfig {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            command: raw.cmd.unwrap_or_default(),
            env: raw.env.unwrap_or_default(),
            working_dir: raw.working_dir.unwrap_or_default(),
            user: raw.user.unwrap_or_default(),
            stop_signal: raw.stop_signal.unwrap_or_default(),
            labels: raw.labels.unwrap_or_default(),
            exposed_ports: raw.exposed_ports.unwrap_or_default().into_keys().collect(),
            volumes: raw.volumes.unwrap_or_default().into_keys().collect(),
        }
    }
}

/// Returns the chain id of layers, lowest first (OCI image-spec, config.md, "Layer ChainID"). Without a layer it is the
/// digest of nothing, which no chain of layers can have.
pub(crate) fn chain_id(diff_ids: &[DiffId]) -> Digest {
    let Some((first, rest)) = diff_ids.split_first() else { return digest_of(b"") };
    rest.iter().fold(*first, |chain, diff_id| digest_of(format!("{chain} {diff_id}").as_bytes()))
}

/// Returns the SHA-256 of `bytes`.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(rest: &str) -> String {
        format!(r#"{{"os":"linux","architecture":"amd64"{rest}}}"#)
    }

    fn check_refused(text: &str, layers: usize, says: &str) {
        let error = Configuration::parse(text.as_bytes(), layers).expect_err(text);
        assert_eq!(error.code(), ErrorCode::Image, "{text}");
        assert!(error.message().contains(says), "`{}` does not say `{says}`", error.message());
    }

    #[test]
    fn nulls_and_absent_fields_are_nothing() {
        let text = document(
            r#","config":{"Cmd":null,"Env":["A=b"],"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":null},"history":null"#,
        );
        let parsed = Configuration::parse(text.as_bytes(), 0).unwrap();
        assert_eq!(parsed.config.env, ["A=b"]);
        assert_eq!(parsed.config.exposed_ports, ["80/tcp"]);
        assert!(parsed.config.command.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        check_refused("", 0, "malformed");
        check_refused("{}", 0, "platform");
        check_refused(&document(""), 0, "no root filesystem");
        check_refused(&document(r#","rootfs":{"type":"x","diff_ids":[]}"#), 0, "unknown type");
        check_refused(&document(r#","rootfs":{"type":"layers","diff_ids":[]}"#), 1, "0 DiffIDs for 1 layers");
        check_refused(&document(r#","rootfs":{"type":"layers","diff_ids":["x"]}"#), 1, "malformed digest");
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let [a, b] = [digest_of(b"a"), digest_of(b"b")];
        assert_eq!(chain_id(&[a]), a);
        assert_eq!(chain_id(&[a, b]), digest_of(format!("{a} {b}").as_bytes()));
    }
}
