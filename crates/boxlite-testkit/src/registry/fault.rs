//! Faults as data: what goes wrong, for which requests, how often.

use boxlite_types::Digest;
use bytes::Bytes;

use super::gate::Gate;

/// Which requests a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every request.
    Any,
    /// `/v2/` itself.
    Ping,
    /// The token endpoint.
    Token,
    /// Every manifest or index.
    Manifests,
    /// The manifest of one tag or digest, in any repository.
    Manifest(String),
    /// Every blob.
    Blobs,
    /// One blob, in any repository.
    Blob(Digest),
    /// Exactly this path.
    Path(String),
}

impl Target {
    /// Returns whether a request for `path` is meant.
    pub fn matches(&self, path: &str) -> bool {
        let within = |part: &str| path.starts_with("/v2/") && path.contains(part);
        match self {
            Target::Any => true,
            Target::Ping => path == "/v2/" || path == "/v2",
            Target::Token => path == "/token",
            Target::Manifests => within("/manifests/"),
            Target::Manifest(reference) => within("/manifests/") && path.ends_with(&format!("/{reference}")),
            Target::Blobs => within("/blobs/"),
            Target::Blob(digest) => within("/blobs/") && path.ends_with(&digest.to_string()),
            Target::Path(exact) => path == exact,
        }
    }
}

/// One thing that goes wrong in one answer. Several together make one worse answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with this status and an error body instead.
    Status(u16),
    /// Sets a header, whatever its value was.
    Header(&'static str, String),
    /// Leaves a header out.
    NoHeader(&'static str),
    /// Serves another body, with an honest length.
    Body(Bytes),
    /// Flips the bits of the body's byte at this offset.
    Corrupt(u64),
    /// Sends this as `Content-Length`, and the body as it is.
    DeclaredLength(String),
    /// Sends the body chunked, without a length.
    Chunked,
    /// Sends the body without any length; the end of the connection ends it.
    UntilClose,
    /// Closes the connection in good order after so many bytes of body.
    CutAfter(u64),
    /// Resets the connection after so many bytes of body.
    ResetAfter(u64),
    /// Stops after so many bytes of body until the gate opens. After 0 bytes the head is out already.
    HoldAfter(u64, Gate),
    /// Stops before a single byte is sent, the head included, until the gate opens.
    HoldHead(Gate),
    /// Sends more bytes after the body; the length stays that of the body.
    Extra(Bytes),
    /// Never stops sending the body, chunked.
    Endless,
    /// Never stops sending the body, after promising this many bytes in `Content-Length`.
    EndlessDeclared(u64),
    /// Never stops sending headers.
    EndlessHeaders,
    /// Answers 200 with everything although a range was asked for.
    IgnoreRange,
    /// Answers a request for a range with 206 from this offset, truly labelled in `Content-Range`.
    RangeFrom(u64),
    /// Redirects (307) to exactly this URL.
    Redirect(String),
    /// Redirects (307) to the same path of another origin, as `http://127.0.0.1:5000`.
    RedirectOrigin(String),
    /// Sends these bytes instead of HTTP, then closes.
    Raw(Bytes),
    /// Closes without a byte.
    HangUp,
}

/// Faults for some requests.
#[derive(Clone, Debug)]
pub struct Rule {
    target: Target,
    method: Option<&'static str>,
    from: usize,
    count: usize,
    faults: Vec<Fault>,
}

impl Rule {
    /// Makes a rule for every request to `target`, without a fault yet.
    pub fn on(target: Target) -> Self {
        Rule { target, method: None, from: 1, count: usize::MAX, faults: Vec::new() }
    }

    /// Limits it to one method, as `GET`.
    #[must_use]
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Limits it to the `number`-th matching request, counted from 1 since the rule was given.
    #[must_use]
    pub fn nth(mut self, number: usize) -> Self {
        (self.from, self.count) = (number, 1);
        self
    }

    /// Limits it to the first `count` matching requests.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        (self.from, self.count) = (1, count);
        self
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// The rules of a registry and how often each has matched.
#[derive(Default)]
pub(super) struct Script(Vec<(Rule, usize)>);

impl Script {
    pub(super) fn push(&mut self, rule: Rule) {
        self.0.push((rule, 0));
    }

    /// Counts the request, and returns the faults of its answer.
    pub(super) fn faults(&mut self, method: &str, path: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (rule, seen) in &mut self.0 {
            if rule.target.matches(path) && rule.method.is_none_or(|wanted| wanted == method) {
                *seen += 1;
                if *seen >= rule.from && *seen - rule.from < rule.count {
                    faults.extend(rule.faults.iter().cloned());
                }
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_acts_on_the_requests_it_names_only() {
        let mut script = Script::default();
        script.push(Rule::on(Target::Blobs).nth(2).with(Fault::HangUp));
        script.push(Rule::on(Target::Any).method("HEAD").with(Fault::Status(500)));
        let counts: Vec<usize> = [
            ("GET", "/v2/a/blobs/x"),
            ("GET", "/v2/a/manifests/x"),
            ("HEAD", "/v2/a/blobs/y"),
            ("GET", "/v2/a/blobs/x"),
        ]
        .map(|(method, path)| script.faults(method, path).len())
        .into();
        assert_eq!(counts, [0, 0, 2, 0]);
    }
}
