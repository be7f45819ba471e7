//! Fetching the distribution's kernel package with `apt`, as root or as anybody, without installing it.
//!
//! `apt` finds the package in the lists the host has, or fetches lists of its own into a private directory if there are
//! none; it verifies what it fetches against the keys the host trusts. Nothing outside the given directory is written.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boxlite_types::{Error, ErrorCode, Result};

use crate::vm::durable::Cancel;

/// Package that depends on the newest kernel made for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Longest time one run of `apt` may take: a kernel is 27 MB.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What to do when the distribution cannot help.
pub const FILE_HINT: &str = "get a Debian kernel package (`linux-image-<release>-cloud-amd64`) and name it: \
                    `boxlite kernel install --package FILE`";

/// Fetches the package into `directory`, which is created, and returns its path.
///
/// # Errors
/// `Unsupported` if there is no `apt`, or it knows no such package; `Network` if the package cannot be fetched.
pub(super) fn fetch_kernel_package(directory: &Path, cancel: &Cancel) -> Result<PathBuf> {
    fs::create_dir_all(directory).map_err(|source| Error::io("create", directory, source))?;
    let mut apt = Apt { directory, options: Vec::new(), cancel };
    // The host's lists may be missing, or so old that what they name is gone from the archive.
    if let Some(package) = apt.resolve()?
        && apt.download(&package)?.is_ok()
    {
        return apt.fetched(&package);
    }
    apt.fetch_lists()?;
    let package = apt.resolve()?.ok_or_else(|| {
        Error::new(ErrorCode::Unsupported, format!("this distribution has no package `{META_PACKAGE}`"))
            .hint(FILE_HINT)
    })?;
    apt.download(&package)?.map_err(|message| unreachable_source(&package, &message))?;
    apt.fetched(&package)
}

fn unreachable_source(what: &str, message: &str) -> Error {
    Error::new(ErrorCode::Network, format!("the package client cannot fetch {what}: {message}"))
        .hint(FILE_HINT)
}

struct Apt<'a> {
    directory: &'a Path,
    options: Vec<String>,
    cancel: &'a Cancel,
}

impl Apt<'_> {
    /// Finds the package the meta package stands for in the lists at hand.
    fn resolve(&self) -> Result<Option<String>> {
        let output = self.run("apt-cache", &["depends", "--no-recommends", "--no-suggests", META_PACKAGE])?;
        Ok(output.ok().as_deref().and_then(concrete_package))
    }

    fn download(&self, package: &str) -> Result<Result<String, String>> {
        self.run("apt-get", &["download", package])
    }

    /// The file that was downloaded.
    fn fetched(&self, package: &str) -> Result<PathBuf> {
        let files =
            fs::read_dir(self.directory).map_err(|source| Error::io("read", self.directory, source))?;
        let mut paths = files.flatten().map(|entry| entry.path());
        let fetched = paths.find(|path| path.extension() == Some(OsStr::new("deb")));
        fetched.ok_or_else(|| unreachable_source(package, "no file was fetched"))
    }

    /// Fetches package lists into a directory of our own, which later runs then use.
    fn fetch_lists(&mut self) -> Result<()> {
        let (lists, cache) = (self.directory.join("lists"), self.directory.join("cache"));
        for part in [lists.join("partial"), cache.join("archives/partial")] {
            fs::create_dir_all(&part).map_err(|source| Error::io("create", &part, source))?;
        }
        self.options = vec![
            format!("-oDir::State::Lists={}", lists.display()),
            format!("-oDir::Cache={}", cache.display()),
            // As root, apt would drop to a user of its own, who may not write here.
            "-oAPT::Sandbox::User=".to_owned(),
        ];
        self.run("apt-get", &["update"])?
            .map(drop)
            .map_err(|message| unreachable_source("package lists", &message))
    }

    /// Runs a tool to its end: its output, or the last line of its complaints.
    fn run(&self, tool: &str, arguments: &[&str]) -> Result<Result<String, String>> {
        let (output, errors) = (self.directory.join("output"), self.directory.join("errors"));
        let create = |path: &Path| fs::File::create(path).map_err(|source| Error::io("create", path, source));
        let mut child = Command::new(tool)
            .args(&self.options)
            .args(["-q", "-oDpkg::Use-Pty=0", "-oAcquire::Retries=3"])
            .args(arguments)
            .current_dir(self.directory)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(create(&output)?)
            .stderr(create(&errors)?)
            .spawn()
            .map_err(|source| {
                let message =
                    format!("no guest kernel is installed, and `{tool}` cannot be started: {source}");
                Error::new(ErrorCode::Unsupported, message).caused_by(source).hint(FILE_HINT)
            })?;
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Ok(Some(status)) = child.try_wait() {
                break status;
            }
            let verdict = match self.cancel.pause() {
                Ok(()) if Instant::now() < deadline => continue,
                Ok(()) => {
                    Error::new(ErrorCode::Timeout, format!("`{tool}` did not finish in time")).hint(FILE_HINT)
                }
                Err(cancelled) => cancelled,
            };
            let _ = child.kill();
            let _ = child.wait();
            return Err(verdict);
        };
        let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if status.success() {
            return Ok(Ok(text(&output).unwrap_or_default()));
        }
        let complaint = text(&errors).unwrap_or_default();
        let last = complaint.lines().rev().find(|line| line.starts_with("E:")).or(complaint.lines().last());
        Ok(Err(last.unwrap_or("it failed without a word").trim_start_matches("E:").trim().to_owned()))
    }
}

/// The package after the first `Depends:` that is a kernel image itself.
fn concrete_package(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends:"))
        .map(str::trim)
        .find(|name| {
            name.starts_with("linux-image-")
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_behind_the_meta_package_is_found() {
        let check =
            |depends: &str, expect: Option<&str>| assert_eq!(concrete_package(depends).as_deref(), expect);
        let debian = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        check(debian, Some("linux-image-6.1.0-56-cloud-amd64"));
        check(
            "x\n  Depends: kmod\n |Depends: linux-image-6.1.0-9-cloud-amd64\n",
            Some("linux-image-6.1.0-9-cloud-amd64"),
        );
        check("x\n  Depends: <linux-image-virtual>\n", None);
        check("x\n  Depends: linux-image-$(reboot)\n", None);
        check("", None);
    }
}
