//! The knobs of a store and of a pull. Plain data with defaults; nothing here reads a file or the environment.
//!
//! No registry host is a default anywhere: a name without a host is looked up only at registries marked for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use boxlite_rootfs::LayerLimits;
use boxlite_types::{Platform, PullEvent, PullPolicy};
use tokio_util::sync::CancellationToken;

/// Receives the events of a pull, on whatever thread they happen; it must not block.
pub type PullSink = Arc<dyn Fn(PullEvent) + Send + Sync>;

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// What is known of single registries; the others are spoken to over https with the system's certificates.
    pub registries: Vec<RegistryOptions>,
    /// A docker `config.json`, for credentials; by default `$DOCKER_CONFIG/config.json`, then `~/.docker/config.json`.
    pub docker_config: Option<PathBuf>,
    /// Layers fetched and converted at a time, by all pulls of the store together; 4 by default.
    pub parallel_layers: usize,
    /// Largest manifest, index or configuration accepted, in bytes; 4 MiB by default.
    pub document_bytes: u64,
    /// Most layers an image may have; 1,024 by default.
    pub layer_count: usize,
    /// Budgets of a single layer.
    pub layer_limits: LayerLimits,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a response may go without a byte before it counts as broken off.
    pub stall_timeout: Duration,
    /// How failures that may pass are tried again.
    pub retry: RetryOptions,
    /// How long an unfinished download is kept to be resumed.
    pub partial_retention: Duration,
    /// Bytes a pull must leave free on the disk; 64 MiB by default.
    pub free_space_reserve_bytes: u64,
}

impl Default for ImageOptions {
    fn default() -> Self {
        ImageOptions {
            registries: Vec::new(),
            docker_config: None,
            parallel_layers: 4,
            document_bytes: 4 << 20,
            layer_count: 1024,
            layer_limits: LayerLimits::default(),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            retry: RetryOptions::default(),
            partial_retention: Duration::from_secs(7 * 24 * 3600),
            free_space_reserve_bytes: 64 << 20,
        }
    }
}

/// How often, and how patiently, a request is repeated after a failure that may pass.
#[derive(Clone, Debug)]
pub struct RetryOptions {
    /// Attempts in all, the first included. A download that has moved on by a mebibyte starts counting again.
    pub attempts: u32,
    /// Delay before the second attempt, doubled for each one after it, then jittered by half.
    pub base_delay: Duration,
    /// Upper bound of that delay.
    pub max_delay: Duration,
    /// Longest `Retry-After` that is waited for; a registry that asks for more gets no further attempt.
    pub max_retry_after: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        RetryOptions {
            attempts: 5,
            base_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(30),
        }
    }
}

/// Protocol spoken to a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS. A registry on loopback for which no `ca_file` is set may fall back to plain HTTP, as docker does it.
    #[default]
    Https,
    /// Plain HTTP, because it was asked for.
    Http,
}

/// What is known of one registry.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// Host, with the port if it is not the usual one.
    pub host: String,
    /// Protocol.
    pub transport: Transport,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// PEM file of certificate authorities trusted for this host besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Look up names without a host here, in the order of the list.
    pub search: bool,
    /// Credentials; they win over those of the docker configuration.
    pub auth: Option<RegistryAuth>,
}

/// Credentials for a registry. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryAuth {
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password or access token.
        password: String,
    },
    /// A token the registry itself accepts.
    Bearer(String),
    /// A refresh token that is exchanged for one at the token service.
    Identity(String),
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegistryAuth::Basic { .. } => "Basic(..)",
            RegistryAuth::Bearer(_) => "Bearer(..)",
            RegistryAuth::Identity(_) => "Identity(..)",
        })
    }
}

/// How one pull is done.
#[derive(Clone, Default)]
pub struct PullOptions {
    /// Platform wanted; the host's by default.
    pub platform: Option<Platform>,
    /// When the registry is asked.
    pub policy: PullPolicy,
    /// Where events go.
    pub progress: Option<PullSink>,
    /// Cancels the pull. Dropping its future does the same.
    pub cancel: CancellationToken,
}

impl fmt::Debug for PullOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullOptions")
            .field("platform", &self.platform)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
