//! The command line itself: what is offered, what is refused and how. Nothing here opens a home.

mod support;

use std::process::{Command, Stdio};

use support::Cli;

/// Every command, as it is typed.
const COMMANDS: &[&str] = &[
    "",
    "run",
    "create",
    "start",
    "stop",
    "restart",
    "exec",
    "ps",
    "rm",
    "cp",
    "logs",
    "inspect",
    "pull",
    "images",
    "image",
    "image inspect",
    "image tag",
    "image rm",
    "image export",
    "system",
    "system df",
    "system check",
    "system info",
    "doctor",
    "kernel",
    "kernel install",
    "kernel ls",
    "completion",
    "version",
];

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn help(command: &str) -> String {
    let mut line = words(command);
    line.push("--help");
    Cli::new().ok(&line)
}

/// The help of all commands as one text; the global options, which are the same everywhere, only once.
fn whole_help() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        let page = help(command);
        let (own, global) = page.split_once("\nGlobal options:\n").unwrap();
        let after = global.split_once("\n\n").map_or("", |(_, after)| after);
        let shown = if command.is_empty() { page.as_str() } else { own };
        text.push_str(&format!("===== boxlite {command}\n{}\n\n", shown.trim_end()));
        if !after.is_empty() && !command.is_empty() {
            text.push_str(&format!("{after}\n\n"));
        }
    }
    text
}

/// Changes of the command line show up in review: `BOXLITE_BLESS=1` writes the file anew.
#[test]
fn the_help_is_as_committed() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");
    let help = whole_help();
    if std::env::var_os("BOXLITE_BLESS").is_some() {
        std::fs::write(file, &help).unwrap();
    }
    assert_eq!(
        help,
        std::fs::read_to_string(file).unwrap(),
        "run this test with BOXLITE_BLESS=1 if this is meant"
    );
}

#[test]
fn every_command_is_in_this_list_and_every_line_of_help_says_something() {
    for command in COMMANDS {
        let page = help(command);
        if let Some((_, list)) = page.split_once("\nCommands:\n") {
            let list = list.split("\n\n").next().unwrap();
            for name in list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
                let name = name.split_whitespace().next().unwrap();
                let whole = format!("{command} {name}").trim().to_owned();
                assert!(COMMANDS.contains(&whole.as_str()), "{whole}");
            }
        }
        for line in page.lines().filter(|line| line.trim_start().starts_with("--") || line.starts_with("  -"))
        {
            let flag = line.trim();
            assert!(flag.contains("  ") || flag.contains("> "), "`{flag}` of `{command}` says nothing");
        }
    }
}

#[test]
fn nothing_is_promised_that_is_not_there() {
    let help = whole_help().to_lowercase();
    for absent in ["network", "publish", "--port", "volume", "mount", "--url", "push", "login", "snapshot"] {
        assert!(!help.contains(absent), "help speaks of {absent}");
    }
}

