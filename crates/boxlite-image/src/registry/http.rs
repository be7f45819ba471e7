//! One HTTP exchange: sending, redirects, time limits, and what a failure means.
//!
//! Knows nothing of registries' paths or documents. Its invariant: an `Authorization` header goes to the origin it was
//! made for and to no other, whatever a redirect says.

use std::time::{Duration, SystemTime};

use boxlite_types::{Context, Error, ErrorCode};
use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::retry::{Failure, Retry};
use super::transport::{Transports, authority};
use crate::progress::Progress;

/// Redirects followed for one request.
const REDIRECTS: usize = 8;

/// A request before it is sent.
pub(crate) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    authorization: Option<String>,
    form: Option<Vec<(String, String)>>,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Request { method: Method::GET, url, headers: HeaderMap::new(), authorization: None, form: None }
    }

    pub(crate) fn post_form(url: Url, fields: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request { method: Method::POST, form: Some(fields.iter().map(owned).collect()), ..Request::get(url) }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn authorized(mut self, authorization: Option<String>) -> Self {
        self.authorization = authorization;
        self
    }
}

/// Sends `request`, following redirects of reads; returns the response whatever its status.
pub(crate) async fn send(transports: &Transports, request: Request) -> Result<Response, Failure> {
    let origin = request.url.origin();
    let mut url = request.url.clone();
    for _ in 0..=REDIRECTS {
        let mut builder = transports
            .client(&url)?
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            // A blob is the bytes its digest was made of; an encoding on the way would only hide them.
            .header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = request.authorization.as_ref().filter(|_| url.origin() == origin) {
            let value = HeaderValue::from_str(authorization).map_err(|_| {
                Error::new(ErrorCode::Unauthorized, "the credentials hold characters that HTTP cannot carry")
            })?;
            builder = builder.header(AUTHORIZATION, value);
        }
        if let Some(form) = &request.form {
            builder = builder.form(form);
        }
        let response = within(transports, &url, builder.send()).await?;
        let redirected = response.status().is_redirection() && response.headers().contains_key(LOCATION);
        if !redirected || request.method != Method::GET {
            return Ok(response);
        }
        url = redirect_target(transports, &url, &response)?;
    }
    Err(unreachable(&url, format!("`{}` redirects more than {REDIRECTS} times", authority(&url)))
        .retryable(false)
        .into())
}

fn redirect_target(transports: &Transports, from: &Url, response: &Response) -> Result<Url, Error> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    let target =
        target.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(|| {
            unreachable(from, format!("`{}` redirects to something that is no address", authority(from)))
                .retryable(false)
        })?;
    if target.scheme() == "http" && !transports.allows(&target) {
        let (from_host, to_host) = (authority(from), authority(&target));
        return Err(unreachable(from, format!("`{from_host}` redirects to `{to_host}` in the clear"))
            .retryable(false)
            .hint(format!("allow plain HTTP for `{to_host}` if that is what you want")));
    }
    Ok(target)
}

/// Waits for a step of an exchange, but no longer than a stall may last.
async fn within<T>(
    transports: &Transports,
    url: &Url,
    step: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, Failure> {
    let limit = transports.options().stall_timeout;
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(url, error)),
        Err(_) => Err(Failure::passing(unreachable(
            url,
            format!("`{}` sent nothing for {} ms", authority(url), limit.as_millis()),
        ))),
    }
}

/// Returns the next piece of a body, `None` at its end.
pub(crate) async fn next_chunk(
    transports: &Transports,
    response: &mut Response,
) -> Result<Option<Bytes>, Failure> {
    let url = response.url().clone();
    within(transports, &url, response.chunk()).await
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_limited(
    transports: &Transports,
    mut response: Response,
    limit: u64,
    progress: Option<&Progress>,
) -> Result<Vec<u8>, Failure> {
    let host = authority(response.url());
    let too_large = || {
        Error::new(ErrorCode::Image, format!("`{host}` answers with a document of more than {limit} bytes"))
            .with(Context::Registry, &host)
    };
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large().into());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or(0) as usize);
    while let Some(chunk) = next_chunk(transports, &mut response).await? {
        if let Some(progress) = progress {
            progress.received(chunk.len());
        }
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(too_large().into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Says what an answer other than success means; `what` begins the message.
pub(crate) fn status_failure(response: &Response, what: &str) -> Failure {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let (code, retry, said) = match status {
        StatusCode::TOO_MANY_REQUESTS => {
            (ErrorCode::RateLimited, retry_after.map_or(Retry::Backoff, Retry::After), "asks to wait")
        }
        StatusCode::UNAUTHORIZED => (ErrorCode::Unauthorized, Retry::Never, "wants credentials"),
        StatusCode::FORBIDDEN => (ErrorCode::Unauthorized, Retry::Never, "refuses access"),
        StatusCode::NOT_FOUND | StatusCode::GONE => (ErrorCode::NotFound, Retry::Never, "does not exist"),
        StatusCode::REQUEST_TIMEOUT => (ErrorCode::Network, Retry::Backoff, "answers"),
        status if status.is_server_error() => {
            (ErrorCode::Network, retry_after.map_or(Retry::Backoff, Retry::After), "answers")
        }
        _ => (ErrorCode::Network, Retry::Never, "answers"),
    };
    let wait = match retry_after {
        Some(delay) if code == ErrorCode::RateLimited => format!(" {} s", delay.as_secs()),
        _ => String::new(),
    };
    let error = Error::new(code, format!("{what} {said}{wait} ({status})"))
        .with(Context::Registry, authority(response.url()))
        .with(Context::Status, status.as_str());
    let retryable = retry != Retry::Never;
    Failure { error: error.retryable(retryable), retry }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

fn unreachable(url: &Url, message: String) -> Error {
    Error::new(ErrorCode::Network, message).with(Context::Registry, authority(url))
}

fn failed(url: &Url, error: reqwest::Error) -> Failure {
    let mut reasons = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(current) = cause {
        reasons.push(current.to_string());
        cause = current.source();
    }
    let reason = reasons.last().cloned().unwrap_or_default();
    let host = authority(url);
    // What is wrong with a certificate now is wrong with it in a second.
    let certificate = reasons.iter().any(|reason| reason.contains("certificate"));
    let verb = if error.is_connect() { "cannot be reached" } else { "broke off" };
    let failure = unreachable(url, format!("`{host}` {verb}: {reason}")).caused_by(error.without_url());
    if certificate {
        Failure::from(
            failure
                .retryable(false)
                .hint("give the registry's certificate authority, or skip its verification, for this host"),
        )
    } else {
        Failure::passing(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let check = |text: &str, expect: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers).map(|delay| delay.as_secs()), expect, "{text}");
        };
        check("7", Some(7));
        check(" 0 ", Some(0));
        check("Thu, 01 Jan 1970 00:00:10 GMT", Some(0));
        check("-1", None);
        check("soon", None);
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(&later).unwrap())]);
        assert!((97..=100).contains(&retry_after(&headers).unwrap().as_secs()));
    }
}
