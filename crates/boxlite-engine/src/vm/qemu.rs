//! Finding the emulator and other programs of the host.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boxlite_types::{Context, Error, ErrorCode, Home, Result};

use super::durable::Cancel;
use super::facts::HostFacts;

/// Name of the emulator for this host's architecture.
const PROGRAM: &str = "qemu-system-x86_64";

/// Oldest version that is known to restore what it saved with these devices.
const OLDEST_VERSION: (u32, u32) = (7, 2);

/// How a person gets the emulator.
const HINT: &str = "install QEMU 7.2 or later; on Debian and Ubuntu: `apt-get install qemu-system-x86`";

/// An emulator that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Where it is.
    pub program: PathBuf,
    /// Its version as it says it, as `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
    pub version: String,
}

/// Finds the emulator: the one named, or the first on the path.
///
/// # Errors
/// `Unsupported` if there is none, or only one that is too old.
pub fn find(home: &Home, named: Option<&Path>, cancel: &Cancel) -> Result<Qemu> {
    let missing = || Error::new(ErrorCode::Unsupported, format!("`{PROGRAM}` is not installed")).hint(HINT);
    let program = match named {
        Some(path) => path.canonicalize().map_err(|source| missing().caused_by(source))?,
        None => find_program(PROGRAM).ok_or_else(missing)?,
    };
    let version = HostFacts::of_file(home, &program, cancel, || ask_version(&program))?;
    let number = parse_version(&version).ok_or_else(|| unusable(&program, "it does not say its version"))?;
    if number < OLDEST_VERSION {
        return Err(unusable(&program, &format!("version {version} is too old")).hint(HINT));
    }
    Ok(Qemu { program, version })
}

/// Finds a program on the path, or in the directories of system programs, which ordinary users often lack there.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].into_iter().map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file())
}

fn ask_version(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| unusable(program, &source.to_string()).caused_by(source))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version =
        text.lines().next().and_then(|line| line.split_once("version ")).map(|(_, version)| version.trim());
    version.map(str::to_owned).ok_or_else(|| unusable(program, "it does not say its version"))
}

/// Major and minor number at the start of a version.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn unusable(program: &Path, reason: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("`{}` cannot be used: {reason}", program.display()))
        .with(Context::Path, program.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let check =
            |text: &str, expect: Option<(u32, u32)>| assert_eq!(parse_version(text), expect, "{text}");
        check("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", Some((7, 2)));
        check("10.0.50", Some((10, 0)));
        check("unknown", None);
        check("", None);
    }

    #[test]
    fn an_emulator_that_is_missing_or_old_is_told_from_one_that_works() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let program = directory.path().join("qemu");
        let check = |version: Option<&str>, expect: Result<&str, &str>| {
            if let Some(version) = version {
                let script = format!("#!/bin/sh\necho 'QEMU emulator version {version}'\n");
                // Renamed into place: a file that is open for writing anywhere cannot be run.
                let new = directory.path().join("new");
                std::fs::write(&new, script).unwrap();
                std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
                std::fs::rename(&new, &program).unwrap();
            }
            match (find(&home, Some(&program), &Cancel::default()), expect) {
                (Ok(found), Ok(version)) => assert_eq!(found.version, version),
                (Err(error), Err(message)) => {
                    assert_eq!(error.code(), ErrorCode::Unsupported);
                    assert!(error.message().contains(message), "{error:?}");
                }
                (found, _) => panic!("{found:?}"),
            }
        };
        check(None, Err("is not installed"));
        check(Some("6.9.1"), Err("version 6.9.1 is too old"));
        check(Some("7.2.0"), Ok("7.2.0"));
        check(Some("none"), Err("does not say its version"));
    }
}
