//! What an examination of a home finds.

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// What kind: `corrupt-blob`, `missing-layer`, `orphan-file`, `dead-box` ... One word per kind, stable.
    pub kind: String,
    /// The file, image or box.
    pub subject: String,
    /// What is wrong with it, as one line.
    pub detail: String,
    /// Whether the examination put it right.
    pub repaired: bool,
}

/// The result of `system check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckReport {
    /// Images, layers, blobs and boxes looked at.
    pub examined: u64,
    /// Bytes read and hashed.
    pub bytes_hashed: u64,
    /// What is wrong; empty for a sound home.
    pub findings: Vec<Finding>,
}
