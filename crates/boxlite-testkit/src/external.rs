//! Debian's `docker-registry` (distribution 2.8) as a child process: the demo, the benchmarks and a compatibility test pull
//! from a registry that somebody else wrote.
//!
//! It listens on a free loopback port, keeps its data in a temporary directory, and is stopped, by its process id, when the
//! value is dropped.
//!
//! ```no_run
//! use boxlite_testkit::{external::DockerRegistry, images::busybox};
//! let registry = DockerRegistry::start().unwrap();
//! registry.push("library/busybox", "1", &busybox().build()).unwrap();
//! println!("pull {}", registry.reference("library/busybox:1"));
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::images::{Artifact, read_layout};

/// The program of the package `docker-registry`.
const PROGRAM: &str = "docker-registry";

/// A running `docker-registry`.
pub struct DockerRegistry {
    child: Child,
    host: String,
    /// Removed after the process, since fields are dropped after `drop` ran.
    _storage: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts one, and returns once it listens.
    ///
    /// # Errors
    /// `NotFound` if the package `docker-registry` is not installed; otherwise what went wrong with the process.
    pub fn start() -> io::Result<Self> {
        let storage = tempfile::Builder::new().prefix("boxlite-docker-registry-").tempdir()?;
        let configuration = storage.path().join("config.yml");
        let data = storage.path().join("data");
        std::fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {data:?}}}, delete: {{enabled: true}}}}\n\
                 http: {{addr: \"127.0.0.1:0\", relativeurls: true}}\n"
            ),
        )?;
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .arg(&configuration)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start `{PROGRAM}`: {error}")))?;
        match listening(&mut child) {
            Ok(host) => Ok(DockerRegistry { child, host, _storage: storage }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Returns `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns `127.0.0.1:<port>/<name>`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    /// Uploads an artifact, and all it needs and all below it, and lets `tag` name it.
    ///
    /// # Errors
    /// What the connection or the registry says; this one refuses many lies.
    pub fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> io::Result<()> {
        for child in &artifact.children {
            self.push(repository, &child.digest().to_string(), child)?;
        }
        for (digest, blob) in &artifact.blobs {
            let started = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[])?;
            let location =
                started.location.ok_or_else(|| io::Error::other("an upload without a location"))?;
            let separator = if location.contains('?') { '&' } else { '?' };
            let target = format!("{location}{separator}digest={digest}");
            self.ask("PUT", &target, "application/octet-stream", blob)?;
        }
        let target = format!("/v2/{repository}/manifests/{tag}");
        self.ask("PUT", &target, &artifact.media_type, &artifact.manifest).map(drop)
    }

    /// Uploads what `layout_tag` names in an OCI layout.
    ///
    /// # Errors
    /// As [`read_layout`] and [`DockerRegistry::push`].
    pub fn push_layout(
        &self,
        repository: &str,
        tag: &str,
        layout: &Path,
        layout_tag: &str,
    ) -> io::Result<()> {
        self.push(repository, tag, &read_layout(layout, layout_tag)?)
    }

    /// Downloads `path`, which starts with a slash.
    ///
    /// # Errors
    /// What the connection says, and every status but success.
    pub fn get(&self, path: &str) -> io::Result<Vec<u8>> {
        self.ask("GET", path, "", &[]).map(|answer| answer.body)
    }

    fn ask(&self, method: &str, target: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.host)?;
        let length = body.len();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n",
            self.host
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..split]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok()).unwrap_or(0);
        let body = answer.split_off((split + 4).min(answer.len()));
        if !(200..300).contains(&status) {
            let said = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("`{method} {target}`: status {status}: {said}")));
        }
        let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).map(str::to_owned);
        Ok(Answer { location, body })
    }
}

struct Answer {
    location: Option<String>,
    body: Vec<u8>,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line `... msg="listening on 127.0.0.1:<port>" ...`, and keeps the pipe drained after it.
fn listening(child: &mut Child) -> io::Result<String> {
    let pipe = child.stderr.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut reader = BufReader::new(pipe);
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::Error::other(format!("`{PROGRAM}` ended before it listened: {said}")));
        }
        if let Some((_, rest)) = line.split_once("listening on ") {
            let host: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
            return Ok(host);
        }
        said += &line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Entry, Image, Index, Layer};

    #[test]
    fn it_takes_and_serves_an_index() {
        let registry = match DockerRegistry::start() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: the package docker-registry is not installed");
                return;
            }
            started => started.unwrap(),
        };
        let image = Image::new([Layer::from_entries([Entry::file("a", "1")])]).build();
        let index = Index::new([image.clone()]).build();
        registry.push("library/app", "1", &index).unwrap();
        let digest = image.layer_digest(0);
        let layer = registry.get(&format!("/v2/library/app/blobs/{digest}")).unwrap();
        assert_eq!(layer, image.blob(&digest));
        let missing = registry.get("/v2/library/app/manifests/2").unwrap_err();
        assert!(missing.to_string().contains("status 404"), "{missing}");
    }
}
