//! Boxes on the command line with machines that really run.
//!
//! All tests share one home, so that kernel and template are made once: `BOXLITE_TEST_HOME`, or one below the target
//! directory. Each works with boxes of names of its own.

mod support;

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use boxlite_testkit::images::busybox;
use boxlite_testkit::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::pty::Terminal;
use support::{Cli, Ran};

/// A name for the image that stays the same, however the port of the registry changes.
const IMAGE: &str = "localhost/boxlite-cli-test:busybox";

/// The shared home, with the image, a kernel and a template.
fn cli() -> Cli {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    Cli::at(HOME.get_or_init(|| {
        let home = std::env::var_os("BOXLITE_TEST_HOME")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("vm-home"), PathBuf::from);
        let cli = Cli::at(&home);
        let registry = Registry::start();
        registry.push("busybox", "1", &busybox().build());
        let reference = registry.reference("busybox:1");
        cli.ok(&["pull", "-q", &reference]);
        cli.ok(&["image", "tag", &reference, IMAGE]);
        cli.ok(&["image", "rm", &reference]);
        let first = cli.run(&["run", "--rm", "--memory", "256m", IMAGE, "true"]);
        assert_eq!(first.code, 0, "{first:?}");
        home
    }))
}

/// Flags that keep a test's box small.
const SMALL: [&str; 3] = ["--memory", "256m", IMAGE];

fn run_words<'a>(flags: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    ["run"].iter().chain(flags).chain(&SMALL).chain(command).copied().collect()
}

fn run(flags: &[&str], command: &[&str]) -> Ran {
    cli().run(&run_words(flags, command))
}

