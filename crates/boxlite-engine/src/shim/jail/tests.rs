use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::spawn::Namespaces;
use super::*;

/// Runs a shell script where a VMM would run, with `/bin/busybox` as the VMM, and returns its id and what it says.
struct Inmate {
    process: VmmProcess,
    scratch: tempfile::TempDir,
}

impl Inmate {
    fn new(namespaces: Namespaces, script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for name in ["readable", "writable", "hidden", "template"] {
            std::fs::write(at(name), "old").unwrap();
        }
        let (_, inherited) = std::os::unix::net::UnixStream::pair().unwrap();
        let script = format!("cd {}; {script}", scratch.path().display());
        let command = VmmCommand {
            program: PathBuf::from("/bin/busybox"),
            arguments: ["sh", "-c", &script].map(Into::into).to_vec(),
            files: vec![(inherited.into(), 61)],
            readable: vec![at("readable")],
            writable: vec![at("writable")],
            copy_on_write: vec![at("template")],
        };
        Inmate { process: start(&command, namespaces), scratch }
    }

    /// Waits for the end, which must be a success, and returns what was written into the one writable file.
    fn written(mut self) -> String {
        let end = self.process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(end, "exited with code 0", "{}", self.process.last_words());
        std::fs::read_to_string(self.scratch.path().join("writable")).unwrap()
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.process.pid().to_string()).join(name)
    }
}

fn start(command: &VmmCommand, namespaces: Namespaces) -> VmmProcess {
    let (read_end, write_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let plan = Plan::new(command, &write_end).unwrap();
    let spawned = spawn::spawn(&plan, namespaces).unwrap_or_else(|failure| panic!("{failure}"));
    if let (Some(listener), Some(template)) = (spawned.listener, plan.template) {
        exchange::answer_all(listener, template).unwrap();
    }
    VmmProcess::new(spawned.pid, read_end).unwrap()
}

#[test]
fn every_measure_is_in_force_and_seen_from_outside() {
    let inmate = Inmate::new(Namespaces::Own, "echo $$ > writable; read forever < /dev/zero");
    let measures = measures::measures_in_force(inmate.process.pid(), true);
    for measure in [
        "user-namespace",
        "mount-namespace",
        "pid-namespace",
        "network-namespace",
        "ipc-namespace",
        "uts-namespace",
        "no-new-privileges",
        "no-capabilities",
        "read-only-template",
        "landlock",
        "rlimits",
    ] {
        assert!(measures.iter().any(|found| found == measure), "{measure} is not among {measures:?}");
    }
    // This inmate has no filter of its own, and so none is claimed.
    assert!(!measures.iter().any(|found| found == "seccomp"));
    let status = std::fs::read_to_string(inmate.proc("status")).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let limits = std::fs::read_to_string(inmate.proc("limits")).unwrap();
    let limit =
        |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().nth(4);
    assert_eq!(limit("Max core file size"), Some("0"));
}

#[test]
fn nothing_is_mounted_but_what_was_given() {
    let inmate = Inmate::new(Namespaces::Own, "read forever < /dev/zero");
    let mounts = std::fs::read_to_string(inmate.proc("mountinfo")).unwrap();
    let scratch = inmate.scratch.path().to_str().unwrap();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (at, options) = (fields[4], fields[5]);
        let known = [
            "/",
            "/bin/busybox",
            "/usr/bin/busybox",
            "/dev/null",
            "/dev/zero",
            "/dev/urandom",
            "/etc/ld.so.cache",
        ];
        let given = at
            .strip_prefix(scratch)
            .is_some_and(|rest| ["/readable", "/writable", "/template"].contains(&rest));
        let libraries = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"].contains(&at);
        assert!(known.contains(&at) || given || libraries, "{line}");
        let may_write = at == "/dev/null" || at.ends_with("/writable");
        assert_eq!(options.split(',').any(|option| option == "ro"), !may_write, "{line}");
    }
}

#[test]
fn an_inmate_sees_its_own_files_alone() {
    // `test` only asks for the names of files, which landlock does not hide: this is the mount tree.
    let script = "read word < readable; echo $word > writable; \
                  for file in hidden /etc/passwd /home /root /proc /sys /dev/kvm /dev/shm /tmp/* /run /boot; do \
                  test -e $file && echo sees $file >> writable; done; true";
    assert_eq!(Inmate::new(Namespaces::Own, script).written(), "old\n");
}

