//! The agent as process 1 of a real machine: what a box looks like inside, and how it behaves when it is treated badly.

mod common;

use std::time::Instant;

use boxlite_engine::{Engine, Session, StartRequest};
use boxlite_protocol::{AgentRequest, Answer, Exec, ShimRequest};
use boxlite_types::{DiskExtent, DiskLayout, ErrorCode, ExitStatus, TerminalSize};
use common::vm::{VmBox, engine};
use common::{output, patiently, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs a command to its end: status, stdout, stderr.
async fn run(session: &Session, exec: Exec) -> (ExitStatus, String, String) {
    let mut process = patiently(session.exec(exec)).await.unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let both = async {
        tokio::try_join!(
            process.stdout.read_to_string(&mut stdout),
            process.stderr.read_to_string(&mut stderr)
        )
    };
    patiently(both).await.unwrap();
    (patiently(process.wait()).await.unwrap(), stdout, stderr)
}

#[tokio::test]
async fn a_box_is_furnished_as_containers_are() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let check = async |script: &str, expect: &str| {
        assert_eq!(output(&session, script).await, expect, "{script}");
    };
    check("cut -d' ' -f2,3 /proc/mounts", "/ overlay\n/proc proc\n/dev tmpfs\n/dev/pts devpts\n/dev/shm tmpfs\n/dev/mqueue mqueue\n/sys sysfs\n/sys/fs/cgroup cgroup2\n").await;
    check(
        "cd /dev; echo *",
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n",
    )
    .await;
    check("stat -c %a /dev/null /dev/shm /dev/pts/ptmx", "666\n1777\n666\n").await;
    let id = &vm_box.id;
    check("hostname; cat /etc/hostname", &format!("{id}\n{id}\n")).await;
    check(&format!("grep -c {id} /etc/hosts"), "1\n").await;
    check("cat /sys/class/net/lo/operstate; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo up", "unknown\nup\n")
        .await;
    check("wc -c < /etc/machine-id", "33\n").await;
    // What the agent came from is out of sight and its memory out of reach.
    check("ls /modules /init /image /disk 2>&1 | grep -vc 'No such file'; true", "0\n").await;
    check("cat /proc/self/oom_score_adj", "0\n").await;
    check("head -c 1 /proc/1/mem 2>/dev/null || echo refused", "refused\n").await;
    check("env | sort", &format!("HOME=/root\nHOSTNAME={id}\nPATH=/usr/bin:/bin\nPWD=/\nSHLVL=1\n")).await;
    check("ulimit -n; ulimit -Hn", "1024\n1048576\n").await;
}

/// The first command is a child that was there before it; nobody may be able to tell.
#[tokio::test]
async fn the_first_command_is_like_any_other() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let portrait =
        "grep -Ev '^(Pid|Tgid|Ngid|PPid|NSpid|NSpgid|NSsid|NStgid|Vm|Rss|.*ctxt|Threads)' /proc/self/status
        cat /proc/self/limits /proc/self/mountinfo /proc/self/attr/current 2>&1
        ls -l /proc/self/fd | sed 's/.* \\([0-9] -> [a-z/]*\\).*/\\1/'
        cut -d' ' -f18,19,41 /proc/self/stat; pwd; umask; readlink /proc/self/root /proc/self/cwd; env; id
        [ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads
        sed 's/[0-9]*$//' /proc/self/cgroup; cat /proc/self/oom_score_adj /proc/self/coredump_filter";
    let first = output(&session, portrait).await;
    assert_eq!(first, output(&session, portrait).await);
    assert!(first.contains("leads\n") && first.contains("1 -> pipe"), "{first}");
}

