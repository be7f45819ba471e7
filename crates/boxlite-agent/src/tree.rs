//! The tree of processes a command becomes, held so that all of it can be killed.
//!
//! In a machine a tree is a cgroup: nothing leaves it, whatever sessions it makes, `cgroup.kill` ends all of it at once,
//! and the kernel counts there whom it killed for lack of memory. Where the agent has no cgroups of its own each tree has
//! a [keeper](crate::keeper) instead: a process that every orphan of the tree falls to.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use boxlite_types::{Error, ErrorCode, Result};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::failure::{failed, failed_io};
use crate::keeper::{self, Keeper};
use crate::process::{self, Launch};

/// Name of the cgroup of the first command, which may be there already.
pub(crate) const FIRST: &str = "1";

/// Where trees are planted.
pub(crate) enum Forest {
    /// Below this directory of a cgroup v2 hierarchy, which is the agent's own.
    Cgroup { directory: OwnedFd, planted: u64 },
    /// Each under a keeper.
    Keepers,
}

/// One command's processes.
pub(crate) enum Tree {
    /// The cgroup `name` in the forest's directory.
    Cgroup { forest: OwnedFd, directory: OwnedFd, name: String },
    /// Behind a keeper.
    Keeper(Keeper),
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Forest {
    /// Plants trees in an empty cgroup of the agent's own.
    pub(crate) fn in_cgroup(directory: &Path) -> Result<Forest> {
        let directory = rustix::fs::open(directory, DIRECTORY, Mode::empty())
            .map_err(|errno| failed(format!("open the cgroup `{}`", directory.display()), errno))?;
        // Without the controller a command still runs and can be killed, only nobody learns of a lack of memory.
        let _ = write_at(&directory, "cgroup.subtree_control", b"+memory");
        Ok(Forest::Cgroup { directory, planted: 0 })
    }

    /// As [`Forest::in_cgroup`], with the cgroup open already, and its controllers handed down.
    pub(crate) fn in_open_cgroup(directory: &OwnedFd) -> Result<Forest> {
        let directory = directory.try_clone().map_err(|error| failed_io("use the cgroup", &error))?;
        Ok(Forest::Cgroup { directory, planted: 0 })
    }

    /// Plants trees under keepers.
    pub(crate) fn of_keepers() -> Forest {
        Forest::Keepers
    }

    /// Returns the tree of a process that is in the cgroup of the first command already.
    pub(crate) fn around_first(&mut self) -> Result<Tree, Errno> {
        let Forest::Cgroup { directory, planted: planted @ 0 } = self else { return Err(Errno::INVAL) };
        let tree = Tree::Cgroup {
            forest: directory.try_clone().map_err(|_| Errno::MFILE)?,
            directory: rustix::fs::openat(&*directory, FIRST, DIRECTORY, Mode::empty())?,
            name: FIRST.into(),
        };
        *planted = 1;
        Ok(tree)
    }

    /// Starts a command as a tree of its own. Its process id is known at once, or comes from the keeper.
    pub(crate) fn plant(&mut self, launch: &Launch<'_>) -> Result<(Tree, Option<u32>)> {
        let no_room = |errno: Errno| {
            let code = match errno {
                Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOSPC => {
                    ErrorCode::ResourceExhausted
                }
                _ => ErrorCode::Execution,
            };
            let text = crate::failure::text_of(errno);
            Error::new(code, format!("the box cannot start another process: {text}"))
        };
        match self {
            Forest::Cgroup { directory, planted } => {
                *planted += 1;
                let name = planted.to_string();
                match rustix::fs::mkdirat(&*directory, &name, Mode::from(0o755)) {
                    // Of the first one in a machine: see `FIRST`.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(no_room(errno)),
                }
                let open = || {
                    let forest = directory.try_clone().map_err(|_| Errno::MFILE)?;
                    let own = rustix::fs::openat(&*directory, &name, DIRECTORY, Mode::empty())?;
                    let pid = process::spawn_in_cgroup(launch, own.as_fd())?;
                    Ok((Tree::Cgroup { forest, directory: own, name: name.clone() }, Some(pid)))
                };
                open().map_err(|errno| {
                    let _ = rustix::fs::unlinkat(&*directory, &name, AtFlags::REMOVEDIR);
                    no_room(errno)
                })
            }
            Forest::Keepers => Ok((Tree::Keeper(keeper::start(launch).map_err(no_room)?), None)),
        }
    }
}

impl Tree {
    /// Kills every process of the tree.
    pub(crate) fn kill(&mut self) {
        match self {
            Tree::Cgroup { directory, .. } => {
                let _ = write_at(directory, "cgroup.kill", b"1");
            }
            Tree::Keeper(keeper) => keeper.kill(),
        }
    }

    /// Returns whether the kernel killed a process of the tree for lack of memory.
    pub(crate) fn oom_killed(&self) -> bool {
        let Tree::Cgroup { directory, .. } = self else { return false };
        let Ok(events) = read_at(directory, "memory.events") else { return false };
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0"))
    }

    /// Clears away a tree without processes; `false` if it has some.
    pub(crate) fn clear(&mut self) -> bool {
        match self {
            Tree::Cgroup { forest, name, .. } => {
                rustix::fs::unlinkat(forest, name.as_str(), AtFlags::REMOVEDIR) != Err(Errno::BUSY)
            }
            Tree::Keeper(keeper) => keeper.is_gone(),
        }
    }
}

fn write_at(directory: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), Errno> {
    let file = rustix::fs::openat(directory, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, bytes).map(drop)
}

fn read_at(directory: &OwnedFd, name: &str) -> Result<String, Errno> {
    let file = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 4096];
    let count = rustix::io::read(file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}
