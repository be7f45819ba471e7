use std::collections::BTreeSet;

use boxlite_image::{ImageOptions, RegistryAuth, RegistryOptions};
use boxlite_testkit::registry::{Auth, Fault, Gate, Registry, Rule, Target, Tokens};

use super::{blob, image, pull, serve};
use crate::common::TestHome;

fn basic(user: &str, password: &str) -> RegistryAuth {
    RegistryAuth::Basic { username: user.into(), password: password.into() }
}

fn with_auth(home: &TestHome, registry: &Registry, auth: RegistryAuth) -> ImageOptions {
    let host = registry.host();
    let registries = vec![RegistryOptions { host, auth: Some(auth), ..RegistryOptions::default() }];
    ImageOptions { registries, ..home.options() }
}

/// The different `Authorization` headers sent to `registry`, for paths below `/v2/` other than itself.
fn sent(registry: &Registry) -> BTreeSet<String> {
    let resources = registry.requests().into_iter().filter(|request| request.path.len() > "/v2/".len());
    let resources = resources.filter(|request| request.path.starts_with("/v2/") && request.status < 400);
    resources.map(|request| request.authorization().unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn the_anonymous_get_a_token_for_the_repository_alone() {
    let artifact = image(2);
    let (registry, reference) = serve(&artifact);
    registry.require(Auth::bearer(&Tokens::new().anonymous()));
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    let tokens = registry.requests_for(&Target::Token);
    assert_eq!(tokens.len(), 1, "one token serves the whole pull");
    assert_eq!(tokens[0].parameter("scope").as_deref(), Some("repository:library/app:pull"));
    assert_eq!(tokens[0].parameter("service").as_deref(), Some("test registry"));
    assert_eq!(tokens[0].authorization(), None);
    assert_eq!(sent(&registry), BTreeSet::from(["Bearer test-token-1".to_owned()]));
}

#[tokio::test]
async fn a_challenge_may_come_only_from_the_resource() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    registry.require(Auth::bearer(&Tokens::new().anonymous().fields(&["access_token"])).only_at_resource());
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    let manifests = registry.requests_for(&Target::Manifests);
    assert_eq!(manifests.iter().map(|request| request.status).collect::<Vec<_>>(), [401, 200]);
    assert!(registry.requests_for(&Target::Ping).iter().all(|request| request.status == 200));
}

#[tokio::test]
async fn a_password_goes_to_the_token_service_and_the_token_to_the_registry() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let service = Registry::start();
    let tokens = Tokens::new().user("ann", "secret").expires_in(300);
    service.serve_tokens(&tokens);
    registry.require(Auth::bearer(&tokens).realm(service.url("/token?tenant=7")));
    let home = TestHome::new();
    let store = home.store_with(with_auth(&home, &registry, basic("ann", "secret")));
    pull(&store, &reference, &artifact).await;
    let asked = service.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].authorization(), Some("Basic YW5uOnNlY3JldA=="));
    assert_eq!(asked[0].parameter("tenant").as_deref(), Some("7"), "the query of the realm is kept");
    let basic =
        registry.requests().into_iter().filter(|r| r.authorization().is_some_and(|a| a.starts_with("Basic")));
    assert_eq!(basic.count(), 0, "the password is for the token service alone");
}

#[tokio::test]
async fn a_password_from_the_docker_configuration_is_used() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    registry.require(Auth::basic("ann", "secret"));
    let home = TestHome::new();
    let config = home.beside("login.json");
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#, registry.host());
    std::fs::write(&config, auths).unwrap();
    let store = home.store_with(ImageOptions { docker_config: Some(config), ..home.options() });
    pull(&store, &reference, &artifact).await;
    assert_eq!(sent(&registry), BTreeSet::from(["Basic YW5uOnNlY3JldA==".to_owned()]));
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    registry.require(Auth::bearer(&Tokens::new().refresh_token("identity").fields(&["access_token"])));
    let home = TestHome::new();
    let auth = RegistryAuth::Identity("identity".into());
    pull(&home.store_with(with_auth(&home, &registry, auth)), &reference, &artifact).await;
    let exchange = &registry.requests_for(&Target::Token)[0];
    let form = String::from_utf8(exchange.body.clone()).unwrap();
    assert_eq!(exchange.method, "POST");
    assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=identity"), "{form}");
    assert!(exchange.query.is_empty(), "no secret in an address");
}

#[tokio::test]
async fn a_token_that_expires_between_two_blobs_is_replaced() {
    let artifact = image(4);
    let (registry, reference) = serve(&artifact);
    let tokens = Tokens::new().anonymous().uses(1);
    registry.require(Auth::bearer(&tokens));
    let home = TestHome::new();
    let store = home.store_with(ImageOptions { parallel_layers: 1, ..home.options() });
    pull(&store, &reference, &artifact).await;
    // Manifest, configuration and four layers, each with a token of its own.
    assert!(tokens.issued() >= 6, "{}", tokens.issued());
    for number in 0..4 {
        let served: u64 =
            blob(&registry, artifact.layer_digest(number)).iter().filter(|r| r.status == 200).count() as u64;
        assert_eq!(served, 1, "layer {number}");
    }
}

