//! What confines a VMM, as found by looking at it from outside: nothing is claimed because it was asked for.

use crate::shim::landlock::{Ruleset, Scope};

/// Looks at a VMM from outside and returns what confines it. QEMU enters its seccomp filter as the last step before its
/// machine runs, so this is for machines that do.
pub(in crate::shim) fn measures_in_force(pid: u32) -> Vec<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
    };
    let own = |namespace: &str| {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{namespace}")).ok();
        let theirs = of(&pid.to_string());
        theirs.is_some() && theirs != of("self")
    };
    let mut measures: Vec<String> = Vec::new();
    let namespaces = [
        ("user", "user-namespace"),
        ("mnt", "mount-namespace"),
        ("pid", "pid-namespace"),
        ("net", "network-namespace"),
        ("ipc", "ipc-namespace"),
        ("uts", "uts-namespace"),
    ];
    measures.extend(namespaces.iter().filter(|(kind, _)| own(kind)).map(|(_, name)| (*name).to_owned()));
    if field("Seccomp") == "2" {
        measures.push("seccomp".into());
    }
    if field("NoNewPrivs") == "1" {
        measures.push("no-new-privileges".into());
    }
    let none = |name: &str| field(name).bytes().all(|digit| digit == b'0') && !field(name).is_empty();
    if none("CapPrm") && none("CapBnd") {
        measures.push("no-capabilities".into());
    }
    // Neither leaves a trace outside; a child that could not enter them never became the VMM.
    if Ruleset::new(Scope::Whole).is_some() {
        measures.push("landlock".into());
    }
    measures.push("rlimits".into());
    measures
}
