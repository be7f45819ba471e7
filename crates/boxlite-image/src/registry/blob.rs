//! Reading one blob as a stream that survives cut connections, stalls, expired tokens and odd answers to `Range`.
//!
//! Every byte comes out once, in order, and exactly as many as the descriptor promises; whether they are the right ones
//! is for the digest to say. A registry that ignores `Range`, or answers it wrongly, costs the bytes again, nothing else.

use boxlite_types::{Context, Digest, Error, ErrorCode, Result, ResultExt};
use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};

use super::http;
use super::repository::Repository;
use super::retry::{Attempts, Failure};

/// Progress after which failures are counted anew: a long download over a bad line may fail often.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Takes the bytes of a blob.
pub(crate) trait BlobSink: Send {
    /// Takes the next bytes; answers whether more are wanted.
    fn take(&mut self, bytes: Bytes) -> impl Future<Output = bool> + Send;
}

/// A blob being read.
pub(crate) struct BlobReader {
    repository: Repository,
    digest: Digest,
    size: u64,
    /// Bytes handed out, or skipped because they are held already.
    offset: u64,
}

/// A response positioned somewhere before the wanted byte.
struct Body {
    response: Response,
    /// Bytes to throw away first, because the registry sent them unasked.
    skip: u64,
    /// Whether the end of the response must still be seen to know that nothing follows.
    open_ended: bool,
}

impl BlobReader {
    pub(super) fn new(repository: Repository, digest: Digest, size: u64, offset: u64) -> Self {
        BlobReader { repository, digest, size, offset }
    }

    /// Hands all bytes from the offset on to `sink`, in order.
    ///
    /// # Errors
    /// `Network`, `RateLimited`, `Unauthorized`, `NotFound`; `DigestMismatch` if the blob is longer or shorter than
    /// its descriptor says.
    pub(crate) async fn read(&mut self, sink: &mut impl BlobSink) -> Result<()> {
        let repository = self.repository.clone();
        let mut attempts = repository.attempts(self.digest.to_string());
        let mut ranges = true;
        let mut counted_from = self.offset;
        while self.offset < self.size {
            let failure = match self.open(ranges).await {
                Ok(Some(body)) => match self.drain(body, sink).await {
                    Ok(()) => return Ok(()),
                    Err(failure) => failure,
                },
                Ok(None) => {
                    // The registry cannot do ranges, or not this one. That is an answer, not a failure.
                    ranges = false;
                    continue;
                }
                Err(failure) => failure,
            };
            if self.offset - counted_from >= PROGRESS_BYTES {
                attempts.reset();
                counted_from = self.offset;
            }
            self.pause(&mut attempts, failure).await?;
        }
        Ok(())
    }

    async fn pause(&self, attempts: &mut Attempts<'_>, failure: Failure) -> Result<()> {
        attempts.pause(failure).await.with(Context::Digest, self.digest)
    }

    fn wrong_size(&self, said: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorCode::DigestMismatch,
            format!("blob `{}` is {said}, not of {} bytes as its manifest says", self.digest, self.size),
        )
        .with(Context::Digest, self.digest.to_string())
    }

    /// Opens a response that holds the byte at the offset; `None` if the answer to `Range` cannot be used.
    async fn open(&self, ranges: bool) -> Result<Option<Body>, Failure> {
        let asked = if ranges { self.offset } else { 0 };
        let response = self.repository.open_blob(&self.digest, asked).await?;
        let length = response.content_length();
        match response.status() {
            StatusCode::OK => {
                if let Some(length) = length.filter(|length| *length != self.size) {
                    return Err(self.wrong_size(format_args!("served with {length} bytes")).into());
                }
                Ok(Some(Body { response, skip: self.offset, open_ended: length.is_none() }))
            }
            StatusCode::PARTIAL_CONTENT if asked > 0 => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let right = range.and_then(parse_content_range).is_some_and(|(first, last, total)| {
                    first == asked && last == self.size - 1 && total.is_none_or(|total| total == self.size)
                });
                let right = right && length.is_none_or(|length| length == self.size - asked);
                Ok(right.then(|| Body { response, skip: 0, open_ended: length.is_none() }))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if asked > 0 => Ok(None),
            StatusCode::PARTIAL_CONTENT => Err(Failure::passing(
                Error::new(ErrorCode::Network, format!("blob `{}` was served in part, unasked", self.digest))
                    .with(Context::Status, "206"),
            )),
            _ => Err(http::status_failure(&response, &format!("blob `{}`", self.digest))),
        }
    }

    /// Hands out a response until the size is reached.
    async fn drain(&mut self, mut body: Body, sink: &mut impl BlobSink) -> Result<(), Failure> {
        while self.offset < self.size || body.open_ended {
            let chunk = http::next_chunk(self.repository.transports(), &mut body.response).await;
            let mut chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) if self.offset == self.size => break,
                Ok(None) => {
                    let (got, size) = (self.offset, self.size);
                    let error = self.wrong_size(format_args!("cut off after {got}"));
                    let code = if body.open_ended { ErrorCode::DigestMismatch } else { ErrorCode::Network };
                    let error = match code {
                        ErrorCode::DigestMismatch => error,
                        _ => Error::new(
                            code,
                            format!("blob `{}` broke off after {got} of {size} bytes", self.digest),
                        ),
                    };
                    return Err(Failure::passing(error));
                }
                // Everything is here; how the response ends is of no interest any more.
                Err(_) if self.offset == self.size => break,
                Err(failure) => return Err(failure),
            };
            self.repository.progress.received(chunk.len());
            let skipped = (chunk.len() as u64).min(body.skip);
            body.skip -= skipped;
            let _ = chunk.split_to(skipped as usize);
            if chunk.is_empty() {
                continue;
            }
            if chunk.len() as u64 > self.size - self.offset {
                return Err(self.wrong_size("longer").into());
            }
            self.offset += chunk.len() as u64;
            if !sink.take(chunk).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Reads `bytes first-last/total`, the total being `None` for `*` (RFC 9110, section 14.4).
fn parse_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total.trim() == "*" { None } else { Some(total.trim().parse().ok()?) };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let check = |text, expect| assert_eq!(parse_content_range(text), expect, "{text}");
        check("bytes 5-9/10", Some((5, 9, Some(10))));
        check("bytes 0-0/*", Some((0, 0, None)));
        check("bytes */10", None);
        check("bytes 5-9", None);
        check("items 5-9/10", None);
        check("bytes a-9/10", None);
        check("", None);
    }
}
