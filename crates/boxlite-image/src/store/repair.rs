//! Putting right what a check finds, with the network left alone.
//!
//! What is corrupt is deleted. A layer is converted again from its blob, a merged tree merged again from its layers. An
//! image that still lacks something loses its names and rows, but what is sound of it stays in place, marked, so that the
//! next pull fetches only what is missing. An image that a box needs keeps its rows: only a pull can help it.

use std::fs::File;
use std::sync::Arc;

use boxlite_types::{Finding, Result};

use super::Inner;
use super::check::{Examination, Fault};
use super::files::{self, Unfinished};
use super::rows::{self, ImageRecord, LayerRecord};
use crate::locks::Content;
use crate::media;
use crate::pipeline::{Job, Outcome, Pipeline};

impl Inner {
    /// Reports every fault and, with `repair`, mends what can be mended.
    pub(super) fn repair_content(&self, examination: &mut Examination, repair: bool) -> Result<()> {
        let faults = std::mem::take(&mut examination.faults);
        let mut mended: Vec<Content> = Vec::new();
        if repair {
            // In the order of `Content`: blobs, then layers, which are made from them, then what is merged from those.
            for (content, fault) in &faults {
                if self.mend(*content, fault, &examination.images)? {
                    mended.push(*content);
                }
            }
            for image in &examination.images {
                let lacking = |content: &Content| faults.contains_key(content) && !mended.contains(content);
                if image.content().iter().any(lacking) && self.forget(image)? {
                    mended.extend(image.content());
                }
            }
            let indexes = faults.keys().filter(|content| matches!(content, Content::Blob(_)));
            for content in indexes {
                if let Content::Blob(digest) = content
                    && !mended.contains(content)
                    && self.database.write(|transaction| rows::forget_index(transaction, digest))?
                {
                    mended.push(*content);
                }
            }
        }
        for (content, fault) in faults {
            let noun = content.noun();
            let repaired = mended.contains(&content);
            let (kind, mut detail) = match fault {
                Fault::Missing => (format!("missing-{noun}"), format!("the {noun} is not there")),
                Fault::Corrupt(why) => (format!("corrupt-{noun}"), why),
            };
            if repair && !repaired {
                detail.push_str("; a box needs its image, so pull that again");
            }
            let subject = files::place(&self.home, content).display().to_string();
            examination.report.findings.push(Finding { kind, subject, detail, repaired });
        }
        Ok(())
    }

    /// Deletes what is corrupt and makes it again if that is possible; says whether nothing is wrong any more.
    fn mend(&self, content: Content, fault: &Fault, images: &[ImageRecord]) -> Result<bool> {
        let Some(guard) = self.locks.try_exclusive(content)? else { return Ok(false) };
        if matches!(fault, Fault::Corrupt(_)) || matches!(content, Content::Layer(_)) {
            files::delete(&self.home, &files::place(&self.home, content))?;
        }
        let mended = match content {
            Content::Blob(digest) => {
                self.database.read(|connection| rows::is_only_layer_blob(connection, &digest))?
            }
            Content::Layer(diff_id) => {
                let layers = images.iter().flat_map(|image| &image.layers);
                let layer = layers.filter(|layer| layer.info.diff_id == diff_id);
                let mut mended = false;
                let guard = Arc::new(guard);
                for layer in layer {
                    mended = mended || self.convert_again(layer, &guard)?;
                }
                return Ok(mended);
            }
            Content::Merged(chain_id) => images.iter().any(|image| {
                let layers: Vec<_> =
                    image.layers.iter().map(|layer| self.home.layer(&layer.info.diff_id)).collect();
                image.chain_id == chain_id && self.merge_into_place(content, &layers, || {}).is_ok()
            }),
        };
        if mended {
            self.settle(content)?;
        }
        Ok(mended)
    }

    /// Converts a layer from the blob that is held.
    fn convert_again(&self, layer: &LayerRecord, guard: &Arc<crate::locks::LockGuard>) -> Result<bool> {
        let info = &layer.info;
        let (content, path) = (Content::Layer(info.diff_id), self.home.blob(&info.digest));
        let Some(blob_guard) = self.lock_present(Content::Blob(info.digest))? else { return Ok(false) };
        let Ok(file) = File::open(&path) else { return Ok(false) };
        let Ok(compression) = media::layer_compression(&info.media_type) else { return Ok(false) };
        let directory = files::unfinished(&self.home, content, Unfinished::Temporary);
        files::delete(&self.home, &directory)?;
        files::make_directory(&directory)?;
        let pipeline = Pipeline::start(Job {
            digest: info.digest,
            size: info.size_bytes,
            compression,
            diff_id: info.diff_id,
            file,
            path,
            held_bytes: info.size_bytes,
            directory: Some(directory.clone()),
            limits: self.options.layer_limits.clone(),
            locks: vec![guard.clone(), Arc::new(blob_guard)],
        })?;
        // This runs on a thread for blocking work, where waiting for the pipeline blocks nobody else.
        match tokio::runtime::Handle::current().block_on(pipeline.finish()) {
            Outcome::Converted(_) => {
                files::put_in_place(&self.home, content, &directory)?;
                self.settle(content)?;
                Ok(true)
            }
            Outcome::Failed(error) => Err(error),
            Outcome::BadBlob(_) | Outcome::BadLayer(_) | Outcome::Incomplete => {
                files::delete(&self.home, &directory)?;
                Ok(false)
            }
        }
    }

    /// Makes content durable that a row points at already.
    fn settle(&self, content: Content) -> Result<()> {
        let path = files::place(&self.home, content);
        if let Some(directory) = path.parent() {
            files::sync_directory(directory)?;
        }
        files::delete_file(&files::unfinished(&self.home, content, Unfinished::Made))
    }

    /// Takes the rows of an image away, and marks what is sound of it for the next pull. False if a box needs it.
    fn forget(&self, image: &ImageRecord) -> Result<bool> {
        let held = self.database.read(|connection| rows::references_to(connection, &image.id))?;
        let indexes = held.into_iter().filter_map(|held| held.index_digest).map(Content::Blob);
        for content in image.content().into_iter().chain(indexes) {
            if files::is_present(&self.home, content) {
                let layer = image.layers.iter().find(|layer| Content::Blob(layer.info.digest) == content);
                files::mark(&self.home, content, layer.map(|layer| &layer.info.diff_id))?;
            }
        }
        self.database.write(|transaction| rows::forget_image(transaction, &image.id))
    }
}
