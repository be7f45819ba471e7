//! Identifiers of boxes and executions.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorCode};

/// The id of a box: 12 lower-case letters and digits, random, never reused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BoxId(String);

impl BoxId {
    /// Makes the id for 12 random bytes.
    pub fn from_random(random: [u8; 12]) -> Self {
        BoxId(new_id(random))
    }

    /// Returns the id as text; it is also the name of the box's directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Spells 12 random bytes as 12 characters of `a-z0-9`, starting with a letter so that no id looks like a number.
pub fn new_id(random: [u8; 12]) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |(place, byte): (usize, u8)| {
        let choices = if place == 0 { 26 } else { 36 };
        ALPHABET[byte as usize % choices] as char
    };
    random.into_iter().enumerate().map(letter).collect()
}

impl fmt::Display for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BoxId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            Ok(BoxId(text.into()))
        } else {
            Err(Error::new(ErrorCode::InvalidArgument, format!("malformed box id `{text}`")))
        }
    }
}