#[tokio::test]
async fn whatever_the_first_command_is_it_runs() {
    let engine = engine();
    let tty = Some(TerminalSize { rows: 5, columns: 6 });
    let long = format!("echo {}", "x".repeat(100_000));
    for (first, expect) in [
        (Exec { tty, ..shell("stty size") }, "5 6\r\n".to_owned()),
        (shell(&long), long["echo ".len()..].to_owned() + "\n"),
        (
            Exec { cwd: b"/made/here".to_vec(), user: "7:8".into(), ..shell("pwd; id -u; id -g") },
            "/made/here\n7\n8\n".into(),
        ),
    ] {
        let vm_box = VmBox::new();
        let session = vm_box.start(&engine).await;
        let (status, stdout, stderr) = run(&session, first).await;
        assert_eq!((status.code, stdout, stderr.as_str()), (Some(0), expect, ""));
        // What waited to become it is not there any more, whether it did or not.
        let agents =
            async || output(&session, "grep -lx \"$(cat /proc/1/comm)\" /proc/[0-9]*/comm | wc -l").await;
        patiently(async { while agents().await != "1\n" {} }).await;
    }
}

#[tokio::test]
async fn a_first_command_that_cannot_run_says_why_and_input_reaches_one_that_can() {
    let engine = engine();
    let (one, two) = (VmBox::new(), VmBox::new());
    let session = one.start(&engine).await;
    let no_such = Exec { argv: vec![b"no-such".to_vec()], ..shell("") };
    let error = session.exec(no_such).await.err().unwrap();
    assert_eq!((error.code(), error.message()), (ErrorCode::NotFound, "no program `no-such` in the box"));
    assert_eq!(output(&session, "echo next").await, "next\n");

    let session = two.start(&engine).await;
    let mut process = session.exec(Exec { stdin: true, ..shell("cat") }).await.unwrap();
    process.stdin.take().unwrap().write_all(b"through").await.unwrap();
    let mut said = String::new();
    patiently(process.stdout.read_to_string(&mut said)).await.unwrap();
    assert_eq!((said.as_str(), patiently(process.wait()).await.unwrap().code), ("through", Some(0)));
}

#[tokio::test]
async fn users_are_those_of_the_box() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    output(
        &session,
        "echo web:x:33:34::/srv:/bin/sh > /etc/passwd; printf 'web:x:34:\\nextra:x:60:web\\n' > /etc/group",
    )
    .await;
    let check = async |user: &str, expect: &str| {
        let exec = Exec {
            user: user.into(),
            ..shell("echo $(id -u):$(id -g) $(id -G) $HOME $(touch /x 2>/dev/null && echo root)")
        };
        assert_eq!(run(&session, exec).await.1, format!("{expect}\n"), "{user}");
    };
    check("", "0:0 0 /root root").await;
    check("web", "33:34 34 60 /srv").await;
    check("web:7", "33:7 7 /srv").await;
    check("5:6", "5:6 6 /").await;
    let error = session.exec(Exec { user: "nobody".into(), ..shell("true") }).await.err().unwrap();
    assert_eq!(
        (error.code(), error.message()),
        (ErrorCode::InvalidArgument, "no user `nobody` in the box's `/etc/passwd`")
    );
    let exec = Exec {
        user: "web".into(),
        tty: Some(TerminalSize { rows: 5, columns: 6 }),
        ..shell("tty; stat -c %u:%g:%a $(tty); stty size")
    };
    assert_eq!(run(&session, exec).await.1, "/dev/pts/0\r\n33:5:620\r\n5 6\r\n");
}

#[tokio::test]
async fn a_lack_of_memory_is_told_and_survived() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let (status, ..) = run(&session, shell("exec tail /dev/zero")).await;
    assert_eq!((status.signal, status.oom_killed), (Some(9), true), "{status:?}");
    let (status, stdout, _) = run(&session, shell("tail /dev/zero; echo after")).await;
    assert_eq!((stdout.as_str(), status.oom_killed), ("after\n", true), "a child's end is told as well");
    assert!(!run(&session, shell("true")).await.0.oom_killed);
}

