//! Registries that ask for credentials in ways that cannot be answered, and token services that answer nonsense.

use boxlite_image::{RegistryAuth, RegistryOptions};
use boxlite_testkit::registry::{Auth, Fault, Gate, Rule, Target, Tokens};
use boxlite_types::ErrorCode::{Network, RateLimited, Unauthorized};

use crate::scene::{Bad, Case, Scene};

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
    Case { name: "a registry that wants a password nobody has", expect: Unauthorized, says: &[], setup: |scene| asking(scene, Auth::basic("ann", "secret")) },
    Case { name: "a password that is refused", expect: Unauthorized, says: &[], setup: |scene| with_password(asking(scene, Auth::basic("ann", "secret"))) },
    Case { name: "a password that the token service refuses", expect: Unauthorized, says: &["refuses"], setup: |scene| with_password(asking(scene, Auth::bearer(&Tokens::new().user("ann", "secret")))) },
    Case { name: "a token service that gives nothing to the anonymous", expect: Unauthorized, says: &["without credentials"], setup: |scene| asking(scene, Auth::bearer(&Tokens::new())) },
    Case { name: "tokens that are never accepted", expect: Unauthorized, says: &[], setup: |scene| asking(scene, Auth::bearer(&Tokens::new().anonymous().uses(0))) },
    Case { name: "tokens for another repository", expect: Unauthorized, says: &[], setup: |scene| { let realm = scene.registry.url("/token"); challenged(scene, &format!("Bearer realm=\"{realm}\",service=\"x\",scope=\"repository:other:pull\"")) } },
    Case { name: "a challenge without a realm", expect: Unauthorized, says: &[], setup: |scene| challenged(scene, "Bearer service=\"x\"") },
    Case { name: "a challenge of an unknown scheme", expect: Unauthorized, says: &[], setup: |scene| challenged(scene, "Negotiate") },
    Case { name: "a challenge that does not end", expect: Unauthorized, says: &[], setup: |scene| challenged(scene, "Bearer realm=\"") },
    Case { name: "a challenge of commas", expect: Unauthorized, says: &[], setup: |scene| challenged(scene, ",,,=\"\",=") },
    Case { name: "an empty challenge", expect: Unauthorized, says: &[], setup: |scene| challenged(scene, "") },
    Case { name: "a token service that is a file", expect: Unauthorized, says: &["file:///etc/passwd"], setup: |scene| challenged(scene, "Bearer realm=\"file:///etc/passwd\"") },
    Case { name: "a token service that is no address", expect: Unauthorized, says: &["nonsense"], setup: |scene| challenged(scene, "Bearer realm=\"nonsense\"") },
    Case { name: "a token service in the clear elsewhere", expect: Unauthorized, says: &["in the clear"], setup: |scene| challenged(scene, "Bearer realm=\"http://registry.invalid/token\"") },
    Case { name: "a token service that is not there", expect: Network, says: &["127.0.0.1:1"], setup: |scene| { scene.registry.require(Auth::bearer(&Tokens::new()).realm("http://127.0.0.1:1/token")); scene.serve(&scene.image()) } },
    Case { name: "a token that is no JSON", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("<html>".into())) },
    Case { name: "an answer without a token", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("{}".into())) },
    Case { name: "a token that is null", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("{\"token\":null}".into())) },
    Case { name: "an empty token", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("{\"token\":\"\",\"access_token\":\"\"}".into())) },
    Case { name: "a token with a line break", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("{\"token\":\"a\\r\\nX-Evil: 1\"}".into())) },
    Case { name: "a token that expires in a negative time", expect: Unauthorized, says: &["token"], setup: |scene| service(scene, Fault::Body("{\"token\":\"abc\",\"expires_in\":-1}".into())) },
    Case { name: "a token that nobody gave out", expect: Unauthorized, says: &[], setup: |scene| service(scene, Fault::Body("{\"token\":\"made-up\"}".into())) },
    Case { name: "a token without an end", expect: Unauthorized, says: &[], setup: |scene| service(scene, Fault::Endless) },
    Case { name: "403 from the token service", expect: Unauthorized, says: &[], setup: |scene| service(scene, Fault::Status(403)) },
    Case { name: "404 from the token service", expect: Unauthorized, says: &[], setup: |scene| service(scene, Fault::Status(404)) },
    Case { name: "500 from the token service", expect: Network, says: &["500"], setup: |scene| service(scene, Fault::Status(500)) },
    Case { name: "429 from the token service", expect: RateLimited, says: &["429"], setup: |scene| service(scene, Fault::Status(429)) },
    Case { name: "a token service that hangs up", expect: Network, says: &[], setup: |scene| service(scene, Fault::HangUp) },
    Case { name: "a token service that never answers", expect: Network, says: &["100 ms"], setup: |scene| service(scene, Fault::HoldHead(Gate::new())).options(|options, _| options.stall_timeout = std::time::Duration::from_millis(100)) },
    Case { name: "a token service that redirects in a circle", expect: Network, says: &["redirect"], setup: |scene| { let target = scene.registry.url("/token"); service(scene, Fault::Redirect(target)) } },
];
