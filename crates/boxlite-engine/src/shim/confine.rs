//! The shim gives up what it does not need any more.
//!
//! It is trusted, but it reads what a machine and a VMM send; the less a mistake in that is worth, the better. What a
//! kernel cannot take away is no reason to fail: the VMM's own jail does not depend on it.

use std::os::fd::OwnedFd;

use super::landlock::{Ruleset, Scope, access};

/// Gives up all files but those in the box's directory. The thread goes on signalling the VMM.
pub(super) fn to_directory(directory: &OwnedFd) {
    let kept = access::READ_FILE
        | access::READ_DIR
        | access::WRITE_FILE
        | access::TRUNCATE
        | access::MAKE_REG
        | access::REMOVE_FILE;
    if let Some(ruleset) = Ruleset::new(Scope::FilesOnly)
        && ruleset.allow_open(directory, kept).is_ok()
    {
        enter(&ruleset);
    }
}

/// Gives up all files that are not open, and signals: for threads that only move bytes.
pub(super) fn to_nothing() {
    if let Some(ruleset) = Ruleset::new(Scope::Whole) {
        enter(&ruleset);
    }
}

fn enter(ruleset: &Ruleset) {
    // A descriptor out of the directory could still be opened by a program with more rights; none can be run any more.
    if rustix::thread::set_no_new_privs(true).is_ok() {
        let _ = ruleset.enter();
    }
}
