//! What this host has of what a box needs: the facts behind `boxlite doctor`.
//!
//! Looks and tries, installs nothing. A check that is not `ok` keeps boxes from starting if it is `required`; otherwise they
//! are slower, or confined by one layer less. Its hint says what to do.

use std::process::{Command, Stdio};

use boxlite_types::{Error, Home, Result};
use serde::Serialize;

use super::accelerator::{self, Verdict};
use super::durable::Cancel;
use super::engine::VmEngineOptions;
use super::machine::Accelerator;
use super::qemu::find_program;
use super::{kernel, qemu};

/// Free memory below which a first box hardly starts, in MiB.
const LEAST_MEMORY_MIB: u64 = 512;

/// Free disk space below which the first image hardly fits beside kernel and template, in MiB.
const LEAST_DISK_MIB: u64 = 1024;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What, in a word or two.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether boxes cannot start without it.
    pub required: bool,
    /// What was found, as one line.
    pub detail: String,
    /// What to do about it, or what it means.
    pub hint: Option<String>,
}

/// Looks at everything. Blocks, for a fraction of a second.
pub fn host_report(options: &VmEngineOptions) -> Vec<Check> {
    let home = &options.home;
    let cancel = Cancel::default();
    let emulator = qemu::find(home, options.qemu.as_deref(), &cancel);
    let version = emulator.as_ref().ok().map(|emulator| emulator.version.clone());
    let guest_kernel = kernel::find(home, options.kernel.as_deref());
    let release = guest_kernel.as_ref().ok().and_then(Option::as_ref).map(|kernel| kernel.release.clone());
    vec![
        check(
            "emulator",
            emulator.map(|found| format!("QEMU {} at {}", found.version, found.program.display())),
        ),
        accelerator_check(options, release.as_deref(), version.as_deref()),
        check("guest kernel", guest_kernel.and_then(describe_kernel)),
        check("mke2fs", find_mke2fs()),
        user_namespaces(),
        landlock(),
        memory(),
        disk_space(home),
    ]
}

fn check(name: &'static str, found: Result<String>) -> Check {
    match found {
        Ok(detail) => Check { name, ok: true, required: true, detail, hint: None },
        Err(error) => Check {
            name,
            ok: false,
            required: true,
            detail: error.message().to_owned(),
            hint: error.hint_text().map(str::to_owned),
        },
    }
}

/// A layer of confinement that boxes can do without.
fn layer(name: &'static str, found: Result<String, String>, hint: &str) -> Check {
    let ok = found.is_ok();
    let detail = found.unwrap_or_else(|reason| reason);
    Check { name, ok, required: false, detail, hint: (!ok).then(|| hint.to_owned()) }
}

fn accelerator_check(options: &VmEngineOptions, release: Option<&str>, version: Option<&str>) -> Check {
    let name = "accelerator";
    let required = options.accelerator == Some(Accelerator::Kvm);
    if options.accelerator == Some(Accelerator::Tcg) {
        return Check { name, ok: true, required, detail: "tcg, as asked for".into(), hint: None };
    }
    match accelerator::known(&options.home, release.unwrap_or_default(), version.unwrap_or_default()) {
        Verdict::Usable => Check { name, ok: true, required, detail: "kvm".into(), hint: None },
        Verdict::Unknown => {
            let detail = "not known yet: the first start of a box runs a guest on `/dev/kvm`".into();
            Check { name, ok: true, required, detail, hint: None }
        }
        Verdict::Unusable(reason) => {
            let hint = "boxes run without hardware virtualisation as well, about five times slower";
            let detail = if required { reason } else { format!("tcg, as {reason}") };
            Check { name, ok: false, required, detail, hint: Some(hint.into()) }
        }
    }
}

fn describe_kernel(found: Option<kernel::Kernel>) -> Result<String> {
    match found {
        Some(kernel) => Ok(kernel.release),
        None if find_program("apt-get").is_some() => {
            Ok("none yet; the first start of a box fetches it".to_owned())
        }
        None => Err(Error::new(
            boxlite_types::ErrorCode::Unsupported,
            "none is installed, and there is no `apt-get`",
        )
        .hint(kernel::FILE_HINT)),
    }
}

