//! `boxlite cp`.

use std::path::Path;

use boxlite::{ArchiveReader, CopyOptions, Error, ErrorCode};
use clap::Args;
use tokio::io::AsyncWriteExt;

use crate::errors::Failure;
use crate::session::Session;
use crate::standard_input::StandardInput;

const AFTER_HELP: &str = "A directory that exists at DESTINATION receives the copy, and `SOURCE/.` means the contents of a \
    directory, as with `docker cp`. `-` is a tar archive on stdin or stdout.";

/// Copies files between a box and this host
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// `BOX:PATH`, a path of this host, or `-`
    pub source: String,
    /// `BOX:PATH`, a path of this host, or `-`
    pub destination: String,
    /// Copy what a symbolic link named as SOURCE points to
    #[arg(short = 'L', long)]
    pub follow_link: bool,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Inside { name: &'a str, path: &'a str },
    Host(&'a Path),
    Archive,
}

impl<'a> End<'a> {
    /// A box's path has a colon before any slash, as in docker; `./a:b` is a way to name a file of the host.
    fn parse(text: &'a str) -> Self {
        match text.split_once(':') {
            _ if text == "-" => End::Archive,
            Some((name, path)) if !name.is_empty() && !name.contains('/') && !name.starts_with('.') => {
                End::Inside { name, path }
            }
            _ => End::Host(Path::new(text)),
        }
    }
}

/// Copies.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let runtime = session.runtime.clone();
    let options = CopyOptions { follow_symlinks: arguments.follow_link, ..CopyOptions::default() };
    let copy = async {
        match (End::parse(&arguments.source), End::parse(&arguments.destination)) {
            (End::Host(host), End::Inside { name, path }) => {
                runtime.get(name).await?.copy_in(host, path, options).await?;
            }
            (End::Inside { name, path }, End::Host(host)) => {
                runtime.get(name).await?.copy_out(path, host, options).await?;
            }
            (End::Archive, End::Inside { name, path }) => {
                runtime.get(name).await?.put_archive(path, StandardInput::default(), options).await?;
            }
            (End::Inside { name, path }, End::Archive) => {
                let mut archive = runtime.get(name).await?.get_archive(path, options).await?;
                print_archive(&mut archive).await?;
            }
            _ => {
                let message = "cannot copy: one end has to be in a box, and the other one here";
                return Err(Error::new(ErrorCode::InvalidArgument, message)
                    .hint("name the end in the box as `BOX:PATH`")
                    .into());
            }
        }
        Ok(0)
    };
    session.interrupts.cancelling(copy).await
}

/// Writes the archive to stdout; it ends without an error only if it is whole.
async fn print_archive(archive: &mut ArchiveReader) -> Result<(), Failure> {
    let mut stdout = tokio::io::stdout();
    tokio::io::copy(archive, &mut stdout).await.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => Failure::stdout(error),
    })?;
    stdout.flush().await.map_err(Failure::stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_told_from_a_path() {
        let check = |text: &str, expect: End<'_>| assert_eq!(End::parse(text), expect, "{text}");
        check("web:/etc/hosts", End::Inside { name: "web", path: "/etc/hosts" });
        check("web:", End::Inside { name: "web", path: "" });
        check("web:a:b", End::Inside { name: "web", path: "a:b" });
        check("-", End::Archive);
        for host in ["/a:b", "./a:b", "a/b:c", ":a", "a", "..:x"] {
            check(host, End::Host(Path::new(host)));
        }
    }
}
