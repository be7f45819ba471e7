//! Options for the library out of the global flags and the file of `--config`. Flags come first: a registry named by a flag
//! is searched before those of the file.
//!
//! The file is TOML, and every key has a default:
//!
//! ```toml
//! [[registries]]
//! host = "registry.example:5000"     # the only key a table cannot do without
//! transport = "https"                # or "http"
//! skip_verify = false                # https without checking the certificate
//! ca_file = "/etc/ssl/our-ca.pem"    # further certificate authorities for this registry
//! search = true                      # look unqualified names up here
//! username = "..."                   # with `password`, instead of what docker's `config.json` says
//! password = "..."
//! bearer_token = "..."               # instead of both
//!
//! [engine]
//! qemu = "/opt/qemu/bin/qemu-system-x86_64"
//! kernel = "6.1.0-32-cloud-amd64"    # a release that `boxlite kernel ls` shows
//! accelerator = "fastest"            # or "kvm", "tcg"
//! ```
//!
//! A key that is not known is refused: a misspelt `skip_verify` must not pass for a decision.

use std::path::{Path, PathBuf};

use boxlite::{
    AcceleratorChoice, Context, EngineOptions, Error, ErrorCode, ImageOptions, Options, RegistryAuth,
    RegistryOptions, Result,
};
use serde::Deserialize;

use crate::arguments::Global;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    registries: Vec<Registry>,
    engine: Engine,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    host: String,
    #[serde(default)]
    transport: Transport,
    #[serde(default)]
    skip_verify: bool,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    search: bool,
    username: Option<String>,
    password: Option<String>,
    bearer_token: Option<String>,
}

/// Without the credentials.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("host", &self.host).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    Http,
    #[default]
    Https,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Engine {
    qemu: Option<PathBuf>,
    kernel: Option<String>,
    accelerator: Accelerator,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Accelerator {
    #[default]
    Fastest,
    Kvm,
    Tcg,
}

/// Returns the options the runtime is to be opened with.
///
/// # Errors
/// `Config` if the file cannot be read or understood.
pub fn options(global: &Global) -> Result<Options> {
    let file = match &global.config {
        Some(path) => read(path)?,
        None => File::default(),
    };
    let mut registries = Registries::default();
    for host in &global.registry {
        registries.named(host).search = true;
    }
    for registry in &global.insecure_registry {
        match registry.strip_prefix("https://") {
            Some(host) => registries.named(host).skip_verify = true,
            None => {
                let host = registry.strip_prefix("http://").unwrap_or(registry);
                registries.named(host).transport = boxlite::Transport::Http;
            }
        }
    }
    for registry in file.registries {
        registries.add(registry)?;
    }
    let images = ImageOptions { registries: registries.0, ..ImageOptions::default() };
    let accelerator = match file.engine.accelerator {
        Accelerator::Fastest => AcceleratorChoice::Fastest,
        Accelerator::Kvm => AcceleratorChoice::Kvm,
        Accelerator::Tcg => AcceleratorChoice::Tcg,
    };
    let engine = EngineOptions {
        qemu: file.engine.qemu,
        kernel: file.engine.kernel,
        accelerator,
        // For a second start, which a command does not come to.
        spare_machine: false,
    };
    Ok(Options { home: global.home.clone(), images, engine, ..Options::default() })
}

/// What is known of each registry, in the order they were first named.
#[derive(Default)]
struct Registries(Vec<RegistryOptions>);

impl Registries {
    fn named(&mut self, host: &str) -> &mut RegistryOptions {
        let place = self.0.iter().position(|known| known.host == host).unwrap_or_else(|| {
            self.0.push(RegistryOptions { host: host.to_owned(), ..RegistryOptions::default() });
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    fn add(&mut self, registry: Registry) -> Result<()> {
        let auth = match (registry.username, registry.password, registry.bearer_token) {
            (None, None, None) => None,
            (Some(username), Some(password), None) => Some(RegistryAuth::Basic { username, password }),
            (None, None, Some(token)) => Some(RegistryAuth::Bearer(token)),
            _ => {
                let message = format!("the credentials for registry `{}` are not complete", registry.host);
                return Err(Error::new(ErrorCode::Config, message)
                    .with(Context::Registry, registry.host)
                    .hint("set `username` and `password`, or `bearer_token` alone"));
            }
        };
        let known = self.named(&registry.host);
        known.search |= registry.search;
        known.skip_verify |= registry.skip_verify;
        if registry.transport == Transport::Http {
            known.transport = boxlite::Transport::Http;
        }
        known.ca_file = registry.ca_file;
        known.auth = auth;
        Ok(())
    }
}

fn read(path: &Path) -> Result<File> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorCode::Config, format!("cannot read the settings in `{shown}`: {error}"))
            .with(Context::Path, shown.to_string())
            .hint("name a file that exists with `--config`, or leave it out")
            .caused_by(error)
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        Error::new(ErrorCode::Config, format!("line {line} of `{shown}`: {message}"))
            .with(Context::Path, shown.to_string())
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn global(flags: &[&str]) -> Global {
        let words = ["boxlite"].iter().chain(flags).chain(&["version"]);
        crate::arguments::Arguments::parse_from(words).global
    }

    fn with_file(text: &str, flags: &[&str]) -> Result<Options> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        options(&Global { config: Some(file.path().to_owned()), ..global(flags) })
    }

    #[test]
    fn flags_come_before_the_file() {
        let text = "[[registries]]\nhost = \"b\"\nsearch = true\ntransport = \"http\"\n\
                    [[registries]]\nhost = \"c\"\nskip_verify = true\nca_file = \"/ca\"\n\
                    [[registries]]\nhost = \"a\"\nusername = \"u\"\npassword = \"p\"\n\
                    [engine]\naccelerator = \"tcg\"\n";
        let flags = ["--registry=a", "--insecure-registry=d", "--insecure-registry=https://e"];
        let options = with_file(text, &flags).unwrap();
        let shown: Vec<String> = options
            .images
            .registries
            .iter()
            .map(|known| {
                let (auth, ca) = (known.auth.is_some(), known.ca_file.is_some());
                let (host, transport) = (&known.host, known.transport);
                format!("{host} {transport:?} {} {} {auth} {ca}", known.search, known.skip_verify)
            })
            .collect();
        let expect = [
            "a Https true false true false",
            "d Http false false false false",
            "e Https false true false false",
            "b Http true false false false",
            "c Https false true false true",
        ];
        assert_eq!(shown, expect);
        assert_eq!(options.engine.accelerator, AcceleratorChoice::Tcg);
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused_with_its_line() {
        let check = |text: &str, line: &str| {
            let error = with_file(text, &[]).err().unwrap();
            assert_eq!(error.code(), ErrorCode::Config, "{text}");
            assert!(error.message().starts_with(line), "{error}");
        };
        check("registries = 3", "line 1 of");
        check("[[registries]]\nhost = \"a\"\nskip_verfy = true", "line 3 of");
        check("\n\n[[registries]]\nsearch = true", "line 3 of");
        check("[[registries]]\nhost = \"a\"\ntransport = \"ftp\"", "line 3 of");
        let half = with_file("[[registries]]\nhost = \"a\"\nusername = \"u\"", &[]).err().unwrap();
        assert_eq!(half.code(), ErrorCode::Config);
        let missing = Global { config: Some("/does/not/exist".into()), ..global(&[]) };
        assert_eq!(options(&missing).err().unwrap().code(), ErrorCode::Config);
    }
}