#[tokio::test]
async fn nothing_escapes_a_kill_and_a_flood_of_processes_is_survived() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let processes =
        async || output(&session, "ls /proc | grep -c '^[0-9]'").await.trim().parse::<u32>().unwrap();
    let before = processes().await;
    let escape = "(setsid setsid sh -c 'echo out; exec sleep 1000' &) ; sleep 1000";
    let mut process = session.exec(shell(escape)).await.unwrap();
    assert_eq!(patiently(process.stdout.next_chunk()).await.unwrap(), "out\n");
    process.kill().await.unwrap();
    assert_eq!(patiently(process.wait()).await.unwrap().signal, Some(9));
    // The flood is beside the command, for a shell that cannot fork any more ends by itself.
    let flood = "(f() { f & f & }; while :; do f; done) & exec sleep 1000";
    let bomb = Exec { timeout_ms: Some(1500), ..shell(flood) };
    let (status, ..) = run(&session, bomb).await;
    assert!(status.timed_out, "{status:?}");
    // The last of them may still be on their way out.
    patiently(async { while processes().await > before {} }).await;
}

#[tokio::test]
async fn more_commands_than_the_machine_holds_end_in_a_refusal() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let mut kept = Vec::new();
    let refusal = loop {
        match patiently(session.exec(shell("exec sleep 100000"))).await {
            Ok(process) => kept.push(process),
            Err(error) => break error,
        }
        assert!(kept.len() <= 600);
    };
    println!("{} commands, then: {refusal}", kept.len());
    assert_eq!(refusal.code(), ErrorCode::ResourceExhausted, "{refusal:?}");
    drop(kept);
    patiently(async { while session.exec(shell("true")).await.is_err() {} }).await;
    assert_eq!(output(&session, "echo on").await, "on\n");
}

#[tokio::test]
async fn a_stop_leaves_a_clean_disk() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    // Something that writes until its end, and something that ignores being asked to end.
    let writer = session.exec(shell("while :; do echo x >> /log; done")).await.unwrap();
    let deaf = session.exec(shell("trap '' TERM; while :; do sleep 1; done")).await.unwrap();
    output(&session, "seq 1 1000 > /kept").await;
    patiently(session.shim(ShimRequest::Stop { timeout_ms: 20_000 })).await.unwrap();
    drop((writer, deaf));
    let disk = vm_box.directory.join(boxlite_engine::vm::disk::DISK_FILE);
    let check = std::process::Command::new("e2fsck").args(["-f", "-n"]).arg(&disk).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("recover"), "{said}");
    let session = vm_box.start(&engine).await;
    assert_eq!(output(&session, "tail -n 1 /kept").await, "1000\n");
}

/// Processor time that a process has used, in seconds.
fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks = |field: &str| field.parse::<f64>().unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(ticks).sum::<f64>() / 100.0
}

#[tokio::test]
async fn bytes_go_through_the_port_whole() {
    let (engine, vm_box) = (engine(), VmBox::new());
    let session = vm_box.start(&engine).await;
    let Answer::Status(status) = session.shim(ShimRequest::Status).await.unwrap() else { panic!() };
    // The time on the clock says more of what else the host does than of the machine: both are told, neither judged.
    let tell = |what: &str, began: (Instant, f64), amount: f64| {
        let (clock, processor) =
            (began.0.elapsed().as_secs_f64(), processor_seconds(status.vmm_pid) - began.1);
        println!(
            "{what}: {:.1} on the clock, {:.1} of one processor's time",
            amount / clock,
            amount / processor
        );
    };
    let begin = || (Instant::now(), processor_seconds(status.vmm_pid));

    let (began, mut total) = (begin(), 0);
    let mut process =
        session.exec(shell("exec dd if=/dev/zero bs=64k count=1000 2>/dev/null")).await.unwrap();
    while let Some(chunk) = patiently(process.stdout.next_chunk()).await {
        total += chunk.len();
    }
    tell("MB/s out of the machine", began, total as f64 / 1e6);
    assert_eq!(total, 65_536_000);

    let began = begin();
    let exec =
        Exec { stdin: true, ..shell("dd of=/dev/null bs=64k count=999 iflag=fullblock 2>/dev/null; wc -c") };
    let mut process = session.exec(exec).await.unwrap();
    let mut stdin = process.stdin.take().unwrap();
    for _ in 0..1000 {
        patiently(stdin.write_all(&[7; 65_536])).await.unwrap();
    }
    drop(stdin);
    let mut said = String::new();
    patiently(process.stdout.read_to_string(&mut said)).await.unwrap();
    tell("MB/s into the machine", began, 65.536);
    assert_eq!(said, "65536\n");

    let began = begin();
    for _ in 0..50 {
        run(&session, shell("exec true")).await;
    }
    tell("commands a second", began, 50.0);
    let Answer::Metrics(metrics) = session.request(AgentRequest::Metrics).await.unwrap() else { panic!() };
    assert!(metrics.disk_total_bytes > 50 << 20 && metrics.disk_total_bytes < 128 << 20, "{metrics:?}");
    assert!(metrics.memory_total_bytes < 256 << 20 && metrics.memory_used_bytes < 128 << 20, "{metrics:?}");
    assert!(metrics.cpu_usec > 0 && metrics.processes > 1, "{metrics:?}");
}