/// Removes a box at the end of its test, also of one that failed.
struct Cleanup(&'static str);

impl Cleanup {
    /// Reserves `name`, removing what a test that was killed may have left.
    fn named(name: &'static str) -> Self {
        drop(Cleanup(name));
        Cleanup(name)
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        cli().run(&["rm", "-f", self.0]);
    }
}

fn inspect(name: &str) -> Value {
    let list: Value = serde_json::from_str(&cli().ok(&["inspect", name])).unwrap();
    list[0].clone()
}

/// Asks again until it is so; fails after `limit`.
#[track_caller]
fn within(limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn output_and_exit_code_are_those_of_the_command() {
    let check = |command: &[&str], code: i32, stdout: &str, stderr: &str| {
        let ran = run(&["--rm"], command);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (code, stdout, stderr),
            "{command:?}"
        );
    };
    // An empty stderr also says that a start with everything at hand is silent.
    check(&["echo", "hello"], 0, "hello\n", "");
    check(&["sh", "-c", "echo out; echo err >&2; exit 7"], 7, "out\n", "err\n");
    check(&["sh", "-c", "kill -KILL $$"], 137, "", "");
    check(&["sh", "-c", "kill -TERM $$"], 143, "", "");
    check(&["printf", "no line feed"], 0, "no line feed", "");
}

#[test]
fn failures_to_run_have_the_exit_codes_of_docker() {
    let check = |command: &[&str], code: i32, error: &str| {
        let ran = run(&["--rm", "--format=json"], command);
        let last = ran.stderr.lines().last().unwrap_or_default();
        let found: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{ran:?}"));
        assert_eq!((ran.code, &found["code"]), (code, &json!(error)), "{ran:?}");
    };
    check(&["no-such-program"], 127, "NotFound");
    check(&["/no/such/program"], 127, "NotFound");
    check(&["/etc/passwd"], 126, "Execution");
    let ran = cli().run(&["run", "--rm", "--pull=never", "localhost/none:1", "true"]);
    assert_eq!(ran.code, 125, "{ran:?}");
}

#[test]
fn what_goes_in_comes_out_byte_for_byte() {
    let bytes: Vec<u8> =
        (0..3_000_000u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut command = cli().command(&run_words(&["-i", "--rm"], &["cat"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stdout == bytes, "{} bytes came back", output.stdout.len());
}

#[test]
fn without_i_stdin_is_empty_and_left_alone() {
    let ran = cli().run_with_input(&run_words(&["--rm"], &["cat"]), b"not for the box");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn environment_directory_user_and_host_name_are_as_asked_for() {
    let flags = ["--rm", "-e", "A=1 2", "-w", "/tmp", "-u", "nobody", "--hostname", "here"];
    let ran = run(&flags, &["sh", "-c", "echo $A; pwd; id -u; hostname"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 2\n/tmp\n65534\nhere\n"), "{ran:?}");
}

#[test]
fn with_rm_nothing_is_left_and_without_it_the_box_is_kept() {
    let _cleanup = Cleanup::named("kept");
    let cli = cli();
    let ran = run(&["--rm", "--name", "not-kept"], &["true"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(cli.run(&["inspect", "not-kept"]).code, 1);

    let ran = run(&["--name", "kept"], &["sh", "-c", "echo out; echo err >&2; touch /mark; exit 3"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let info = inspect("kept");
    assert_eq!((&info["state"], &info["exit_code"]), (&json!("stopped"), &json!(3)));
    let logs = cli.run(&["logs", "kept"]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));
    let stamped = cli.ok(&["logs", "-t", "-n", "1", "kept"]);
    assert!(stamped.is_empty() || stamped.ends_with("Z out"), "{stamped}");

    let again = cli.run(&["start", "-a", "kept"]);
    assert_eq!(
        (again.code, again.stdout.as_str(), again.stderr.as_str()),
        (3, "out\n", "err\n"),
        "{again:?}"
    );
}

#[test]
fn a_detached_box_is_found_by_other_processes_and_keeps_its_disk() {
    let _cleanup = Cleanup::named("detached");
    let cli = cli();
    let ran = run(&["-d", "--name", "detached"], &["sh", "-c", "echo up; exec sleep 1000"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let id = ran.stdout.trim_end();
    assert_eq!(inspect("detached")["id"], id);
    let running = cli.ok(&["ps"]);
    assert!(running.lines().any(|line| line.starts_with(id) && line.contains(" running ")), "{running}");

    assert_eq!(cli.ok(&["exec", "detached", "sh", "-c", "echo kept > /file; hostname"]), id);
    assert_eq!(cli.run(&["exec", &id[..8], "--", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(cli.run(&["exec", "detached", "no-such-program"]).code, 127);
    assert!(cli.ok(&["exec", "-t", "detached", "tty"]).starts_with("/dev/pts/"));
    let piped = cli.run_with_input(&["exec", "-i", "detached", "wc", "-c"], &[b'x'; 100_000]);
    assert_eq!((piped.code, piped.stdout.trim()), (0, "100000"), "{piped:?}");
    assert_eq!(cli.run(&["start", "detached"]).code, 1);
    assert_eq!(cli.run(&["rm", "detached"]).code, 1);
    assert_eq!(cli.ok(&["stop", "-t", "1", "detached"]), "detached");
    assert_eq!(inspect("detached")["state"], "stopped");
    assert_eq!(cli.run(&["exec", "detached", "true"]).code, 125);

    assert_eq!(cli.ok(&["start", "detached"]), "detached");
    assert_eq!(cli.ok(&["exec", "detached", "cat", "/file"]), "kept");
    assert_eq!(cli.ok(&["restart", "-t", "1", "detached"]), "detached");
    assert_eq!(cli.ok(&["exec", "detached", "cat", "/file"]), "kept");
    assert_eq!(cli.ok(&["rm", "-f", "detached"]), "detached");
    assert_eq!(cli.run(&["inspect", "detached"]).code, 1);
}

#[test]
fn a_detached_box_with_rm_goes_when_its_command_has_ended() {
    let _cleanup = Cleanup::named("passing");
    let ran =
        run(&["-d", "--rm", "--name", "passing"], &["sh", "-c", "until [ -e /go ]; do sleep 0.05; done"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    cli().ok(&["exec", "passing", "touch", "/go"]);
    within(Duration::from_secs(30), "the box is gone", || cli().run(&["inspect", "passing"]).code == 1);
}

/// A box of `run` dies with its process; started again by `start`, it is to stay.
#[test]
fn a_box_from_the_foreground_outlives_the_start_command() {
    let _cleanup = Cleanup::named("again");
    let cli = cli();
    let script = "if [ -e /second ]; then exec sleep 1000; fi; touch /second";
    assert_eq!(run(&["--name", "again"], &["sh", "-c", script]).code, 0);
    assert_eq!(cli.ok(&["start", "again"]), "again");
    assert_eq!(cli.ok(&["exec", "again", "echo", "alive"]), "alive");
    assert_eq!(cli.ok(&["restart", "-t", "1", "again"]), "again");
    assert_eq!(cli.ok(&["exec", "again", "echo", "alive"]), "alive");
}

/// Interrupted in the middle of a start, nothing runs and no box is left.
#[test]
fn an_interrupted_start_leaves_no_box() {
    let _cleanup = Cleanup::named("too-early");
    // Removed when it ends too, should this test be too slow for the start.
    let words = run_words(&["--format=json", "--rm", "--name", "too-early"], &["sleep", "1000"]);
    let mut child = cli().command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("box_starting") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it never started");
    }
    signal(&child, Signal::INT);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert_eq!(cli().run(&["inspect", "too-early"]).code, 1);
}

#[test]
fn logs_are_followed_until_the_box_stops() {
    let _cleanup = Cleanup::named("followed");
    let cli = cli();
    let script = "echo one; until [ -e /go ]; do sleep 0.05; done; echo two";
    assert_eq!(run(&["-d", "--name", "followed"], &["sh", "-c", script]).code, 0);
    let mut child = cli.command(&["logs", "-f", "followed"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 4];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"one\n");
    cli.ok(&["exec", "followed", "touch", "/go"]);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("two\n", Some(0)));
    assert_eq!(cli.ok(&["logs", "--tail", "1", "followed"]), "two");
    let line: Value = serde_json::from_str(&cli.ok(&["logs", "-n1", "followed", "--format=json"])).unwrap();
    assert_eq!((&line["source"], &line["text"]), (&json!("stdout"), &json!("two\n")));
}

#[test]
fn files_are_copied_in_and_out_and_as_archives() {
    let _cleanup = Cleanup::named("copied");
    let cli = cli();
    assert_eq!(run(&["-d", "--name", "copied"], &["sleep", "1000"]).code, 0);
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("tree")).unwrap();
    std::fs::write(path("tree/file"), "contents").unwrap();

    cli.ok(&["cp", &path("tree/file"), "copied:/tmp/renamed"]);
    cli.ok(&["cp", &path("tree"), "copied:/tmp"]);
    assert_eq!(cli.ok(&["exec", "copied", "cat", "/tmp/renamed", "/tmp/tree/file"]), "contentscontents");
    cli.ok(&["cp", "copied:/tmp/tree", &path("back")]);
    assert_eq!(std::fs::read_to_string(path("back/file")).unwrap(), "contents");

    let archive = cli.command(&["cp", "copied:/tmp/tree", "-"]).output().unwrap();
    assert!(archive.status.success(), "{archive:?}");
    cli.ok(&["exec", "copied", "mkdir", "/again"]);
    let put = cli.run_with_input(&["cp", "-", "copied:/again"], &archive.stdout);
    assert_eq!(put.code, 0, "{put:?}");
    assert_eq!(cli.ok(&["exec", "copied", "cat", "/again/tree/file"]), "contents");

    let missing = cli.run(&["--format=json", "cp", "copied:/none", &path("x")]);
    assert_eq!((missing.code, &missing.error()["code"]), (1, &json!("NotFound")), "{missing:?}");
}

#[test]
fn a_detached_command_is_left_running() {
    let _cleanup = Cleanup::named("exec-detach");
    cli().ok(&run_words(&["-d", "--name", "exec-detach"], &["sleep", "1000"]));
    let printed = cli().ok(&["exec", "-d", "exec-detach", "sh", "-c", "echo unheard; exec sleep 1000"]);
    let pid = printed.trim_end();
    assert!(pid.parse::<u32>().is_ok_and(|pid| pid > 1), "{printed:?}");
    cli().ok(&["exec", "exec-detach", "kill", "-0", pid]);
    assert_eq!(cli().run(&["exec", "-d", "exec-detach", "no-such-program"]).code, 127);
    assert_eq!(cli().ok(&["logs", "exec-detach"]), "");
    assert_eq!(cli().run(&["exec", "-d", "-i", "exec-detach", "cat"]).code, 125);
}

#[test]
fn a_timeout_kills_the_command_and_not_the_box() {
    let _cleanup = Cleanup::named("timed");
    let cli = cli();
    assert_eq!(run(&["-d", "--name", "timed"], &["sleep", "1000"]).code, 0);
    let ran = cli.run(&["exec", "--timeout", "0.3", "timed", "sleep", "1000"]);
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(ran.stderr.starts_with("error: the command was still running at its timeout"), "{ran:?}");
    assert_eq!(cli.ok(&["exec", "timed", "echo", "alive"]), "alive");
}

/// Starts a foreground command, waits for its first line, and returns the child.
fn start(name: &str, script: &str) -> (std::process::Child, std::process::ChildStdout) {
    let mut command = cli().command(&run_words(&["--name", name], &["sh", "-c", script]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 3];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"up\n");
    (child, stdout)
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}

#[test]
fn the_first_interrupt_is_the_commands_own() {
    let check = |name: &'static str, number: Signal, trap: &str| {
        let _cleanup = Cleanup::named(name);
        let script = format!("trap 'echo caught; exit 5' {trap}; echo up; while :; do sleep 0.05; done");
        let (mut child, mut stdout) = start(name, &script);
        signal(&child, number);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("caught\n", Some(5)));
    };
    check("interrupted", Signal::INT, "INT");
    check("terminated", Signal::TERM, "TERM");
}

#[test]
fn the_second_interrupt_kills() {
    let _cleanup = Cleanup::named("stubborn");
    let script = "trap 'echo no' INT; echo up; while :; do sleep 0.05; done";
    let (mut child, mut stdout) = start("stubborn", script);
    signal(&child, Signal::INT);
    let mut answer = [0; 3];
    stdout.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"no\n");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(inspect("stubborn")["state"], "stopped");
}

#[test]
fn a_box_in_the_foreground_dies_with_the_command_line() {
    let _cleanup = Cleanup::named("orphan");
    let (mut child, _stdout) = start("orphan", "echo up; sleep 1000");
    child.kill().unwrap();
    child.wait().unwrap();
    within(Duration::from_secs(5), "the box has stopped", || inspect("orphan")["state"] == "stopped");
}

#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let mut command = cli().command(&run_words(&["--rm", "--name", "yes"], &["yes"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut some = [0; 1000];
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""), "{ran:?}");
    assert_eq!(cli().run(&["inspect", "yes"]).code, 1);
}

#[test]
fn a_terminal_is_a_terminal_on_both_ends() {
    let mut terminal = Terminal::start(cli().command(&run_words(&["-it", "--rm"], &["sh"])));
    terminal.expect("# ");
    assert!(!terminal.is_cooked());
    terminal.send("stty size; tty\r");
    terminal.expect("30 100");
    terminal.expect("/dev/pts/");
    terminal.expect("# ");
    // The window changes: the shell in the box has it before it answers the next line.
    terminal.resize(41, 87);
    kill_process(Pid::from_raw(terminal.pid() as i32).unwrap(), Signal::WINCH).unwrap();
    terminal.send("while [ \"$(stty size)\" != '41 87' ]; do :; done; echo re''sized\r");
    terminal.expect("resized");
    // Ctrl-C is a key: it ends the sleep and not the shell.
    terminal.send("sh -c \"echo sle''eping; exec sleep 1000\"\r");
    terminal.expect("sleeping");
    terminal.send("\x03");
    terminal.expect("# ");
    terminal.send("exit 4\r");
    assert_eq!(terminal.wait(), 4);
    assert!(terminal.is_cooked());
}

#[test]
fn the_terminal_is_put_back_when_a_signal_ends_us() {
    let mut terminal = Terminal::start(cli().command(&run_words(&["-it", "--rm"], &["sh"])));
    terminal.expect("# ");
    assert!(!terminal.is_cooked());
    let pid = Pid::from_raw(terminal.pid() as i32).unwrap();
    // An interactive shell ignores the first one.
    terminal.send("echo re''ady\r");
    terminal.expect("ready");
    kill_process(pid, Signal::TERM).unwrap();
    terminal.send("echo still''here\r");
    terminal.expect("stillhere");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(terminal.wait(), 143);
    assert!(terminal.is_cooked());
}

/// `run` on a home that holds nothing but a kernel, which would have to be fetched from a distribution.
#[test]
fn the_first_run_of_a_home_says_what_it_makes_and_the_second_is_silent() {
    let registry = Registry::start();
    registry.push("busybox", "1", &busybox().build());
    let reference = registry.reference("busybox:1");
    let cli = Cli::new();
    copy_tree(&self::cli().home().join("kernels"), &cli.home().join("kernels"));

    let words = ["run", "--rm", "--memory", "192m", &reference, "echo", "hello"];
    let first = cli.run(&words);
    assert_eq!((first.code, first.stdout.as_str()), (0, "hello\n"), "{first:?}");
    let said: Vec<&str> = first.stderr.lines().collect();
    let place = |text: &str| {
        said.iter().position(|line| line.starts_with(text)).unwrap_or_else(|| panic!("{said:?}"))
    };
    let pulled = place(&format!("Pulled {reference} in "));
    assert!(place(&format!("Pulling {reference}: 1 layer, ")) < pulled);
    assert!(pulled < place("Booting a template"));
    assert!(place("Booting a template") < place("Booted a template in "));

    let second = cli.run(&words);
    assert_eq!(
        (second.code, second.stdout.as_str(), second.stderr.as_str()),
        (0, "hello\n", ""),
        "{second:?}"
    );
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_second_box_needs_nothing_made_and_says_nothing() {
    let ran = run(&["--rm"], &["true"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{ran:?}");
    let events = run(&["--rm", "--format", "json"], &["true"]);
    for once in ["\"kernel\"", "\"template\""] {
        assert!(!events.stderr.contains(once), "{}", events.stderr);
    }
    assert!(events.stderr.contains("\"box_started\""), "{}", events.stderr);
}

#[test]
fn the_home_is_sound_with_boxes_in_it() {
    let report = cli().json(&["system", "check"]);
    assert_eq!(report["findings"], json!([]));
    let kernels = cli().json(&["kernel", "ls"]);
    assert!(kernels.as_array().unwrap().iter().any(|kernel| kernel["current"] == true), "{kernels}");
    assert_eq!(cli().run(&["doctor"]).code, 0);
}
