//! A command made ready: everything a child process needs between fork and exec, so that it allocates and looks up
//! nothing there.

use std::ffi::{CString, c_char};

use boxlite_protocol::Exec;
use boxlite_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize, Serializer};

use crate::Place;
use crate::failure::show;
use crate::users::{self, Identity};

/// Where programs are looked for unless a command says otherwise.
pub(crate) const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_TERM: &[u8] = b"TERM=xterm";

/// A command as `execve` wants it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Command {
    /// Program as it was asked for, for messages.
    pub(crate) name: Vec<u8>,
    /// Where the program may be, in the order of `PATH`.
    pub(crate) candidates: Vec<CString>,
    pub(crate) arguments: StringArray,
    pub(crate) environment: StringArray,
    /// The working directory and, before it, each directory above it.
    pub(crate) directories: Vec<CString>,
    /// Who it becomes; `None` to stay who the agent is.
    pub(crate) identity: Option<Identity>,
    /// Whether its standard streams are a terminal.
    pub(crate) terminal: bool,
    /// Whether it gives up the agent's place among batch processes.
    pub(crate) reschedule: bool,
}

/// Strings with the array of pointers to them that C wants.
#[derive(Deserialize)]
#[serde(from = "Vec<CString>")]
pub(crate) struct StringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl From<Vec<CString>> for StringArray {
    fn from(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        StringArray { strings, pointers }
    }
}

impl Serialize for StringArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.strings.serialize(serializer)
    }
}

impl StringArray {
    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl Command {
    /// Resolves a request in the box.
    pub(crate) fn resolve(exec: &Exec, place: &Place, hostname: &str) -> Result<Command> {
        let name = exec.argv.first().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| invalid("no program to run was named"))?.clone();
        let identity = match place {
            Place::Host if exec.user.is_empty() => None,
            _ => Some(users::resolve(&exec.user)?),
        };
        let environment = environment(exec, identity.as_ref(), hostname);
        let path = environment.iter().find_map(|entry| entry.strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
        let candidates = candidates(&name, path)?;
        Ok(Command {
            candidates,
            arguments: c_strings(exec.argv.clone(), "argument")?.into(),
            environment: c_strings(environment, "environment variable")?.into(),
            directories: directories(&exec.cwd)?,
            identity,
            terminal: exec.tty.is_some(),
            reschedule: matches!(place, Place::Machine),
            name,
        })
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

fn c_strings(strings: Vec<Vec<u8>>, what: &str) -> Result<Vec<CString>> {
    strings.into_iter().map(|string| c_string(string, what)).collect()
}

fn c_string(string: Vec<u8>, what: &str) -> Result<CString> {
    CString::new(string)
        .map_err(|error| invalid(format!("{what} `{}` holds a zero byte", show(&error.into_vec()))))
}

/// The environment as given, with what every program expects where it is missing.
fn environment(exec: &Exec, identity: Option<&Identity>, hostname: &str) -> Vec<Vec<u8>> {
    let mut environment = exec.env.clone();
    let mut default = |prefix: &[u8], value: &[u8]| {
        if !environment.iter().any(|entry| entry.starts_with(prefix)) {
            environment.push([prefix, value].concat());
        }
    };
    default(b"PATH=", DEFAULT_PATH);
    if let Some(identity) = identity {
        default(b"HOME=", &identity.home);
        default(b"HOSTNAME=", hostname.as_bytes());
    }
    if exec.tty.is_some() {
        let (prefix, value) = DEFAULT_TERM.split_at(5);
        default(prefix, value);
    }
    environment
}

fn candidates(name: &[u8], path: &[u8]) -> Result<Vec<CString>> {
    if name.contains(&b'/') {
        return Ok(vec![c_string(name.to_vec(), "program")?]);
    }
    let in_directory = |directory: &[u8]| {
        // An empty element of `PATH` is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        c_string([directory, b"/", name].concat(), "program")
    };
    path.split(|byte| *byte == b':').map(in_directory).collect()
}

fn directories(cwd: &[u8]) -> Result<Vec<CString>> {
    let cwd: &[u8] = if cwd.is_empty() { b"/" } else { cwd };
    if cwd[0] != b'/' {
        return Err(invalid(format!("working directory `{}` is not absolute", show(cwd))));
    }
    let ends = (1..cwd.len()).filter(|at| cwd[*at] == b'/').chain([cwd.len()]);
    ends.map(|end| c_string(cwd[..end].to_vec(), "working directory")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(strings: Vec<CString>) -> Vec<String> {
        strings.into_iter().map(|s| s.into_string().unwrap()).collect()
    }

    #[test]
    fn programs_are_looked_for_along_the_path() {
        let check = |name: &str, path: &str, expect: &[&str]| {
            assert_eq!(text(candidates(name.as_bytes(), path.as_bytes()).unwrap()), expect);
        };
        check("sh", "/usr/bin:/bin", &["/usr/bin/sh", "/bin/sh"]);
        check("sh", "/bin:", &["/bin/sh", "./sh"]);
        check("./sh", "/bin", &["./sh"]);
        check("/bin/sh", "/usr/bin", &["/bin/sh"]);
    }

    #[test]
    fn every_directory_above_the_working_directory_can_be_made() {
        let check = |cwd: &str, expect: &[&str]| {
            assert_eq!(text(directories(cwd.as_bytes()).unwrap()), expect);
        };
        check("", &["/"]);
        check("/", &["/"]);
        check("/a/b", &["/a", "/a/b"]);
        check("/a/", &["/a", "/a/"]);
        assert!(directories(b"a").is_err());
    }

    #[test]
    fn given_variables_win_over_defaults() {
        let exec = Exec {
            argv: vec![b"x".to_vec()],
            env: vec![b"PATH=/mine".to_vec(), b"HOMER=no".to_vec()],
            cwd: Vec::new(),
            user: String::new(),
            tty: None,
            stdin: false,
            timeout_ms: None,
            main: false,
            detach: false,
        };
        let identity = Identity { uid: 1, gid: 1, groups: vec![], home: b"/home/x".to_vec() };
        let seen = environment(&exec, Some(&identity), "host");
        let expect: [&[u8]; 4] = [b"PATH=/mine", b"HOMER=no", b"HOME=/home/x", b"HOSTNAME=host"];
        assert_eq!(seen, expect);
    }
}
