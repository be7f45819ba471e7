//! HTTP clients, by what each host has been allowed: TLS verification, certificate authorities, plain HTTP.
//!
//! Redirects are never followed here; whoever sends a request decides what goes along. Clients are made when first
//! needed: reading the system's certificates takes tens of milliseconds that a registry on loopback need not cost.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use boxlite_types::{Context, Error, ErrorCode, Result};
use reqwest::{Client, ClientBuilder, Url};

use crate::{ImageOptions, RegistryOptions, Transport};

/// Most bytes in flight on one HTTP/2 stream, and on one connection; it bounds memory, and the default of 64 KiB is slow.
const HTTP2_WINDOW: (u32, u32) = (4 << 20, 8 << 20);

/// The clients of one store.
pub(crate) struct Transports {
    options: ImageOptions,
    verified: OnceLock<Client>,
    loopback: OnceLock<Client>,
    custom: Mutex<HashMap<String, Client>>,
}

impl Transports {
    pub(crate) fn new(options: ImageOptions) -> Self {
        Transports { options, verified: OnceLock::new(), loopback: OnceLock::new(), custom: Mutex::default() }
    }

    /// Returns the options given for `host` (with its port), if any.
    pub(crate) fn registry(&self, host: &str) -> Option<&RegistryOptions> {
        self.options.registries.iter().find(|registry| registry.host.eq_ignore_ascii_case(host))
    }

    /// Returns the options of the store.
    pub(crate) fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// Returns the schemes to try for the registry `host`, in order.
    pub(crate) fn schemes(&self, host: &str) -> &'static [&'static str] {
        match self.registry(host) {
            Some(RegistryOptions { transport: Transport::Http, .. }) => &["http"],
            Some(RegistryOptions { ca_file: Some(_), .. }) => &["https"],
            _ if is_loopback(host) => &["https", "http"],
            _ => &["https"],
        }
    }

    /// Whether plain HTTP may be spoken to the host of `url`.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => self.schemes(&authority(url)).contains(&"http"),
            _ => false,
        }
    }

    /// Returns the client for requests to the host of `url`.
    pub(crate) fn client(&self, url: &Url) -> Result<Client> {
        let host = authority(url);
        if let Some(registry) =
            self.registry(&host).filter(|registry| registry.skip_verify || registry.ca_file.is_some())
        {
            let mut custom = self.custom.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(client) = custom.get(&host) {
                return Ok(client.clone());
            }
            let client = self.build_custom(registry)?;
            custom.insert(host, client.clone());
            return Ok(client);
        }
        // As docker does it: certificates of loopback registries are not verified, and no proxy stands before them.
        let (cell, builder): (_, fn(ClientBuilder) -> ClientBuilder) = if is_loopback(&host) {
            (&self.loopback, |builder| {
                builder.danger_accept_invalid_certs(true).tls_built_in_root_certs(false).no_proxy()
            })
        } else {
            (&self.verified, |builder| builder)
        };
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = build(builder(self.base()))?;
        Ok(cell.get_or_init(|| client).clone())
    }

    fn base(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(concat!("boxlite/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay(true)
            .http2_initial_stream_window_size(HTTP2_WINDOW.0)
            .http2_initial_connection_window_size(HTTP2_WINDOW.1)
    }

    fn build_custom(&self, registry: &RegistryOptions) -> Result<Client> {
        let mut builder = self.base().danger_accept_invalid_certs(registry.skip_verify);
        if is_loopback(&registry.host) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &registry.ca_file {
            let refused = |why: String| {
                Error::new(
                    ErrorCode::Config,
                    format!("certificate authorities `{}` for `{}` {why}", path.display(), registry.host),
                )
                .with(Context::Path, path.display().to_string())
                .with(Context::Registry, &registry.host)
            };
            let pem = std::fs::read(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| refused(format!("are malformed: {error}")))?;
            if certificates.is_empty() {
                return Err(refused("hold no certificate".into()));
            }
            builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
        }
        build(builder)
    }
}

fn build(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        Error::new(ErrorCode::Config, format!("cannot set up HTTP: {error}")).caused_by(error)
    })
}

/// Returns `host[:port]` of an address, as registries are named.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether `host[:port]` is this machine itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transports() -> Transports {
        let registry = |host: &str, transport, ca_file: Option<&str>| RegistryOptions {
            host: host.into(),
            transport,
            ca_file: ca_file.map(Into::into),
            ..RegistryOptions::default()
        };
        Transports::new(ImageOptions {
            registries: vec![
                registry("plain.example:80", Transport::Http, None),
                registry("localhost:5001", Transport::Https, Some("ca.pem")),
            ],
            ..ImageOptions::default()
        })
    }

    #[test]
    fn plain_http_is_for_loopback_and_for_those_it_was_asked_for() {
        let check = |host, expect: &[&str]| assert_eq!(transports().schemes(host), expect, "{host}");
        check("localhost", &["https", "http"]);
        check("localhost:5000", &["https", "http"]);
        check("127.0.0.1:5000", &["https", "http"]);
        check("127.3.2.1", &["https", "http"]);
        check("[::1]:5000", &["https", "http"]);
        check("plain.example:80", &["http"]);
        check("localhost:5001", &["https"]);
        check("registry.example", &["https"]);
        check("127.example", &["https"]);
        check("localhost.example", &["https"]);
        check("10.0.0.1:5000", &["https"]);
    }

    #[test]
    fn a_certificate_file_that_is_none_is_a_configuration_error() {
        let url = "https://localhost:5001/v2/".parse().unwrap();
        let error = transports().client(&url).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Config);
        assert!(error.message().contains("ca.pem"), "{error}");
    }
}
