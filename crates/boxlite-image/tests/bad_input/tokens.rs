//! Registries that ask for credentials in ways that cannot be answered, and token services that answer nonsense.

use boxlite_image::{RegistryAuth, RegistryOptions};
use boxlite_testkit::registry::{Auth, Fault, Gate, Rule, Target, Tokens};
use boxlite_types::ErrorCode::{Network, RateLimited, Unauthorized};

use crate::scene::{Bad, Case, Scene, case};

/// An honest image at a registry that wants tokens of its own token service, which has this fault.
fn service(scene: &Scene, fault: Fault) -> Bad {
    scene.registry.script(Rule::on(Target::Token).with(fault));
    asking(scene, Auth::bearer(&Tokens::new().anonymous()))
}

/// An honest image at a registry that asks like this.
fn asking(scene: &Scene, auth: Auth) -> Bad {
    scene.registry.require(auth);
    scene.serve(&scene.image()).naming(scene.registry.host())
}

/// A registry that sends exactly this challenge.
fn challenged(scene: &Scene, challenge: &str) -> Bad {
    asking(scene, Auth::bearer(&Tokens::new().anonymous()).challenge(challenge))
}

/// With a name and password for the registry.
fn with_password(bad: Bad) -> Bad {
    bad.options(|options, scene| {
        let auth = RegistryAuth::Basic { username: "ann".into(), password: "wrong-secret".into() };
        let host = scene.registry.host();
        options.registries.push(RegistryOptions { host, auth: Some(auth), ..RegistryOptions::default() });
    })
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a registry that wants a password nobody has", Unauthorized, &[], |scene| asking(scene, Auth::basic("ann", "secret"))),
    case("a password that is refused", Unauthorized, &[], |scene| with_password(asking(scene, Auth::basic("ann", "secret")))),
    case("a password that the token service refuses", Unauthorized, &["refuses"], |scene| {
        with_password(asking(scene, Auth::bearer(&Tokens::new().user("ann", "secret"))))
    }),
    case("a token service that gives nothing to the anonymous", Unauthorized, &["without credentials"], |scene| {
        asking(scene, Auth::bearer(&Tokens::new()))
    }),
    case("tokens that are never accepted", Unauthorized, &[], |scene| asking(scene, Auth::bearer(&Tokens::new().anonymous().uses(0)))),
    case("tokens for another repository", Unauthorized, &[], |scene| {
        let realm = scene.registry.url("/token");
        challenged(scene, &format!("Bearer realm=\"{realm}\",service=\"x\",scope=\"repository:other:pull\""))
    }),
    case("a challenge without a realm", Unauthorized, &[], |scene| challenged(scene, "Bearer service=\"x\"")),
    case("a challenge of an unknown scheme", Unauthorized, &[], |scene| challenged(scene, "Negotiate")),
    case("a challenge that does not end", Unauthorized, &[], |scene| challenged(scene, "Bearer realm=\"")),
    case("a challenge of commas", Unauthorized, &[], |scene| challenged(scene, ",,,=\"\",=")),
    case("an empty challenge", Unauthorized, &[], |scene| challenged(scene, "")),
    case("a token service that is a file", Unauthorized, &["file:///etc/passwd"], |scene| challenged(scene, "Bearer realm=\"file:///etc/passwd\"")),
    case("a token service that is no address", Unauthorized, &["nonsense"], |scene| challenged(scene, "Bearer realm=\"nonsense\"")),
    case("a token service in the clear elsewhere", Unauthorized, &["in the clear"], |scene| {
        challenged(scene, "Bearer realm=\"http://registry.invalid/token\"")
    }),
    case("a token service that is not there", Network, &["127.0.0.1:1"], |scene| {
        scene.registry.require(Auth::bearer(&Tokens::new()).realm("http://127.0.0.1:1/token"));
        scene.serve(&scene.image())
    }),
    case("a token that is no JSON", Unauthorized, &["token"], |scene| service(scene, Fault::Body("<html>".into()))),
    case("an answer without a token", Unauthorized, &["token"], |scene| service(scene, Fault::Body("{}".into()))),
    case("a token that is null", Unauthorized, &["token"], |scene| service(scene, Fault::Body("{\"token\":null}".into()))),
    case("an empty token", Unauthorized, &["token"], |scene| service(scene, Fault::Body("{\"token\":\"\",\"access_token\":\"\"}".into()))),
    case("a token with a line break", Unauthorized, &["token"], |scene| service(scene, Fault::Body("{\"token\":\"a\\r\\nX-Evil: 1\"}".into()))),
    case("a token that expires in a negative time", Unauthorized, &["token"], |scene| {
        service(scene, Fault::Body("{\"token\":\"abc\",\"expires_in\":-1}".into()))
    }),
    case("a token that nobody gave out", Unauthorized, &[], |scene| service(scene, Fault::Body("{\"token\":\"made-up\"}".into()))),
    case("a token without an end", Unauthorized, &[], |scene| service(scene, Fault::Endless)),
    case("403 from the token service", Unauthorized, &[], |scene| service(scene, Fault::Status(403))),
    case("404 from the token service", Unauthorized, &[], |scene| service(scene, Fault::Status(404))),
    case("500 from the token service", Network, &["500"], |scene| service(scene, Fault::Status(500))),
    case("429 from the token service", RateLimited, &["429"], |scene| service(scene, Fault::Status(429))),
    case("a token service that hangs up", Network, &[], |scene| service(scene, Fault::HangUp)),
    case("a token service that never answers", Network, &["100 ms"], |scene| {
        service(scene, Fault::HoldHead(Gate::new())).options(|options, _| options.stall_timeout = std::time::Duration::from_millis(100))
    }),
    case("a token service that redirects in a circle", Network, &["redirect"], |scene| {
        let target = scene.registry.url("/token");
        service(scene, Fault::Redirect(target))
    }),
];