/// Refused before anything is touched: what is asked, the exit code, words of the message, words of the hint.
#[test]
fn bad_command_lines_are_refused_with_a_message_and_a_hint() {
    let check = |line: &str, code: i32, message: &str, hint: &str| {
        let cli = Cli::new();
        let ran = cli.run(&words(line));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {ran:?}");
        let (first, second) = ran.stderr.trim_end().split_once('\n').unwrap_or((ran.stderr.trim_end(), ""));
        assert!(first.starts_with("error: ") && first.contains(message), "{line}: {ran:?}");
        assert!(!first.ends_with('.'), "{line}: {ran:?}");
        assert!(second.starts_with("hint: ") && second.contains(hint), "{line}: {ran:?}");

        let json = cli.run(&["--format", "json"].into_iter().chain(words(line)).collect::<Vec<_>>());
        assert_eq!((json.code, json.stderr.lines().count()), (code, 1), "{line}: {json:?}");
        let error = json.error();
        assert_eq!(error["code"], "InvalidArgument", "{line}");
        assert_eq!(format!("error: {}", error["message"].as_str().unwrap()), first, "{line}");
        let fields: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["code", "message", "operation", "context", "retryable", "hint", "source"]);

        assert!(!cli.home().exists(), "{line} made a home");
    };
    check("runn", 2, "`runn`", "`run`");
    check("ps --format yaml", 2, "`yaml`", "`boxlite ps --help`");
    check("pull", 2, "<IMAGE>", "`boxlite pull --help`");
    check("pull a --platform linux", 2, "malformed platform `linux`", "os/architecture");
    check("kernel install --image x", 2, "--modules", "`boxlite kernel install --help`");
    check("stop --time soon x", 2, "`soon`", "--help");
    check("completion tcsh", 2, "`tcsh`", "--help");
    check("inspect", 2, "<BOX>", "`boxlite inspect --help`");
    check("image rm", 2, "<IMAGE>", "`boxlite image rm --help`");
    check("run", 125, "<IMAGE>", "boxlite run");
    check("run --memory 5x a", 125, "malformed size `5x`", "512m");
    check("run --memory 0 a", 125, "malformed size `0`", "512m");
    check("run --disk-size big a", 125, "malformed size `big`", "2g");
    check("run --cpus many a", 125, "`many`", "--help");
    check("run --pull sometimes a", 125, "`sometimes`", "--help");
    check("run --nam x a", 125, "`--nam`", "`--name`");
    check("run -p 80:80 a", 125, "`-p`", "boxlite run");
    check("run --volume /a:/b a", 125, "`--volume`", "boxlite run");
    check("exec box", 125, "BOX", "boxlite exec");
    check("exec --timeout never box ls", 125, "malformed timeout `never`", "0.5");
}

#[test]
fn without_a_command_the_help_goes_to_stderr() {
    for line in ["", "image", "system", "kernel"] {
        let ran = Cli::new().run(&words(line));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}");
        assert_eq!(ran.stderr.trim_end(), help(line).trim_end(), "{line}");
    }
}

#[test]
fn the_version_is_told_to_people_and_programs() {
    let cli = Cli::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(cli.ok(&["--version"]), format!("boxlite {version}"));
    assert!(cli.ok(&["version"]).starts_with(&format!("boxlite {version} (linux/")));
    assert_eq!(cli.json(&["version"])["version"], version);
    assert!(!cli.home().exists());
}

/// The scripts name every command, and the shells that are installed accept them.
#[test]
fn completion_scripts_are_accepted_by_their_shells() {
    let cli = Cli::new();
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = cli.ok(&["completion", shell]);
        for command in ["restart", "doctor", "insecure-registry"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &script).unwrap();
        match Command::new(shell).args(check).arg(file.path()).stdin(Stdio::null()).output() {
            Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}"),
            Err(_) => eprintln!("skipped for {shell}: it is not installed here"),
        }
    }
}

/// `complete` in bash really proposes the commands.
#[test]
fn bash_completes_a_command_and_a_flag() {
    let cli = Cli::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cli.ok(&["completion", "bash"])).unwrap();
    let propose = |line: &str| {
        let program = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                       _boxlite boxlite \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                       echo \"${COMPREPLY[@]}\"";
        let output = Command::new("bash")
            .args(["--norc", "-c", program, "bash"])
            .arg(file.path())
            .args(line.split(' '))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(propose("boxlite res"), "restart");
    assert_eq!(propose("boxlite image ins"), "inspect");
    assert_eq!(propose("boxlite run --memo"), "--memory");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_worth_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Cli::new().command(&["completion", "bash"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "{output:?}");
}

#[test]
fn of_a_flag_given_twice_the_last_one_counts() {
    let json = Cli::new().ok(&["--format", "table", "version", "--format", "json"]);
    assert!(json.starts_with('{'), "{json}");
}
