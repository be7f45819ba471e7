//! One repository, read by one pull: documents (manifests, indexes, configurations) whole, blobs as streams.

use std::sync::Arc;

use boxlite_types::{Context, Digest, Error, ErrorCode, Result, ResultExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Response, Url};

use super::http::{self, Request};
use super::retry::{Attempts, Failure};
use super::transport::Transports;
use super::{BlobReader, Registry, Shared};
use crate::Selector;
use crate::media;
use crate::progress::Progress;

/// A document as it was served.
pub(crate) struct Document {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Media type in the header of the answer, without parameters.
    pub(crate) content_type: Option<String>,
    /// What the registry says its digest is.
    pub(crate) claimed_digest: Option<String>,
}

/// One repository of one registry.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(super) shared: Arc<Shared>,
    pub(super) registry: Arc<Registry>,
    pub(super) path: String,
    pub(super) scope: String,
    pub(super) progress: Progress,
}

impl Repository {
    pub(super) fn transports(&self) -> &Transports {
        &self.shared.transports
    }

    /// Reads the manifest or index `selector` names.
    ///
    /// # Errors
    /// `NotFound`, `Unauthorized`, `RateLimited`, `Network`; `Image` if it is too large.
    pub(crate) async fn manifest(&self, selector: &Selector) -> Result<Document> {
        let path = format!("manifests/{selector}");
        let what = format!("`{}/{}` at `{selector}`", self.registry.host, self.path);
        self.document(&path, &what, Some(media::ACCEPTED_MANIFESTS)).await
    }

    /// Reads a blob that is a document.
    pub(crate) async fn document_blob(&self, digest: &Digest) -> Result<Document> {
        let what = format!("blob `{digest}`");
        self.document(&format!("blobs/{digest}"), &what, None).await.with(Context::Digest, digest)
    }

    /// Begins to read a blob of `size` bytes from `offset`. Does no I/O yet.
    pub(crate) fn blob(&self, digest: Digest, size: u64, offset: u64) -> BlobReader {
        BlobReader::new(self.clone(), digest, size, offset)
    }

    pub(super) fn attempts(&self, what: String) -> Attempts<'_> {
        Attempts::new(&self.transports().options().retry, &self.progress, what)
    }

    /// Sends one request for the blob `digest`, from `offset` on.
    pub(super) async fn open_blob(&self, digest: &Digest, offset: u64) -> Result<Response, Failure> {
        let range = (offset > 0).then(|| HeaderValue::from_str(&format!("bytes={offset}-")).ok()).flatten();
        self.get(&format!("blobs/{digest}"), |request| match &range {
            Some(range) => request.header(RANGE, range.clone()),
            None => request,
        })
        .await
    }

    async fn document(&self, path: &str, what: &str, accept: Option<&'static str>) -> Result<Document> {
        let mut attempts = self.attempts(what.to_owned());
        loop {
            match self.document_once(path, what, accept).await {
                Ok(document) => return Ok(document),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    async fn document_once(
        &self,
        path: &str,
        what: &str,
        accept: Option<&'static str>,
    ) -> Result<Document, Failure> {
        let response = self
            .get(path, |request| match accept {
                Some(accept) => request.header(ACCEPT, HeaderValue::from_static(accept)),
                None => request,
            })
            .await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(http::status_failure(&response, what));
        }
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(|value| value.trim().to_owned())
        };
        let content_type = text(CONTENT_TYPE.as_str())
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let claimed_digest = text("docker-content-digest");
        let limit = self.transports().options().document_bytes;
        let announced = response.content_length();
        let bytes = http::read_limited(self.transports(), response, limit, Some(&self.progress)).await?;
        if announced.is_some_and(|announced| announced != bytes.len() as u64) {
            return Err(Failure::passing(Error::new(ErrorCode::Network, format!("{what} was cut off"))));
        }
        Ok(Document { bytes, content_type, claimed_digest })
    }

    async fn get(&self, path: &str, shape: impl Fn(Request) -> Request) -> Result<Response, Failure> {
        let request = |base: &Url| {
            // Grammar of references and digests allows nothing in here that an address would have to escape.
            let mut url = base.clone();
            url.set_path(&format!("/v2/{}/{path}", self.path));
            shape(Request::get(url))
        };
        self.registry.get(&self.shared, &self.progress, &self.scope, request).await
    }
}
