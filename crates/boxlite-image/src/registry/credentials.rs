//! Where credentials come from: the options of the store, docker's `config.json`, and credential helpers.
//!
//! Looked up only when a registry asks, each time anew, so that a login elsewhere takes effect at once. Nothing is cached,
//! nothing is written, and no secret enters a message.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use boxlite_types::{Context, Error, ErrorCode, Result};
use tokio::io::AsyncWriteExt;

use crate::{RegistryAuth, RegistryOptions};

/// How long a credential helper may take; some ask a person.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// The credentials known to one store.
pub(crate) struct Credentials {
    config_path: Option<PathBuf>,
    /// Where helpers are looked for instead of in `PATH`.
    helper_path: Option<PathBuf>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct DockerConfig {
    auths: HashMap<String, DockerAuth>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct DockerAuth {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

#[derive(serde::Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Credentials {
    /// Reads `explicit`, or else the file docker itself would read.
    pub(crate) fn new(explicit: Option<&Path>) -> Self {
        let from_environment = || {
            let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")))
        };
        let config_path = explicit.map(Path::to_owned).or_else(from_environment);
        Credentials { config_path, helper_path: None }
    }

    /// Returns the credentials for `host`, if there are any.
    ///
    /// # Errors
    /// `Config` if the docker configuration is malformed or its helper fails.
    pub(crate) async fn find(
        &self,
        host: &str,
        options: Option<&RegistryOptions>,
    ) -> Result<Option<RegistryAuth>> {
        if let Some(auth) = options.and_then(|options| options.auth.clone()) {
            return Ok(Some(auth));
        }
        let Some(path) = &self.config_path else { return Ok(None) };
        let path = if path.is_dir() { path.join("config.json") } else { path.clone() };
        let Some(config) = read_config(&path)? else { return Ok(None) };
        if let Some(helper) = config.helpers.get(host).or(config.store.as_ref())
            && let Some(auth) = self.ask_helper(helper, host).await?
        {
            return Ok(Some(auth));
        }
        let entry = config.auths.iter().find(|(key, _)| host_of(key) == host);
        match entry {
            Some((_, auth)) => auth.read(&path, host),
            None => Ok(None),
        }
    }

    /// Runs `docker-credential-<helper> get`, by docker's helper protocol: host in, one JSON object out.
    async fn ask_helper(&self, helper: &str, host: &str) -> Result<Option<RegistryAuth>> {
        let failed = |why: String| {
            Error::new(ErrorCode::Config, format!("credential helper `docker-credential-{helper}` {why}"))
                .with(Context::Registry, host)
        };
        if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Err(failed("has a name that is no program's".into()));
        }
        let mut command = tokio::process::Command::new(format!("docker-credential-{helper}"));
        if let Some(path) = &self.helper_path {
            command.env("PATH", path);
        }
        let mut child = command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("cannot be run: {error}")).caused_by(error))?;
        if let Some(mut input) = child.stdin.take() {
            // A helper that does not read its input shows by what it answers.
            let _ = input.write_all(host.as_bytes()).await;
        }
        let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
            .await
            .map_err(|_| failed(format!("did not answer within {} s", HELPER_TIMEOUT.as_secs())))?
            .map_err(|error| failed(format!("failed: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            if said.contains("credentials not found") {
                return Ok(None);
            }
            return Err(failed(format!("ended with {}", output.status)));
        }
        let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
            .map_err(|_| failed("answered something unreadable".into()))?;
        Ok(match answer.username.as_str() {
            "" if answer.secret.is_empty() => None,
            "<token>" => Some(RegistryAuth::Identity(answer.secret)),
            _ => Some(RegistryAuth::Basic { username: answer.username, password: answer.secret }),
        })
    }
}

fn malformed(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::Config, format!("docker configuration `{}` {why}", path.display()))
        .with(Context::Path, path.display().to_string())
}

fn read_config(path: &Path) -> Result<Option<DockerConfig>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(malformed(path, "cannot be read").caused_by(error)),
    };
    // The parser's own message could quote a secret; only the place is told.
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        malformed(path, &format!("is malformed at line {} column {}", error.line(), error.column()))
    })
}

/// Reduces a key of `auths`, which may be an address with scheme and path, to its host.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

impl DockerAuth {
    fn read(&self, path: &Path, host: &str) -> Result<Option<RegistryAuth>> {
        if !self.registry_token.is_empty() {
            return Ok(Some(RegistryAuth::Bearer(self.registry_token.clone())));
        }
        if !self.identity_token.is_empty() {
            return Ok(Some(RegistryAuth::Identity(self.identity_token.clone())));
        }
        if !self.username.is_empty() {
            let (username, password) = (self.username.clone(), self.password.clone());
            return Ok(Some(RegistryAuth::Basic { username, password }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(':')) {
            Some((username, password)) => Ok(Some(RegistryAuth::Basic {
                username: username.into(),
                password: password.trim_end_matches('\0').into(),
            })),
            None => Err(malformed(path, &format!("holds a malformed `auth` for `{host}`"))),
        }
    }
}

#[cfg(test)]
mod tests;
