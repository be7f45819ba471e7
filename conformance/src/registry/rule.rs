//! Faults and credentials described as data.

use anyhow::{Context, Result, bail};
use boxlite_testkit::registry::{Auth, Fault, Gate, Rule, Target, Tokens};
use serde::Deserialize;

/// Which requests are meant: `any`, `ping`, `token`, `manifests`, `blobs`, or one of `manifest: <tag or digest>`,
/// `blob: <digest>`, `path: <exact path>`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetDescription {
    /// Every request.
    Any,
    /// `/v2/` itself.
    Ping,
    /// The token endpoint.
    Token,
    /// Every manifest or index.
    Manifests,
    /// Every blob.
    Blobs,
    /// The manifest of one tag or digest.
    Manifest(String),
    /// One blob.
    Blob(String),
    /// Exactly this path.
    Path(String),
}

impl TargetDescription {
    /// Returns it as the registry has it.
    ///
    /// # Errors
    /// If a digest is malformed.
    pub fn target(&self) -> Result<Target> {
        Ok(match self {
            TargetDescription::Any => Target::Any,
            TargetDescription::Ping => Target::Ping,
            TargetDescription::Token => Target::Token,
            TargetDescription::Manifests => Target::Manifests,
            TargetDescription::Blobs => Target::Blobs,
            TargetDescription::Manifest(reference) => Target::Manifest(reference.clone()),
            TargetDescription::Blob(digest) => {
                Target::Blob(digest.parse().with_context(|| format!("digest `{digest}`"))?)
            }
            TargetDescription::Path(path) => Target::Path(path.clone()),
        })
    }
}

/// One thing that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultDescription {
    /// Answers with this status instead.
    Status(u16),
    /// Sets a header: `retry-after`, `content-type`, `docker-content-digest` or `www-authenticate`.
    Header(String, String),
    /// Serves this text as the body.
    Body(String),
    /// Flips the bits of the byte at this offset.
    Corrupt(u64),
    /// Closes the connection in good order after so many bytes of body.
    CutAfter(u64),
    /// Resets the connection after so many bytes of body.
    ResetAfter(u64),
    /// Stops after so many bytes of body at the gate of this name.
    HoldAfter(u64, String),
    /// Stops before the first byte, the head included, at the gate of this name.
    HoldHead(String),
    /// Answers 200 with everything although a range was asked for.
    IgnoreRange,
    /// Redirects to this URL.
    Redirect(String),
    /// Closes without a byte.
    HangUp,
}

impl FaultDescription {
    fn fault(&self, gate: impl Fn(&str) -> Gate) -> Result<Fault> {
        Ok(match self {
            FaultDescription::Status(status) => Fault::Status(*status),
            FaultDescription::Header(name, value) => Fault::Header(known_header(name)?, value.clone()),
            FaultDescription::Body(text) => Fault::Body(text.clone().into_bytes().into()),
            FaultDescription::Corrupt(offset) => Fault::Corrupt(*offset),
            FaultDescription::CutAfter(bytes) => Fault::CutAfter(*bytes),
            FaultDescription::ResetAfter(bytes) => Fault::ResetAfter(*bytes),
            FaultDescription::HoldAfter(bytes, name) => Fault::HoldAfter(*bytes, gate(name)),
            FaultDescription::HoldHead(name) => Fault::HoldHead(gate(name)),
            FaultDescription::IgnoreRange => Fault::IgnoreRange,
            FaultDescription::Redirect(url) => Fault::Redirect(url.clone()),
            FaultDescription::HangUp => Fault::HangUp,
        })
    }
}

fn known_header(name: &str) -> Result<&'static str> {
    const KNOWN: [&str; 4] = ["retry-after", "content-type", "docker-content-digest", "www-authenticate"];
    match KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => Ok(known),
        None => bail!("header `{name}`: only {} can be set", KNOWN.join(", ")),
    }
}

/// Faults for some requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDescription {
    /// Which requests.
    pub on: TargetDescription,
    /// Only those of this method.
    pub method: Option<Method>,
    /// Only the n-th of them, counted from 1 from now on.
    pub nth: Option<usize>,
    /// Only the first n of them.
    pub first: Option<usize>,
    /// What goes wrong; several make one worse answer.
    pub faults: Vec<FaultDescription>,
}

/// A method of HTTP that reads.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
}

impl RuleDescription {
    /// Returns it as the registry has it; `gate` finds gates by name.
    ///
    /// # Errors
    /// If the description makes no sense.
    pub fn rule(&self, gate: impl Fn(&str) -> Gate) -> Result<Rule> {
        let mut rule = Rule::on(self.on.target()?);
        rule = match self.method {
            Some(Method::Get) => rule.method("GET"),
            Some(Method::Head) => rule.method("HEAD"),
            None => rule,
        };
        rule = match (self.nth, self.first) {
            (Some(_), Some(_)) => bail!("a rule has `nth` or `first`, not both"),
            (Some(number), None) => rule.nth(number),
            (None, Some(count)) => rule.first(count),
            (None, None) => rule,
        };
        for fault in &self.faults {
            rule = rule.with(fault.fault(&gate)?);
        }
        Ok(rule)
    }
}

/// What the registry asks of its clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthDescription {
    /// User name and password in each request.
    Basic(String, String),
    /// A token, which the registry hands out at `/token` for user name and password.
    Bearer(String, String),
    /// A token, which the registry hands out to anybody.
    Anonymous,
}

impl AuthDescription {
    /// Returns it as the registry has it.
    pub fn auth(&self) -> Auth {
        match self {
            AuthDescription::Basic(user, password) => Auth::basic(user, password),
            AuthDescription::Bearer(user, password) => Auth::bearer(&Tokens::new().user(user, password)),
            AuthDescription::Anonymous => Auth::bearer(&Tokens::new().anonymous()),
        }
    }
}
