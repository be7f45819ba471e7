//! One running registry together with the names its scenario gave to gates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use boxlite_testkit::registry::{Gate, Recorded, Registry};

use super::{AuthDescription, ImageDescription, PushedImage, RuleDescription, TargetDescription};

/// A registry that does what descriptions say.
pub struct Stage {
    registry: Registry,
    gates: Mutex<HashMap<String, Gate>>,
}

impl Default for Stage {
    fn default() -> Self {
        Stage::start()
    }
}

impl Stage {
    /// Starts an empty, honest registry on a free port of loopback.
    pub fn start() -> Self {
        Stage { registry: Registry::start(), gates: Mutex::default() }
    }

    /// Returns `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        self.registry.host()
    }

    /// Serves an image under a `name` as `app:1`.
    ///
    /// # Errors
    /// If the name has no tag or the description makes no sense.
    pub fn push(&self, name: &str, image: &ImageDescription) -> Result<PushedImage> {
        let (repository, tag) = name.rsplit_once(':').with_context(|| format!("`{name}` has no tag"))?;
        let artifact = image.build().with_context(|| format!("image `{name}`"))?;
        self.registry.push(repository, tag, &artifact);
        Ok(PushedImage::of(self.registry.reference(name), &artifact))
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// If the description makes no sense.
    pub fn rule(&self, rule: &RuleDescription) -> Result<()> {
        self.registry.script(rule.rule(|name| self.gate(name))?);
        Ok(())
    }

    /// Takes all faults back. What is held at a gate stays there.
    pub fn heal(&self) {
        self.registry.heal();
    }

    /// Forgets a blob, as a registry that lost it.
    ///
    /// # Errors
    /// If the digest is malformed.
    pub fn remove_blob(&self, digest: &str) -> Result<()> {
        self.registry.remove_blob(&digest.parse().with_context(|| format!("digest `{digest}`"))?);
        Ok(())
    }

    /// Asks for credentials from now on, or, without any, for none.
    pub fn require(&self, auth: Option<&AuthDescription>) {
        match auth {
            Some(auth) => self.registry.require(auth.auth()),
            None => {
                self.registry.forgive();
            }
        }
    }

    /// Finds a gate by its name; it is made, shut, when it is first named.
    pub fn gate(&self, name: &str) -> Gate {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(name.to_owned()).or_default().clone()
    }

    /// Lets everything held at a gate go, and everything that comes later pass.
    pub fn open_gate(&self, name: &str) {
        self.gate(name).open();
    }

    /// Returns the requests so far for a target, oldest first.
    ///
    /// # Errors
    /// If the target is malformed.
    pub fn requests(&self, target: &TargetDescription) -> Result<Vec<Recorded>> {
        Ok(self.registry.requests_for(&target.target()?))
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.registry.clear_requests();
    }
}
