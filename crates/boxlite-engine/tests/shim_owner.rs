//! Machines whose owner dies, whoever it is: run in processes of their own, as root and as an ordinary user.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use boxlite_engine::shim::{connect, supervisor};
use boxlite_engine::{Engine, StageSink};
use boxlite_protocol::{Answer, ShimRequest};
use common::vm::{self, VmBox};
use common::{gone, kill, output, patiently, runs};

/// An ordinary user: `nobody`.
const ORDINARY: u32 = 65534;

/// Not a test: starts a box in the home it is given and says how far it is, then waits to be killed.
#[tokio::test]
#[ignore = "started by other tests in a process of its own"]
async fn owner_process() {
    let Some(box_directory) = std::env::var_os("BOXLITE_TEST_BOX") else { return };
    let detach = std::env::var_os("BOXLITE_TEST_DETACH").is_some();
    let vm_box = VmBox::at(Path::new(&box_directory));
    let spare = std::env::var_os("BOXLITE_TEST_SPARE").is_some();
    let engine = vm::engine_with(spare);
    let say: StageSink = std::sync::Arc::new(|stage, over| println!("\n{stage:?} {}", over.is_some()));
    let session = engine.start(vm_box.request(detach), say).await.unwrap();
    let Answer::Status(status) = session.shim(ShimRequest::Status).await.unwrap() else { panic!() };
    let words = output(&session, "cat /etc/hostname").await;
    println!("\nvmm {} {:?} {}", status.vmm_pid, status.isolation.confinement, words.trim());
    if spare {
        engine.prepare(&vm_box.resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
        // What it holds open, pipes among it, has another holder from now on.
        // SAFETY: the child calls nothing but the kernel.
        let child = unsafe { libc::fork() };
        if child == 0 {
            loop {
                // SAFETY: as above.
                unsafe { libc::pause() };
            }
        }
        println!("\nspare {child}");
    }
    let () = std::future::pending().await;
}

/// A process that owns a box.
struct Owner {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Owner {
    fn new(vm_box: &VmBox, detach: bool, shim: &Path) -> Self {
        Self::with(vm_box, detach, shim, &[])
    }

    fn with(vm_box: &VmBox, detach: bool, shim: &Path, settings: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "owner_process", "--ignored", "--nocapture"])
            .env("BOXLITE_TEST_BOX", &vm_box.directory)
            .env("BOXLITE_TEST_SHIM", shim)
            .env("BOXLITE_TEST_AGENT", common::agent())
            .env("BOXLITE_TEST_ROOT", &vm::root().extents[0].path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.envs(settings.iter().map(|setting| (setting, "1")));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        if detach {
            command.env("BOXLITE_TEST_DETACH", "1");
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Owner { child, lines }
    }

    /// Reads until a line that begins with `word`, and returns what follows it.
    fn hears(&mut self, word: &str) -> String {
        let lines = self.lines.by_ref().map(|line| line.unwrap());
        let mut said = lines.filter_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()));
        said.next().unwrap_or_else(|| panic!("the owner ends before it says `{word}`"))
    }

    /// The shims it has started, and their machines.
    fn machines(&self) -> Vec<u32> {
        let mut shims = common::children_of(self.child.id());
        shims.retain(|process| {
            std::fs::read_to_string(format!("/proc/{process}/comm"))
                .is_ok_and(|name| name == "boxlite-shim\n")
        });
        shims.iter().flat_map(|shim| common::children_of(*shim)).chain(shims.iter().copied()).collect()
    }

    fn kill(mut self) -> Instant {
        self.child.kill().unwrap();
        let killed = Instant::now();
        self.child.wait().unwrap();
        killed
    }
}

async fn prepared() -> VmBox {
    let vm_box = VmBox::new();
    vm::engine().prepare(&vm_box.resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
    vm::root();
    vm_box
}

fn first_number(text: &str) -> u32 {
    text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_machine_dies_within_a_second_of_its_killed_owner() {
    let vm_box = prepared().await;
    let mut owner = Owner::new(&vm_box, false, common::SHIM.as_ref());
    let vmm = first_number(&owner.hears("vmm"));
    assert!(runs(vmm));
    let killed = owner.kill();
    gone(vmm).await;
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    patiently(vm_box.stopped()).await;
    assert_eq!(vm::engine().reap(&vm_box.directory).await.unwrap().unwrap().reason, "owner died");
}

#[tokio::test]
async fn a_spare_machine_dies_with_its_killed_owner_ready_or_not() {
    for ready in [false, true] {
        let vm_box = prepared().await;
        let mut owner = Owner::with(&vm_box, false, common::SHIM.as_ref(), &["BOXLITE_TEST_SPARE"]);
        let heard = owner.hears(if ready { "spare" } else { "vmm" });
        // Two shims and two machines, the second of each maybe just on its way.
        let machines = owner.machines();
        assert!(machines.len() == 4 || !ready, "{machines:?}");
        owner.kill();
        for process in machines {
            gone(process).await;
        }
        if ready {
            kill(first_number(&heard));
        }
    }
}

#[tokio::test]
async fn a_detached_machine_is_found_again_by_whoever_comes_next() {
    let vm_box = prepared().await;
    let mut owner = Owner::new(&vm_box, true, common::SHIM.as_ref());
    let vmm = first_number(&owner.hears("vmm"));
    owner.kill();
    let session = connect(&vm_box.directory).await.unwrap().expect("it lives on");
    assert_eq!(output(&session, "echo alive").await, "alive\n");
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 20_000 })).await.unwrap();
    assert!(!runs(vmm));
}

