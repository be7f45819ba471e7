use boxlite_image::{ImageOptions, PullOptions, RegistryOptions, Transport};
use boxlite_testkit::registry::{Registry, TestCa};
use boxlite_types::{Error, ErrorCode, PulledImage};

use super::{image, serve};
use crate::common::TestHome;

/// Pulls an image from `registry` with these options for it.
async fn try_pull(
    registry: &Registry,
    options: impl FnOnce(&TestHome) -> RegistryOptions,
) -> Result<PulledImage, Error> {
    registry.push("library/app", "1", &image(1));
    let home = TestHome::new();
    let known = RegistryOptions { host: registry.host(), ..options(&home) };
    let store = home.store_with(ImageOptions { registries: vec![known], ..home.options() });
    store.pull(&registry.reference("library/app:1"), PullOptions::default()).await
}

/// Trusts the authority `ca`, by way of a file.
fn trusting(ca: &TestCa) -> impl FnOnce(&TestHome) -> RegistryOptions {
    let pem = ca.pem();
    move |home| {
        let path = home.beside("ca.pem");
        std::fs::write(&path, pem).unwrap();
        RegistryOptions { ca_file: Some(path), ..RegistryOptions::default() }
    }
}

#[tokio::test]
async fn a_certificate_of_a_given_authority_is_trusted() {
    let ca = TestCa::new();
    let registry = Registry::start_tls(&ca);
    try_pull(&registry, trusting(&ca)).await.unwrap();
    assert!(!registry.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not() {
    let registry = Registry::start_tls(&TestCa::new());
    let error = try_pull(&registry, trusting(&TestCa::new())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Network, "{error:?}");
    assert!(error.message().contains("certificate") && !error.is_retryable(), "{error:?}");
    assert!(registry.requests().is_empty(), "nothing may be said to a stranger");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not() {
    let ca = TestCa::new();
    let registry = Registry::start_tls_for(&ca, &["registry.example"]);
    let error = try_pull(&registry, trusting(&ca)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Network, "{error:?}");
    assert!(error.message().contains("certificate"), "{error:?}");
}

#[tokio::test]
async fn verification_is_skipped_where_that_was_asked() {
    let registry = Registry::start_tls_for(&TestCa::new(), &["registry.example"]);
    let skipping = |home: &TestHome| RegistryOptions { skip_verify: true, ..trusting(&TestCa::new())(home) };
    try_pull(&registry, skipping).await.unwrap();
}

#[tokio::test]
async fn a_registry_on_loopback_may_speak_either_as_docker_has_it() {
    try_pull(&Registry::start(), |_| RegistryOptions::default()).await.unwrap();
    try_pull(&Registry::start_tls(&TestCa::new()), |_| RegistryOptions::default()).await.unwrap();
    let asked = |_: &TestHome| RegistryOptions { transport: Transport::Http, ..RegistryOptions::default() };
    try_pull(&Registry::start(), asked).await.unwrap();
}

#[tokio::test]
async fn a_registry_with_an_authority_is_never_spoken_to_in_the_clear() {
    let registry = Registry::start();
    let error = try_pull(&registry, trusting(&TestCa::new())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Network, "{error:?}");
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn an_authority_file_that_is_none_is_said_by_name() {
    let (registry, _) = serve(&image(1));
    let error = try_pull(&registry, |home| {
        let path = home.beside("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        RegistryOptions { ca_file: Some(path), ..RegistryOptions::default() }
    })
    .await
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Config, "{error:?}");
    assert!(error.message().contains("ca.pem"), "{error:?}");
}
