//! SHA-256 digests as OCI writes them (image-spec, descriptor.md, "Digests").

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorCode};

/// A SHA-256 digest, printed as `sha256:<64 lower-case hex digits>`.
///
/// Other algorithms of the specification are refused when parsed: nothing in a store could verify them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The digest of an uncompressed layer (image-spec, config.md, "Layer DiffID").
pub type DiffId = Digest;

impl Digest {
    /// Wraps the 32 bytes of a finished SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 hex digits alone, as they name files in the store.
    pub fn hex(&self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = |why: &str| {
            Error::new(ErrorCode::InvalidArgument, format!("malformed digest `{text}`: {why}"))
                .hint("a digest is `sha256:` followed by 64 lower-case hex digits")
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| malformed("it has no algorithm"))?;
        if algorithm != "sha256" {
            return Err(malformed("only sha256 is supported"));
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        if hex.len() != 64 {
            return Err(malformed("it is not 64 hex digits long"));
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(malformed("it holds something that is no lower-case hex digit")),
            }
        }
        Ok(Digest(bytes))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error.message().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_the_round_trip_and_nothing_else_is_taken() {
        let text = format!("sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        for bad in [
            "",
            "sha256:",
            "sha256",
            &text[..70],
            &text.replace('a', "A"),
            &text.replace("256", "512"),
            &format!("{text}0"),
        ] {
            assert_eq!(bad.parse::<Digest>().unwrap_err().code(), ErrorCode::InvalidArgument, "{bad}");
        }
    }
}
