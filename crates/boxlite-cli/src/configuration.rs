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
//!
//! [engine]
//! qemu = "/opt/qemu/bin/qemu-system-x86_64"
//! kernel = "6.1.0-32-cloud-amd64"    # a release that `boxlite kernel ls` shows
//! accelerator = "fastest"            # or "kvm", "tcg"
//! ```
//!
//! A key that is not known is refused: a misspelt `skip_verify` must not pass for a decision. Credentials are not kept here;
//! docker's `config.json` and its helpers are read.

use std::path::{Path, PathBuf};

use boxlite::{AcceleratorChoice, Context, EngineOptions, Error, ErrorCode, ImageOptions, Options, Result};
use serde::Deserialize;

use crate::arguments::Global;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    registries: Vec<Registry>,
    engine: Engine,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    host: String,
    #[serde(default)]
    transport: Transport,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    search: bool,
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
    let mut images = ImageOptions { search_registries: global.registry.clone(), ..ImageOptions::default() };
    for registry in &global.insecure_registry {
        match registry.strip_prefix("https://") {
            Some(host) => images.unverified_registries.push(host.to_owned()),
            None => images.http_registries.push(registry.trim_start_matches("http://").to_owned()),
        }
    }
    for registry in file.registries {
        let host = registry.host;
        if registry.search && !images.search_registries.contains(&host) {
            images.search_registries.push(host.clone());
        }
        if registry.transport == Transport::Http {
            images.http_registries.push(host.clone());
        }
        if registry.skip_verify {
            images.unverified_registries.push(host.clone());
        }
        images.certificate_authorities.extend(registry.ca_file.map(|path| (host, path)));
    }
    let accelerator = match file.engine.accelerator {
        Accelerator::Fastest => AcceleratorChoice::Fastest,
        Accelerator::Kvm => AcceleratorChoice::Kvm,
        Accelerator::Tcg => AcceleratorChoice::Tcg,
    };
    let engine = EngineOptions { qemu: file.engine.qemu, kernel: file.engine.kernel, accelerator };
    Ok(Options { home: global.home.clone(), images, engine, ..Options::default() })
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
                    [engine]\naccelerator = \"tcg\"\n";
        let flags = ["--registry=a", "--insecure-registry=d", "--insecure-registry=https://e"];
        let options = with_file(text, &flags).unwrap();
        assert_eq!(options.images.search_registries, ["a", "b"]);
        assert_eq!(options.images.http_registries, ["d", "b"]);
        assert_eq!(options.images.unverified_registries, ["e", "c"]);
        assert_eq!(options.images.certificate_authorities, [("c".to_owned(), PathBuf::from("/ca"))]);
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
        let missing = Global { config: Some("/does/not/exist".into()), ..global(&[]) };
        assert_eq!(options(&missing).err().unwrap().code(), ErrorCode::Config);
    }
}
