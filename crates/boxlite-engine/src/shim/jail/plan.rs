//! Everything the child needs, made before it exists.
//!
//! Between `clone` and `exec` the child may only make system calls: other threads of the shim may have held the
//! allocator's lock at that moment. So paths, arguments, rulesets and descriptors are all laid out here.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use boxlite_types::{Error, ErrorCode, Result};

use super::exchange;
use crate::shim::landlock::{Ruleset, Scope, access};
use crate::vm::VmmCommand;

/// Directories in which a program's libraries lie, on the distributions there are.
const LIBRARY_DIRECTORIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// Where the dynamic linker finds the libraries.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Descriptors from here on are never asked for by a VMM.
pub(super) const ABOVE_TARGETS: RawFd = 128;

/// One step of making the tree, below the new root.
pub(super) enum Step {
    Directory(CString),
    Link {
        target: CString,
        at: CString,
    },
    /// A file or directory of the host, at the same path.
    Bind {
        path: CString,
        is_directory: bool,
        writable: bool,
    },
}

/// What a child does before it becomes the VMM.
pub(super) struct Plan {
    pub program: CString,
    arguments: Vec<CString>,
    pub steps: Vec<Step>,
    pub ruleset: Option<Ruleset>,
    /// `1000 <id> 1`, so that the VMM is nobody in particular inside.
    pub user_map: String,
    pub group_map: String,
    /// Descriptors and the numbers they get. These, too, are opened above [`ABOVE_TARGETS`].
    pub files: Vec<(OwnedFd, RawFd)>,
    /// What a VMM gets that asks for its copy-on-write file; see [`exchange`].
    pub template: Option<OwnedFd>,
    pub null: OwnedFd,
    pub stderr: OwnedFd,
}

impl Plan {
    pub fn new(command: &VmmCommand, stderr: &OwnedFd) -> Result<Self> {
        let program = canonical(&command.program)?;
        let mut tree = Tree::default();
        let ruleset = Ruleset::new(Scope::Whole);
        let allow = |path: &Path, allowed: u64| match &ruleset {
            Some(ruleset) => {
                ruleset.allow(path, allowed).map_err(|error| Error::io("confine to", path, error))
            }
            None => Ok(()),
        };
        let read = access::READ_FILE | access::READ_DIR;
        let write = read | access::WRITE_FILE | access::TRUNCATE | access::IOCTL_DEV;

        tree.bind(&program, false)?;
        allow(&program, read | access::EXECUTE)?;
        for path in LIBRARY_DIRECTORIES.map(Path::new).into_iter().filter(|path| path.is_dir()) {
            tree.bind(path, false)?;
            allow(path, read | access::EXECUTE)?;
        }
        let optional = [LINKER_CACHE, DEVICES[1], DEVICES[2]].map(Path::new);
        for path in optional.into_iter().filter(|path| path.exists()) {
            tree.bind(path, false)?;
            allow(path, read)?;
        }
        tree.bind(Path::new(DEVICES[0]), true)?;
        allow(Path::new(DEVICES[0]), write)?;
        for path in &command.readable {
            tree.bind(path, false)?;
            allow(path, read)?;
        }
        let template = match command.copy_on_write.as_slice() {
            [template] if exchange::is_possible() => {
                let file = File::open(template).map_err(|error| Error::io("open", template, error))?;
                Some(above_targets(&file)?)
            }
            _ => None,
        };
        for path in &command.writable {
            tree.bind(path, true)?;
            allow(path, write)?;
        }
        for path in &command.copy_on_write {
            tree.bind(path, template.is_none())?;
            allow(path, if template.is_none() { write } else { read })?;
        }

        let null = File::options().read(true).write(true).open(DEVICES[0]);
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Plan {
            arguments: std::iter::once(program.as_os_str())
                .chain(command.arguments.iter().map(|argument| argument.as_os_str()))
                .map(c_string)
                .collect::<Result<_>>()?,
            program: c_string(program.as_os_str())?,
            steps: tree.steps,
            ruleset,
            user_map: format!("1000 {} 1", ids.0),
            group_map: format!("1000 {} 1", ids.1),
            files: command
                .files
                .iter()
                .map(|(file, number)| Ok((above_targets(file)?, *number)))
                .collect::<Result<_>>()?,
            template,
            null: above_targets(&null.map_err(|error| Error::io("open", Path::new(DEVICES[0]), error))?)?,
            stderr: above_targets(stderr)?,
        })
    }

    /// Returns the arguments as `execve` takes them; valid as long as the plan.
    pub fn argument_pointers(&self) -> Vec<*const libc::c_char> {
        self.arguments.iter().map(|argument| argument.as_ptr()).chain([std::ptr::null()]).collect()
    }
}

/// The steps that make a tree, each parent before its children and each only once.
#[derive(Default)]
struct Tree {
    steps: Vec<Step>,
    made: Vec<PathBuf>,
    bound: Vec<PathBuf>,
}

impl Tree {
    /// Adds a path of the host. Symbolic links on the way are made again, so that it is found by the same name.
    fn bind(&mut self, path: &Path, writable: bool) -> Result<()> {
        let mut so_far = PathBuf::from("/");
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            so_far.push(name);
            if self.made.contains(&so_far) {
                continue;
            }
            if self.bound.iter().any(|bound| so_far.starts_with(bound)) {
                return Ok(());
            }
            let metadata =
                std::fs::symlink_metadata(&so_far).map_err(|error| Error::io("find", &so_far, error))?;
            if metadata.is_symlink() {
                let target =
                    std::fs::read_link(&so_far).map_err(|error| Error::io("read", &so_far, error))?;
                self.steps.push(Step::Link { target: c_string(target.as_os_str())?, at: relative(&so_far)? });
                self.made.push(so_far.clone());
                let rest = path.strip_prefix(&so_far).unwrap_or(Path::new(""));
                let real = canonical(&so_far)?;
                return self
                    .bind(&if rest.as_os_str().is_empty() { real } else { real.join(rest) }, writable);
            }
            if so_far == path {
                let is_directory = metadata.is_dir();
                self.steps.push(Step::Bind { path: c_string(path.as_os_str())?, is_directory, writable });
                self.bound.push(so_far.clone());
            } else {
                self.steps.push(Step::Directory(relative(&so_far)?));
                self.made.push(so_far.clone());
            }
        }
        Ok(())
    }
}

/// Copies a descriptor to where no number of the VMM's is.
fn above_targets(file: &impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(file, ABOVE_TARGETS).map_err(|error| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot copy a descriptor: {error}"))
    })
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| Error::io("find", path, error))
}

/// A path as seen from the new root, which is the working directory while the tree is made.
fn relative(path: &Path) -> Result<CString> {
    c_string(path.strip_prefix("/").unwrap_or(path).as_os_str())
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        Error::new(ErrorCode::InvalidArgument, format!("`{}` holds a zero byte", text.to_string_lossy()))
    })
}
