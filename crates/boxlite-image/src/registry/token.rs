//! Answering a challenge: tokens from the token service (distribution spec, "Token Authentication" and "OAuth2").
//!
//! Credentials go to the token service the registry names, and only over TLS unless that host may be spoken to in the
//! clear. The answer is a header value, with when it stops being good.

use std::time::{Duration, Instant};

use base64::Engine;
use boxlite_types::{Context, Error, ErrorCode, Result};
use reqwest::{StatusCode, Url};

use super::challenge::Challenge;
use super::http::{self, Request};
use super::retry::{Attempts, Failure, Retry};
use super::transport::{Transports, authority};
use crate::RegistryAuth;
use crate::progress::Progress;

/// How long a token is good if its service does not say (distribution spec: at least 60 s).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// Largest answer of a token service.
const ANSWER_BYTES: u64 = 1 << 20;

/// A value for the `Authorization` header.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) value: String,
    pub(crate) good_until: Option<Instant>,
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    expires_in: Option<u64>,
}

/// Turns the challenges of `host` into an authorization that allows `scope`; `None` if all that is offered takes
/// credentials and there are none.
///
/// # Errors
/// `Unauthorized` if the token service refuses.
pub(crate) async fn answer(
    transports: &Transports,
    progress: &Progress,
    host: &str,
    challenges: &[Challenge],
    scope: &str,
    auth: Option<&RegistryAuth>,
) -> Result<Option<Authorization>> {
    for challenge in challenges {
        match (challenge, auth) {
            (Challenge::Bearer { .. }, Some(RegistryAuth::Bearer(token))) => {
                return Ok(Some(Authorization { value: format!("Bearer {token}"), good_until: None }));
            }
            (Challenge::Bearer { realm, service, scope: asked, .. }, _) => {
                let service = service.as_deref();
                let scope = asked.as_deref().unwrap_or(scope);
                return fetch(transports, progress, host, realm, service, scope, auth).await.map(Some);
            }
            (Challenge::Basic, Some(auth)) => {
                if let Some(value) = basic(auth) {
                    return Ok(Some(Authorization { value, good_until: None }));
                }
            }
            (Challenge::Basic, None) => {}
        }
    }
    Ok(None)
}

fn basic(auth: &RegistryAuth) -> Option<String> {
    let RegistryAuth::Basic { username, password } = auth else { return None };
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    Some(format!("Basic {encoded}"))
}

async fn fetch(
    transports: &Transports,
    progress: &Progress,
    host: &str,
    realm: &str,
    service: Option<&str>,
    scope: &str,
    auth: Option<&RegistryAuth>,
) -> Result<Authorization> {
    let refused = |why: String| {
        Error::new(
            ErrorCode::Unauthorized,
            format!("registry `{host}` names the token service `{realm}`, {why}"),
        )
        .with(Context::Registry, host)
    };
    let url: Url = realm.parse().map_err(|_| refused("which is no address".into()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("which is no web address".into()));
    }
    if !transports.allows(&url) {
        return Err(refused("which would be asked in the clear".into())
            .hint(format!("allow plain HTTP for `{}` if that is what you want", authority(&url))));
    }
    let mut attempts = Attempts::new(&transports.options().retry, progress, format!("token for {host}"));
    loop {
        match fetch_once(transports, host, &url, service, scope, auth).await {
            Ok(authorization) => return Ok(authorization),
            Err(failure) => attempts.pause(failure).await?,
        }
    }
}

async fn fetch_once(
    transports: &Transports,
    host: &str,
    url: &Url,
    service: Option<&str>,
    scope: &str,
    auth: Option<&RegistryAuth>,
) -> Result<Authorization, Failure> {
    let mut url = url.clone();
    let request = match auth {
        Some(RegistryAuth::Identity(token)) => {
            let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
            form.push(("client_id", "boxlite"));
            form.extend(service.map(|service| ("service", service)));
            Request::post_form(url, &form)
        }
        _ => {
            // The query of the realm is kept; some services carry a tenant there.
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", scope);
            drop(query);
            Request::get(url).authorized(auth.and_then(basic))
        }
    };
    let response = http::send(transports, request).await?;
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) {
        let said =
            if auth.is_some() { "refuses these credentials" } else { "gives no token without credentials" };
        return Err(Error::new(ErrorCode::Unauthorized, format!("the token service of `{host}` {said}"))
            .with(Context::Registry, host)
            .with(Context::Status, status.as_str())
            .into());
    }
    if !status.is_success() {
        let failure = http::status_failure(&response, &format!("the token service of `{host}`"));
        // Whatever else it answers that will not pass, it gives no token.
        return Err(if failure.retry == Retry::Never { unreadable(host).into() } else { failure });
    }
    let body = match http::read_limited(transports, response, ANSWER_BYTES, None).await {
        Err(failure) if failure.error.code() == ErrorCode::Image => return Err(unreadable(host).into()),
        body => body?,
    };
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| unreadable(host))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(unreadable(host).into());
    }
    let lifetime = answer.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs);
    Ok(Authorization { value: format!("Bearer {token}"), good_until: Instant::now().checked_add(lifetime) })
}

fn unreadable(host: &str) -> Error {
    Error::new(
        ErrorCode::Unauthorized,
        format!("the token service of `{host}` answers without a usable token"),
    )
    .with(Context::Registry, host)
}