#[tokio::test]
async fn an_owner_or_shim_killed_at_any_stage_of_a_start_leaves_nothing_running() {
    for stage in ["Shim false", "Shim true", "Machine false", "Machine true", "Root false", "Root true"] {
        for (shim_dies, detach) in [(false, false), (false, true), (true, false)] {
            let vm_box = prepared().await;
            // A shim of its own, to be told from those of other tests before it has said anything.
            let own_shim = vm_box.directory.join("shim");
            std::fs::copy(common::SHIM, &own_shim).unwrap();
            let mut owner = Owner::new(&vm_box, detach, &own_shim);
            owner.hears(stage);
            match supervisor(&vm_box.directory).unwrap() {
                Some(shim) if shim_dies => kill(shim.pid),
                _ => {}
            }
            let group = owner.child.id();
            owner.kill();
            // One that was ready just then is detached for good: it is found again, and not left over.
            if detach && let Some(session) = patiently(connect(&vm_box.directory)).await.unwrap() {
                patiently(session.shim(ShimRequest::Kill)).await.unwrap();
            }
            patiently(ended(group, &own_shim)).await;
            // One that is just ending has no program any more, but still its lock.
            patiently(vm_box.stopped()).await;
            patiently(vm_box.disk_closed()).await;
            vm::engine().reap(&vm_box.directory).await.unwrap();
            for name in ["shim.sock", "shim.json"] {
                assert!(!vm_box.directory.join(name).exists(), "{name} is left at {stage}");
            }
        }
    }
}

/// Waits until no process is left of a process group, and none that has left it to run a program.
async fn ended(group: u32, program: &Path) {
    let processes = || std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    // Field 5 of `/proc/<pid>/stat`, counted behind the name in parentheses.
    let group_of = |process: PathBuf| -> Option<u32> {
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
    };
    // In this order: what is started is of the group first.
    while processes().any(|process| group_of(process) == Some(group)) || common::is_run(program) {
        tokio::task::yield_now().await;
    }
}

/// A home that an ordinary user owns, with the kernel of the common one.
fn home_of(user: u32) -> tempfile::TempDir {
    let home = tempfile::Builder::new().prefix("boxlite-shim-user-").tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(vm::home().kernels()).arg(home.path()).status().unwrap();
    assert!(copied.success());
    let given =
        Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(home.path()).status().unwrap();
    assert!(given.success());
    home
}

#[tokio::test]
async fn an_ordinary_user_gets_the_same_machine_and_the_same_jail() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user; the other tests were an ordinary user's");
        return;
    }
    let prepared = prepared().await;
    let home = home_of(ORDINARY);
    let own = vm::Place { home: home.path().to_owned(), root: home.path().join("root.erofs") };
    std::fs::copy(&vm::root().extents[0].path, &own.root).unwrap();
    std::fs::set_permissions(&own.root, std::fs::Permissions::from_mode(0o644)).unwrap();
    let vm_box = prepared.moved_to(&own);
    for directory in [vm_box.directory.parent().unwrap(), &vm_box.directory] {
        chown(directory, Some(ORDINARY), Some(ORDINARY)).unwrap();
    }
    let programs = programs_for(home.path());
    let mut command = Command::new(&programs.test);
    command
        .args(["--exact", "owner_process", "--ignored", "--nocapture"])
        .env("BOXLITE_TEST_BOX", &vm_box.directory)
        .env("BOXLITE_TEST_HOME", home.path())
        .env("BOXLITE_TEST_ROOT", &own.root)
        .env("BOXLITE_TEST_SHIM", &programs.shim)
        .env("BOXLITE_TEST_AGENT", &programs.agent)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    std::os::unix::process::CommandExt::uid(&mut command, ORDINARY);
    std::os::unix::process::CommandExt::gid(&mut command, ORDINARY);
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut owner = Owner { child, lines };
    let said = owner.hears("vmm");
    let vmm = first_number(&said);
    let owner_id = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{vmm}")).unwrap());
    assert_eq!(owner_id, ORDINARY);
    for measure in
        ["user-namespace", "mount-namespace", "pid-namespace", "seccomp", "landlock", "no-capabilities"]
    {
        assert!(said.contains(measure), "{measure}: {said}");
    }
    let killed = owner.kill();
    gone(vmm).await;
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}

struct Programs {
    test: PathBuf,
    shim: PathBuf,
    agent: PathBuf,
}

/// Copies the programs to where an ordinary user can run them, wherever this checkout lies.
fn programs_for(home: &Path) -> Programs {
    let copy = |from: &Path, name: &str| {
        let to = home.join(name);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o755)).unwrap();
    Programs {
        test: copy(&std::env::current_exe().unwrap(), "test"),
        shim: copy(Path::new(common::SHIM), "shim"),
        agent: copy(common::agent(), "agent"),
    }
}