#[tokio::test]
async fn many_layers_that_find_the_token_expired_fetch_one_new_token() {
    let artifact = image(4);
    let (registry, reference) = serve(&artifact);
    let tokens = Tokens::new().anonymous();
    registry.require(Auth::bearer(&tokens));
    let gate = Gate::new();
    registry.script(Rule::on(Target::Blob(artifact.config_digest())).with(Fault::HoldAfter(0, gate.clone())));
    let home = TestHome::new();
    let store = home.store();
    let pulling = tokio::spawn(async move { pull(&store, &reference, &artifact).await });
    gate.reached().await;
    tokens.revoke();
    gate.open();
    pulling.await.unwrap();
    assert_eq!(tokens.issued(), 2);
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_a_layer_does_not_cost_the_bytes_twice() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let tokens = Tokens::new().anonymous();
    registry.require(Auth::bearer(&tokens));
    let (gate, layer) = (Gate::new(), artifact.layer_digest(0));
    let cut = Rule::on(Target::Blob(layer)).nth(1);
    registry.script(cut.with(Fault::CutAfter(20_000)).with(Fault::HoldAfter(20_000, gate.clone())));
    let home = TestHome::new();
    let store = home.store();
    let pulling = tokio::spawn({
        let artifact = artifact.clone();
        async move { pull(&store, &reference, &artifact).await }
    });
    gate.reached().await;
    tokens.revoke();
    gate.open();
    pulling.await.unwrap();
    let answers: Vec<u16> = blob(&registry, layer).iter().map(|request| request.status).collect();
    assert_eq!(answers, [200, 401, 206]);
    assert_eq!(blob(&registry, layer)[2].range(), Some("bytes=20000-"));
}

#[tokio::test]
async fn credentials_never_follow_a_redirect_to_another_host() {
    let artifact = image(2);
    let (registry, reference) = serve(&artifact);
    let elsewhere = Registry::start();
    elsewhere.push("library/app", "1", &artifact);
    registry.require(Auth::basic("ann", "secret"));
    registry.script(Rule::on(Target::Blobs).with(Fault::RedirectOrigin(elsewhere.url(""))));
    let home = TestHome::new();
    pull(&home.store_with(with_auth(&home, &registry, basic("ann", "secret"))), &reference, &artifact).await;
    let asked = elsewhere.requests();
    assert_eq!(asked.len(), 3, "the configuration and two layers");
    for request in asked {
        assert_eq!(request.authorization(), None, "{}", request.path);
        assert_eq!(request.header("cookie"), None);
        assert_eq!(request.header("referer"), None);
    }
}

#[tokio::test]
async fn credentials_do_not_come_back_by_a_redirect_from_another_host() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let elsewhere = Registry::start();
    let layer = artifact.layer_digest(0);
    let tokens = Tokens::new().anonymous();
    registry.require(Auth::bearer(&tokens).only_at_resource());
    // There and back to a path that asks for nothing and must not be told anything.
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::RedirectOrigin(elsewhere.url(""))));
    elsewhere.script(
        Rule::on(Target::Any)
            .with(Fault::Redirect(elsewhere.url(&format!("/v2/other/blobs/{layer}"))))
            .nth(1),
    );
    elsewhere.put_blob("other", &layer, artifact.blob(&layer));
    let home = TestHome::new();
    pull(&home.store(), &reference, &artifact).await;
    assert!(elsewhere.requests().iter().all(|request| request.authorization().is_none()));
    assert_eq!(elsewhere.requests().len(), 2);
}

#[tokio::test]
async fn a_token_service_that_redirects_elsewhere_does_not_pass_the_password_on() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let elsewhere = Registry::start();
    let tokens = Tokens::new().user("ann", "secret").anonymous();
    elsewhere.serve_tokens(&tokens);
    registry.require(Auth::bearer(&tokens));
    registry.script(
        Rule::on(Target::Token)
            .with(Fault::Redirect(elsewhere.url("/token?scope=repository:library/app:pull"))),
    );
    let home = TestHome::new();
    pull(&home.store_with(with_auth(&home, &registry, basic("ann", "secret"))), &reference, &artifact).await;
    assert_eq!(elsewhere.requests().len(), 1);
    assert_eq!(elsewhere.requests()[0].authorization(), None);
}

#[tokio::test]
async fn no_credentials_are_sent_before_they_are_asked_for() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let home = TestHome::new();
    pull(&home.store_with(with_auth(&home, &registry, basic("ann", "secret"))), &reference, &artifact).await;
    assert!(registry.requests().iter().all(|request| request.authorization().is_none()));
}

#[tokio::test]
async fn what_a_token_says_of_its_life_is_not_believed_blindly() {
    for seconds in [0, 1, u64::MAX] {
        let artifact = image(2);
        let (registry, reference) = serve(&artifact);
        let tokens = Tokens::new().anonymous().expires_in(seconds);
        registry.require(Auth::bearer(&tokens));
        let home = TestHome::new();
        pull(&home.store(), &reference, &artifact).await;
        // At worst one for each request.
        assert!(
            tokens.issued() <= registry.requests_for(&Target::Any).len(),
            "{seconds}: {}",
            tokens.issued()
        );
    }
}
