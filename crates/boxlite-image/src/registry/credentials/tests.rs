use std::os::unix::fs::PermissionsExt;

use super::*;

/// A docker configuration with two helpers beside it: `keeper` knows one host, `broken` fails.
struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        let keeper = r#"#!/bin/sh
read -r host
case "$1 $host" in
    "get known.example") echo '{"ServerURL":"known.example","Username":"anna","Secret":"s3cret"}' ;;
    "get token.example") echo '{"ServerURL":"token.example","Username":"<token>","Secret":"refresh"}' ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"#;
        for (name, text) in [("keeper", keeper), ("broken", "#!/bin/sh\necho out of order\nexit 3\n")] {
            let path = directory.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Fixture { directory }
    }

    async fn find(&self, host: &str) -> Result<Option<RegistryAuth>> {
        let credentials = Credentials {
            config_path: Some(self.directory.path().into()),
            helper_path: Some(self.directory.path().into()),
        };
        credentials.find(host, None).await
    }
}

fn basic(username: &str, password: &str) -> Option<RegistryAuth> {
    Some(RegistryAuth::Basic { username: username.into(), password: password.into() })
}

async fn check(config: &str, host: &str, expect: Option<RegistryAuth>) {
    let found = Fixture::new(config).find(host).await.unwrap();
    assert!(found == expect, "{config} for {host} gives {found:?}");
}

async fn check_refused(config: &str, says: &str) {
    let error = Fixture::new(config).find("x.example").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Config, "{error}");
    assert!(error.message().contains(says), "`{error}` does not say `{says}`");
}

#[tokio::test]
async fn entries_are_found_under_every_spelling_of_their_host() {
    // `anna:s3cret`, and a password with colons and zero padding as old clients wrote it.
    for key in ["x.example", "https://x.example", "https://x.example/v1/", "http://x.example/v2"] {
        check(
            &format!(r#"{{"auths":{{"{key}":{{"auth":"YW5uYTpzM2NyZXQ="}}}}}}"#),
            "x.example",
            basic("anna", "s3cret"),
        )
        .await;
    }
    check(r#"{"auths":{"x.example:5000":{"auth":"YW5uYTpzM2NyZXQ="}}}"#, "x.example", None).await;
    check(r#"{"auths":{"x.example":{"auth":"YTpiOmMA"}}}"#, "x.example", basic("a", "b:c")).await;
}

#[tokio::test]
async fn every_kind_of_entry_is_read() {
    let entry = |fields: &str| format!(r#"{{"auths":{{"x.example":{{{fields}}}}},"unknown":[1]}}"#);
    check(&entry(r#""username":"a","password":"b""#), "x.example", basic("a", "b")).await;
    check(&entry(r#""identitytoken":"t""#), "x.example", Some(RegistryAuth::Identity("t".into()))).await;
    check(&entry(r#""registrytoken":"t""#), "x.example", Some(RegistryAuth::Bearer("t".into()))).await;
    check(&entry(""), "x.example", None).await;
    check("{}", "x.example", None).await;
}

#[tokio::test]
async fn helpers_are_asked_and_have_the_first_word() {
    let config = r#"{"credHelpers":{"known.example":"keeper","token.example":"keeper"},
        "auths":{"known.example":{"username":"other","password":"other"}}}"#;
    check(config, "known.example", basic("anna", "s3cret")).await;
    check(config, "token.example", Some(RegistryAuth::Identity("refresh".into()))).await;
    check(r#"{"credsStore":"keeper"}"#, "known.example", basic("anna", "s3cret")).await;
    check(r#"{"credsStore":"keeper"}"#, "other.example", None).await;
    let fallback = r#"{"credsStore":"keeper","auths":{"x.example":{"username":"a","password":"b"}}}"#;
    check(fallback, "x.example", basic("a", "b")).await;
}

#[tokio::test]
async fn what_is_broken_is_named_without_a_secret() {
    check_refused(r#"{"auths":"#, "malformed at line 1").await;
    check_refused(r#"{"auths":{"x.example":{"auth":"c2VjcmV0"}}}"#, "malformed `auth` for `x.example`").await;
    check_refused(r#"{"credsStore":"broken"}"#, "exit status: 3").await;
    check_refused(r#"{"credsStore":"absent"}"#, "cannot be run").await;
    check_refused(r#"{"credsStore":"../evil"}"#, "no program's").await;
    let error = Fixture::new(r#"{"auths":{"x.example":{"password":"hunter2", }"#)
        .find("x.example")
        .await
        .unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn no_configuration_is_no_error_and_options_win() {
    let credentials = Credentials { config_path: Some("/nonexistent/config.json".into()), helper_path: None };
    assert_eq!(credentials.find("x.example", None).await.unwrap(), None);
    let options = RegistryOptions { auth: basic("o", "p"), ..RegistryOptions::default() };
    assert_eq!(credentials.find("x.example", Some(&options)).await.unwrap(), basic("o", "p"));
}
