//! Platforms as OCI writes them (image-spec, image-index.md, `platform`): `os/architecture[/variant]`.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorCode};

/// What an image was built for. Architecture names are Go's (`amd64`, `arm64`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// Operating system; boxes run `linux`.
    pub os: String,
    /// Processor architecture, as `amd64`.
    pub architecture: String,
    /// Variant of the architecture, as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform boxes on this host run: `linux` on the host's own architecture.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(word) {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("malformed platform `{text}`")).hint(
                "write it as `os/architecture` or `os/architecture/variant`, for example `linux/arm64/v8`",
            ));
        }
        let architecture = match parts[1] {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Platform {
            os: parts[0].into(),
            architecture: architecture.into(),
            variant: parts.get(2).map(|v| (*v).into()),
        })
    }
}
