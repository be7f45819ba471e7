//! What the registry has: manifests by repository and reference, blobs by repository and digest, both as claimed.

use std::collections::HashMap;

use boxlite_types::Digest;
use bytes::Bytes;

use crate::images::{Artifact, sha256};

#[derive(Default)]
pub(super) struct Content {
    /// (repository, tag or digest) -> (media type, bytes).
    manifests: HashMap<(String, String), (String, Bytes)>,
    blobs: HashMap<(String, String), Bytes>,
}

/// A path below `/v2/`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Manifest { repository: &'a str, reference: &'a str },
    Blob { repository: &'a str, digest: &'a str },
    Tags { repository: &'a str },
}

impl<'a> Resource<'a> {
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v2/")?;
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(Resource::Tags { repository });
        }
        let (rest, last) = path.rsplit_once('/')?;
        if let Some(repository) = rest.strip_suffix("/manifests") {
            return Some(Resource::Manifest { repository, reference: last });
        }
        rest.strip_suffix("/blobs").map(|repository| Resource::Blob { repository, digest: last })
    }

    pub(super) fn repository(&self) -> &'a str {
        match self {
            Resource::Manifest { repository, .. }
            | Resource::Blob { repository, .. }
            | Resource::Tags { repository } => repository,
        }
    }
}

impl Content {
    pub(super) fn push(&mut self, repository: &str, tag: &str, artifact: &Artifact) {
        self.put_manifest(repository, tag, &artifact.media_type, artifact.manifest.clone());
        for part in artifact.all() {
            let digest = part.digest().to_string();
            self.put_manifest(repository, &digest, &part.media_type, part.manifest.clone());
            for (digest, blob) in &part.blobs {
                self.put_blob(repository, digest, blob.clone());
            }
        }
    }

    pub(super) fn put_manifest(&mut self, repository: &str, reference: &str, media_type: &str, bytes: Bytes) {
        self.manifests.insert((repository.into(), reference.into()), (media_type.into(), bytes));
    }

    pub(super) fn put_blob(&mut self, repository: &str, digest: &Digest, blob: Bytes) {
        self.blobs.insert((repository.into(), digest.to_string()), blob);
    }

    pub(super) fn remove_blob(&mut self, digest: &Digest) {
        let digest = digest.to_string();
        self.blobs.retain(|(_, held), _| *held != digest);
    }

    /// Returns media type, digest and bytes.
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Digest, Bytes)> {
        let (media_type, bytes) = self.manifests.get(&(repository.to_owned(), reference.to_owned()))?;
        Some((media_type.clone(), sha256(bytes), bytes.clone()))
    }

    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        self.blobs.get(&(repository.to_owned(), digest.to_owned())).cloned()
    }

    pub(super) fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.manifests.keys().filter(|(held, tag)| held == repository && !tag.contains(':'));
        let mut tags: Vec<String> = tags.map(|(_, tag)| tag.clone()).collect();
        tags.sort_unstable();
        tags
    }
}
