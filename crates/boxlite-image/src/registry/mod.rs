//! The client side of the distribution protocol: finding a registry, authenticating, reading documents and blobs.
//!
//! Reads only. It verifies nothing but what belongs to the protocol; digests are the business of whoever asked for the
//! bytes. What is learnt of a registry (scheme, challenge, tokens) is remembered for the life of the store.

mod blob;
mod challenge;
mod credentials;
mod http;
mod repository;
mod retry;
mod token;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use boxlite_types::{Error, ErrorCode, Result};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode, Url};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

pub(crate) use blob::{BlobReader, BlobSink};
pub(crate) use repository::{Document, Repository};

use crate::ImageOptions;
use crate::progress::Progress;
use challenge::Challenge;
use credentials::Credentials;
use http::Request;
use retry::Failure;
use token::Authorization;
use transport::Transports;

/// All registries, as one store sees them.
#[derive(Clone)]
pub(crate) struct RegistryClient {
    shared: Arc<Shared>,
}

struct Shared {
    transports: Transports,
    credentials: Credentials,
    registries: Mutex<HashMap<String, Arc<Registry>>>,
}

/// What is known of one registry.
struct Registry {
    host: String,
    base: OnceCell<Base>,
    /// By scope. Held while a token is fetched, so that many requests that find it expired fetch one.
    authorizations: AsyncMutex<HashMap<String, Authorization>>,
}

/// What `/v2/` answered.
struct Base {
    url: Url,
    challenges: Vec<Challenge>,
}

impl RegistryClient {
    pub(crate) fn new(options: ImageOptions) -> Self {
        let credentials = Credentials::new(options.docker_config.as_deref());
        let transports = Transports::new(options);
        RegistryClient { shared: Arc::new(Shared { transports, credentials, registries: Mutex::default() }) }
    }

    /// Returns one repository of the registry `host`, for one pull. Does no I/O.
    pub(crate) fn repository(&self, host: &str, path: &str, progress: Progress) -> Repository {
        let mut registries = self.shared.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registries.entry(host.to_owned()).or_insert_with(|| {
            Arc::new(Registry {
                host: host.to_owned(),
                base: OnceCell::new(),
                authorizations: AsyncMutex::default(),
            })
        });
        Repository {
            shared: self.shared.clone(),
            registry: registry.clone(),
            path: path.to_owned(),
            scope: format!("repository:{path}:pull"),
            progress,
        }
    }
}

impl Registry {
    /// Finds out which scheme the registry speaks and what it asks for, once.
    async fn base(&self, transports: &Transports) -> Result<&Base, Failure> {
        self.base.get_or_try_init(|| self.find_base(transports)).await
    }

    async fn find_base(&self, transports: &Transports) -> Result<Base, Failure> {
        let mut last = None;
        for scheme in transports.schemes(&self.host) {
            let url: Url = format!("{scheme}://{}/v2/", self.host).parse().map_err(|_| {
                Error::new(ErrorCode::InvalidArgument, format!("`{}` is no usable registry host", self.host))
            })?;
            match http::send(transports, Request::get(url.clone())).await {
                // Whatever it answers, it speaks the scheme. Only its challenge matters here; a real failure will show
                // again at the document asked for.
                Ok(response) => return Ok(Base { url, challenges: challenges(&response) }),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last
            .unwrap_or_else(|| Error::new(ErrorCode::Internal, "no scheme to speak to a registry").into()))
    }

    /// Sends a read for `scope`, authenticating as the registry asks. A token that has expired is replaced once.
    async fn get(
        &self,
        shared: &Shared,
        progress: &Progress,
        scope: &str,
        request: impl Fn(&Url) -> Request,
    ) -> Result<Response, Failure> {
        let base = self.base(&shared.transports).await?;
        let mut authorization = self.known(scope).await;
        if authorization.is_none() && !base.challenges.is_empty() {
            authorization = self.authorize(shared, progress, scope, &base.challenges, None).await?;
        }
        let sent = authorization.as_ref().map(|authorization| authorization.value.clone());
        let response = http::send(&shared.transports, request(&base.url).authorized(sent.clone())).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let mut offered = challenges(&response);
        if offered.is_empty() {
            offered.clone_from(&base.challenges);
        }
        if offered.is_empty() {
            return Ok(response);
        }
        match self.authorize(shared, progress, scope, &offered, sent.as_deref()).await? {
            Some(fresh) if Some(&fresh.value) != sent.as_ref() => {
                http::send(&shared.transports, request(&base.url).authorized(Some(fresh.value))).await
            }
            _ => Ok(response),
        }
    }

    async fn known(&self, scope: &str) -> Option<Authorization> {
        let authorizations = self.authorizations.lock().await;
        let known = authorizations.get(scope)?;
        known.good_until.is_none_or(|until| until > Instant::now()).then(|| known.clone())
    }

    /// Gets an authorization for `scope` other than `refused`, from a parallel request or from the token service;
    /// `None` if it would take credentials and there are none.
    async fn authorize(
        &self,
        shared: &Shared,
        progress: &Progress,
        scope: &str,
        challenges: &[Challenge],
        refused: Option<&str>,
    ) -> Result<Option<Authorization>> {
        let mut authorizations = self.authorizations.lock().await;
        if let Some(known) = authorizations.get(scope) {
            let good = known.good_until.is_none_or(|until| until > Instant::now());
            if good && refused != Some(known.value.as_str()) {
                return Ok(Some(known.clone()));
            }
        }
        let options = shared.transports.registry(&self.host);
        let auth = shared.credentials.find(&self.host, options).await?;
        let authorization =
            token::answer(&shared.transports, progress, &self.host, challenges, scope, auth.as_ref()).await?;
        if let Some(authorization) = &authorization {
            authorizations.insert(scope.to_owned(), authorization.clone());
        }
        Ok(authorization)
    }
}

fn challenges(response: &Response) -> Vec<Challenge> {
    if response.status() != StatusCode::UNAUTHORIZED {
        return Vec::new();
    }
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    challenge::parse(headers.iter().filter_map(|value| value.to_str().ok()))
}