#[test]
fn an_inmate_cannot_change_what_it_reads_or_make_anything() {
    let script = "for file in readable new /new /dev/new /bin/busybox; do \
                  (echo bad >> $file) 2>/dev/null && echo wrote $file >> writable; done; \
                  /bin/busybox mkdir /d && echo made >> writable; \
                  /bin/busybox umount /dev/null && echo unmounted >> writable; \
                  /bin/busybox mknod device c 1 1 && echo made a device >> writable; true";
    let inmate = Inmate::new(Namespaces::Own, script);
    let readable = inmate.scratch.path().join("readable");
    let kept = File::open(&readable).unwrap();
    assert_eq!(inmate.written(), "old");
    assert_eq!(std::io::read_to_string(kept).unwrap(), "old");
}

/// Not a test: what the VMM is in the test below, in a process of its own.
#[test]
#[ignore = "started by another test in a jail"]
fn asks_for_its_template() {
    let path = std::env::args().find(|argument| argument.starts_with('/')).unwrap();
    let path = std::ffi::CString::new(path).unwrap();
    // SAFETY: the path is a C string. The flags are those of QEMU, which Rust's own `open` would add to.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: a descriptor just made.
    let mut file = unsafe { File::from_raw_fd(fd) };
    assert_eq!(std::io::read_to_string(&file).unwrap(), "old");
    file.write_all(b"bad").unwrap_err();
    let again = File::options().read(true).write(true).open(path.to_str().unwrap());
    again.expect_err("it opens for writing with other flags");
}

#[test]
fn whoever_asks_to_write_the_template_can_only_read_it() {
    for namespaces in [Namespaces::Own, Namespaces::Hosts] {
        let scratch = tempfile::tempdir().unwrap();
        let template = scratch.path().join("template");
        std::fs::write(&template, "old").unwrap();
        let test = format!("{}::asks_for_its_template", module_path!().split_once("::").unwrap().1);
        let command = VmmCommand {
            program: std::env::current_exe().unwrap(),
            arguments: vec!["--exact".into(), "--ignored".into(), test.into(), template.clone().into()],
            files: vec![],
            readable: vec![],
            writable: vec![],
            copy_on_write: vec![template.clone()],
        };
        let mut process = start(&command, namespaces);
        let end = process.wait(Duration::from_secs(10));
        assert_eq!(end.as_deref(), Some("exited with code 0"), "{namespaces:?}: {}", process.last_words());
        assert_eq!(std::fs::read_to_string(&template).unwrap(), "old");
    }
}

#[test]
fn an_inmate_has_no_descriptor_but_its_own() {
    let inmate = Inmate::new(Namespaces::Own, "read forever < /dev/zero");
    let mut open: Vec<String> = std::fs::read_dir(inmate.proc("fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // The shell's own copies of what it redirects.
        .filter(|name| name != "10" && name != "3")
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2", "61"]);
}

#[test]
fn an_inmate_has_no_network() {
    let inmate = Inmate::new(Namespaces::Own, "read forever < /dev/zero");
    let devices = std::fs::read_to_string(inmate.proc("net/dev")).unwrap();
    let names: Vec<&str> =
        devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(names, ["lo"]);
}

#[test]
fn without_namespaces_the_rest_still_holds() {
    let script = "cat hidden > writable 2>&1; cat /etc/passwd >> writable 2>&1; \
                  (echo bad > hidden) 2>> writable; true";
    let inmate = Inmate::new(Namespaces::Hosts, script);
    let hidden = inmate.scratch.path().join("hidden");
    let kept = File::open(hidden).unwrap();
    let seen = inmate.written();
    assert_eq!(seen.matches("Permission denied").count(), 3, "{seen}");
    assert_eq!(std::io::read_to_string(kept).unwrap(), "old");

    let inmate = Inmate::new(Namespaces::Hosts, "read forever < /dev/zero");
    let measures = measures::measures_in_force(inmate.process.pid(), true);
    assert_eq!(
        measures,
        ["read-only-template", "no-new-privileges", "no-capabilities", "landlock", "rlimits"]
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let command = VmmCommand {
        program: PathBuf::from("/nowhere/qemu"),
        arguments: vec![],
        files: vec![],
        readable: vec![],
        writable: vec![],
        copy_on_write: vec![],
    };
    let (_, write_end) = rustix::pipe::pipe().unwrap();
    let error = Plan::new(&command, &write_end).err().expect("it is refused");
    assert!(error.message().contains("/nowhere/qemu"), "{error}");
}
