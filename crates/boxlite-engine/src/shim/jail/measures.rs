//! What confines a VMM, as found by looking at it from outside: nothing is claimed because it was asked for.

use crate::shim::landlock::{Ruleset, Scope};

/// Looks at a VMM from outside and returns what confines it. QEMU enters its seccomp filter as the last step before its
/// machine runs, so this is for machines that do.
pub(in crate::shim) fn measures_in_force(pid: u32, exchanges_template: bool) -> Vec<String> {
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
    let filters = match field("Seccomp_filters").parse() {
        Ok(filters) => filters,
        // Older kernels do not count; then one is all that may be claimed.
        Err(_) => u32::from(field("Seccomp") == "2"),
    };
    let exchanges = u32::from(exchanges_template);
    if filters > exchanges {
        measures.push("seccomp".into());
    }
    if exchanges_template && filters > 0 {
        measures.push("read-only-template".into());
    }
    if field("NoNewPrivs") == "1" {
        measures.push("no-new-privileges".into());
    }
    let none = |name: &str| field(name).bytes().all(|digit| digit == b'0') && !field(name).is_empty();
    // What is in the bounding set of a user who is not root cannot be gained with `no_new_privs`.
    if none("CapPrm") && (none("CapBnd") || field("NoNewPrivs") == "1") {
        measures.push("no-capabilities".into());
    }
    // Neither leaves a trace outside; a child that could not enter them never became the VMM.
    if Ruleset::new(Scope::Whole).is_some() {
        measures.push("landlock".into());
    }
    measures.push("rlimits".into());
    measures
}
