//! Examining the store: every file against the row that needs it, every row against its files.
//!
//! Everything is read and hashed once, under a shared lock, so that a check may run beside pulls and removals. What each
//! finding leads to with `repair` stands in [`super::repair`]; examined and repaired, a second check finds nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use boxlite_types::{CheckReport, Digest, Error, ErrorCode, Finding, Result};

use super::Inner;
use super::files::{self, TRASH, Unfinished};
use super::leases::Leases;
use super::rows::{self, ImageRecord};
use super::sweep::content_of;
use super::usage::named;
use crate::locks::Content;

/// What is wrong with a piece of content.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Missing,
    Corrupt(String),
}

/// What is known of the content of all images.
pub(super) struct Examination {
    pub(super) images: Vec<ImageRecord>,
    /// Only what is wrong.
    pub(super) faults: BTreeMap<Content, Fault>,
    pub(super) report: CheckReport,
}

impl Inner {
    /// Examines the store and, if asked to, puts it right. Ends between two pieces of content when `is_given_up` says so.
    pub(crate) fn check(&self, repair: bool, is_given_up: &dyn Fn() -> bool) -> Result<CheckReport> {
        let mut examination = Examination {
            images: self.all_images()?,
            faults: BTreeMap::new(),
            report: CheckReport::default(),
        };
        self.examine_content(&mut examination, is_given_up)?;
        self.repair_content(&mut examination, repair)?;
        self.examine_orphans(&mut examination.report, repair)?;
        self.examine_ingest(&mut examination.report, repair)?;
        Ok(examination.report)
    }

    fn all_images(&self) -> Result<Vec<ImageRecord>> {
        self.database.read(|connection| {
            let ids = rows::image_ids(connection)?;
            let images = ids.iter().map(|id| rows::image(connection, id));
            images.filter_map(|image| image.transpose()).collect()
        })
    }

    fn examine_content(&self, examination: &mut Examination, is_given_up: &dyn Fn() -> bool) -> Result<()> {
        let mut needed: HashMap<Content, ()> = HashMap::new();
        for image in &examination.images {
            examination.report.examined += 1;
            needed.extend(image.content().into_iter().map(|content| (content, ())));
        }
        for (content, _) in self.database.read(rows::needed_content)? {
            needed.insert(content, ());
        }
        let mut needed: Vec<Content> = needed.into_keys().collect();
        needed.sort_unstable();
        for content in needed {
            if is_given_up() {
                return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the examination any more"));
            }
            examination.report.examined += 1;
            let guard = match self.lock_present(content)? {
                Some(guard) => guard,
                None => match self.locks.try_shared(content)? {
                    Some(guard) => guard,
                    // Somebody is making it right now, or has deleted it with its rows.
                    None => continue,
                },
            };
            let leases = Leases::default();
            leases.hold(guard);
            let fault = if files::is_present(&self.home, content) {
                self.examine(content, &mut examination.report.bytes_hashed)?
            } else if self.may_be_missing(content)? {
                None
            } else {
                Some(Fault::Missing)
            };
            if let Some(fault) = fault {
                examination.faults.insert(content, fault);
            }
            // A removal in the meantime has left it to us.
            self.let_go(&leases)?;
        }
        Ok(())
    }

    /// A layer's blob is only kept for whoever wants the image as it was served; the layer itself does without.
    fn may_be_missing(&self, content: Content) -> Result<bool> {
        match content {
            Content::Blob(digest) => {
                self.database.read(|connection| rows::is_only_layer_blob(connection, &digest))
            }
            Content::Layer(_) | Content::Merged(_) => {
                self.database.read(|connection| rows::is_needed(connection, content)).map(|needed| !needed)
            }
        }
    }

    /// Reads a piece of content and says what is wrong with it.
    fn examine(&self, content: Content, bytes_hashed: &mut u64) -> Result<Option<Fault>> {
        let path = files::place(&self.home, content);
        let verified = match content {
            Content::Blob(digest) => {
                let (found, length) = files::hash(&path)?;
                *bytes_hashed += length;
                if found == digest { Ok(()) } else { Err(format!("its digest is `{found}`")) }
            }
            Content::Layer(_) => {
                *bytes_hashed += files::disk_bytes(&path);
                boxlite_rootfs::verify_layer(&path).map(|_| ()).map_err(|error| error.message().to_owned())
            }
            Content::Merged(_) => {
                *bytes_hashed += files::disk_bytes(&path);
                boxlite_rootfs::verify_merged(&path).map_err(|error| error.message().to_owned())
            }
        };
        Ok(verified.err().map(Fault::Corrupt))
    }

    /// Looks for content that no row needs and no pull is about to.
    fn examine_orphans(&self, report: &mut CheckReport, repair: bool) -> Result<()> {
        let home = &self.home;
        type Kind = fn(Digest) -> Content;
        let directories = [
            (home.blobs(), Content::Blob as Kind),
            (home.layers(), Content::Layer as Kind),
            (home.rootfs(), Content::Merged as Kind),
        ];
        for (directory, kind) in directories {
            for path in files::entries(&directory)? {
                let content = named(&path).map(kind).filter(|content| files::place(home, *content) == path);
                let Some(content) = content else {
                    let repaired = repair && files::delete(home, &path).is_ok();
                    report.findings.push(orphan(&path, "its name is not one of ours", repaired));
                    continue;
                };
                let Some(_guard) = self.locks.try_exclusive(content)? else { continue };
                let awaited = files::unfinished(home, content, Unfinished::Made).exists();
                let needed = self.database.read(|connection| rows::is_needed(connection, content))?;
                if !awaited && !needed && path.exists() {
                    let repaired = repair && files::delete(home, &path).is_ok();
                    report.findings.push(orphan(&path, "no image needs it", repaired));
                }
            }
        }
        Ok(())
    }

    /// Looks for what a sweep would take away, or would not know.
    fn examine_ingest(&self, report: &mut CheckReport, repair: bool) -> Result<()> {
        if repair {
            self.sweep()?;
        }
        for path in files::entries(&self.home.ingest())? {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TRASH)) {
                continue;
            }
            let known = content_of(&path).is_some()
                && path.extension().is_some_and(|extension| {
                    extension == "lock" || Unfinished::from_extension(extension).is_some()
                });
            if !known {
                let repaired = repair && files::delete(&self.home, &path).is_ok();
                report.findings.push(orphan(&path, "its name is not one of ours", repaired));
            }
        }
        Ok(())
    }
}

fn orphan(path: &Path, detail: &str, repaired: bool) -> Finding {
    Finding {
        kind: "orphan-file".into(),
        subject: path.display().to_string(),
        detail: detail.into(),
        repaired,
    }
}