fn find_mke2fs() -> Result<String> {
    super::disk::mke2fs().map(|program| program.display().to_string())
}

fn user_namespaces() -> Check {
    let hint = "the VMM is then confined by seccomp, landlock and limits; on hosts that restrict namespaces, allow them with \
                `sysctl kernel.unprivileged_userns_clone=1` or an AppArmor profile";
    let Some(program) = find_program("unshare") else {
        return layer("user namespaces", Ok("not tried, as there is no `unshare`".into()), hint);
    };
    let tried = Command::new(program)
        .args(["--user", "--map-root-user", "--mount", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string());
    let found = tried.and_then(|output| match output.status.success() {
        true => Ok("usable".to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    });
    layer("user namespaces", found, hint)
}

fn landlock() -> Check {
    // landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) answers the version of the interface.
    const VERSION_FLAG: libc::c_uint = 1;
    // SAFETY: with these arguments the call reads and makes nothing.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION_FLAG)
    };
    let found = match version {
        1.. => Ok(format!("version {version}")),
        _ => Err(format!("not there: {}", std::io::Error::last_os_error())),
    };
    layer(
        "landlock",
        found,
        "kernels since 5.13 have it, with `landlock` among their security modules (`lsm=`)",
    )
}

fn memory() -> Check {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available_kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    amount("memory", available_kib / 1024, LEAST_MEMORY_MIB, "end something that uses much of it")
}

fn disk_space(home: &Home) -> Check {
    // The home may not be there yet: the disk it will be on is that of what is.
    let found = home.root().ancestors().find_map(|directory| rustix::fs::statvfs(directory).ok());
    let free_mib = found.map_or(0, |disk| (disk.f_bavail * disk.f_frsize) >> 20);
    amount("disk space", free_mib, LEAST_DISK_MIB, "free some, or put the home elsewhere with `BOXLITE_HOME`")
}

fn amount(name: &'static str, free_mib: u64, least_mib: u64, hint: &str) -> Check {
    let ok = free_mib >= least_mib;
    Check {
        name,
        ok,
        required: true,
        detail: format!("{free_mib} MiB free"),
        hint: (!ok).then(|| hint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_an_emulator_is_told_what_to_install() {
        let directory = tempfile::tempdir().unwrap();
        let options = VmEngineOptions {
            home: Home::new(directory.path().join("not/there/yet")),
            agent: "/nowhere/agent".into(),
            shim: "/nowhere/shim".into(),
            qemu: Some("/nowhere/qemu".into()),
            kernel: None,
            accelerator: Some(Accelerator::Tcg),
            spare_machine: false,
        };
        let report = host_report(&options);
        let find = |name: &str| report.iter().find(|check| check.name == name).unwrap();
        assert!(!find("emulator").ok);
        assert!(find("emulator").hint.as_deref().unwrap().contains("qemu-system-x86"));
        assert_eq!(find("accelerator").detail, "tcg, as asked for");
        assert!(find("disk space").ok, "{:?}", find("disk space"));
        assert!(!amount("x", 1023, 1024, "y").ok && amount("x", 1024, 1024, "y").ok);
        assert!(!directory.path().join("not").exists(), "looking makes nothing");
    }

    #[test]
    fn a_kernel_that_is_named_and_missing_fails_its_check() {
        let directory = tempfile::tempdir().unwrap();
        let options = VmEngineOptions {
            home: Home::new(directory.path()),
            agent: "/nowhere/agent".into(),
            shim: "/nowhere/shim".into(),
            qemu: None,
            kernel: Some("9.9".into()),
            accelerator: None,
            spare_machine: false,
        };
        let report = host_report(&options);
        let kernel = report.iter().find(|check| check.name == "guest kernel").unwrap();
        assert!(!kernel.ok && kernel.detail.contains("9.9"), "{kernel:?}");
    }
}