/// An image of one tree.
fn image(directory: &std::path::Path, build: impl Fn(&std::path::Path)) -> DiskLayout {
    let (tree, path) = (directory.join("tree"), directory.join("image"));
    std::fs::create_dir(&tree).unwrap();
    build(&tree);
    let made = std::process::Command::new("mkfs.erofs").arg("--quiet").arg(&path).arg(&tree).status();
    assert!(made.expect("erofs-utils is installed").success());
    let length = std::fs::metadata(&path).unwrap().len().next_multiple_of(4096);
    DiskLayout {
        size_bytes: length,
        extents: vec![DiskExtent { path, file_offset: 0, disk_offset: 0, length }],
    }
}

#[tokio::test]
async fn images_with_next_to_nothing_or_oddities_in_them_start() {
    use std::os::unix::fs::symlink;
    let engine = engine();
    let check = async |build: &dyn Fn(&std::path::Path), script: &str, expect: &str| {
        let (vm_box, directory) = (VmBox::new(), tempfile::tempdir().unwrap());
        let root = image(directory.path(), |tree| {
            std::fs::copy("/bin/busybox", tree.join("busybox")).expect("busybox is installed");
            build(tree);
        });
        engine.prepare(&vm_box.resources, std::sync::Arc::new(|_, _| {})).await.unwrap();
        let request = StartRequest { root, ..vm_box.request(false) };
        let session = patiently(engine.start(request, std::sync::Arc::new(|_, _| {}))).await.unwrap();
        let argv = ["/busybox", "sh", "-c", script].map(|part| part.as_bytes().to_vec()).to_vec();
        let exec = Exec { argv, cwd: b"/made/for/it".to_vec(), ..shell("") };
        let (status, stdout, stderr) = run(&session, exec).await;
        assert_eq!((stdout.as_str(), stderr.as_str()), (expect, ""), "{status:?}");
    };
    check(&|_| {}, "cd /; echo *; pwd; /busybox stat -c %a /", "busybox dev etc made proc sys\n/\n755\n")
        .await;
    let odd = |tree: &std::path::Path| {
        std::fs::create_dir(tree.join("target")).unwrap();
        symlink("/target", tree.join("dev")).unwrap();
        symlink("../../target", tree.join("proc")).unwrap();
        std::fs::write(tree.join("sys"), "a file").unwrap();
        std::fs::create_dir(tree.join("etc")).unwrap();
        symlink("/target/hosts", tree.join("etc/hosts")).unwrap();
        std::fs::create_dir(tree.join("etc/hostname")).unwrap();
        symlink("/etc/machine-id", tree.join("etc/machine-id")).unwrap();
        symlink("fifo", tree.join("etc/resolv.conf")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.join("etc/passwd"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from(0o644),
            0,
        )
        .unwrap();
    };
    let script = "/busybox ls /target; /busybox grep -c localhost /target/hosts; /busybox test -c /dev/null && /busybox test -d /proc/1 && /busybox test -d /sys/class && echo all";
    check(&odd, script, "hosts\n2\nall\n").await;
}
