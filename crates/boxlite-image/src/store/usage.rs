//! Measuring what images take on the disk, and what removing those that no box needs would give back.

use std::collections::HashMap;
use std::path::Path;

use boxlite_types::{Digest, Result, UsageReport};

use super::Inner;
use super::{files, rows};
use crate::locks::Content;

impl Inner {
    /// Fills in the part of the report that is about images.
    pub(crate) fn usage(&self) -> Result<UsageReport> {
        let (needed, images) = self.database.read(|connection| {
            Ok((rows::needed_content(connection)?, rows::image_ids(connection)?.len() as u64))
        })?;
        let mut boxed: HashMap<Content, bool> = HashMap::new();
        for (content, by_box) in needed {
            *boxed.entry(content).or_default() |= by_box;
        }
        let mut report = UsageReport { images, ..UsageReport::default() };
        let measure = |directory: &Path, kind: fn(Digest) -> Content| -> Result<(u64, u64)> {
            let (mut total, mut reclaimable) = (0, 0);
            for path in files::entries(directory)? {
                let bytes = files::disk_bytes(&path);
                total += bytes;
                let content = named(&path).map(kind);
                // What no row needs is not an image's to give back; the check finds it.
                if content.and_then(|content| boxed.get(&content)) == Some(&false) {
                    reclaimable += bytes;
                }
            }
            Ok((total, reclaimable))
        };
        let blobs = measure(&self.home.blobs(), Content::Blob)?;
        let layers = measure(&self.home.layers(), Content::Layer)?;
        let merged = measure(&self.home.rootfs(), Content::Merged)?;
        report.blob_bytes = blobs.0;
        report.layer_bytes = layers.0 + merged.0;
        for path in files::entries(&self.home.ingest())? {
            report.partial_bytes += files::disk_bytes(&path);
        }
        report.reclaimable_bytes = blobs.1 + layers.1 + merged.1 + report.partial_bytes;
        Ok(report)
    }
}

/// Returns the digest a file in one of the content directories is named by.
pub(crate) fn named(path: &Path) -> Option<Digest> {
    format!("sha256:{}", path.file_stem()?.to_str()?).parse().ok()
}
