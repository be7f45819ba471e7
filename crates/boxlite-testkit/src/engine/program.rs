//! The programs of a fake box.
//!
//! | program | does |
//! |---|---|
//! | `true`, `false`, `exit N` | exit |
//! | `echo WORDS`, `stderr WORDS` | print a line |
//! | `cat` | copies stdin to stdout; `cat FILE` prints a file |
//! | `yes N` | prints N bytes |
//! | `sleep` | waits until it is killed |
//! | `printenv [NAME]`, `pwd`, `whoami`, `hostname` | say what they were given |
//! | `ready-then-sleep` | prints `ready`, then waits until it is killed |

use std::time::Duration;

use boxlite_protocol::{Channel, Exec, WireError};
use boxlite_types::{ErrorCode, ExitStatus};

use super::machine::Machine;
use super::stream::Process;

const PROGRAMS: [&str; 13] = [
    "true",
    "false",
    "exit",
    "echo",
    "stderr",
    "cat",
    "yes",
    "sleep",
    "printenv",
    "pwd",
    "whoami",
    "hostname",
    "ready-then-sleep",
];

/// Says what is wrong with a command before it begins.
pub(super) fn check(exec: &Exec) -> Result<(), WireError> {
    let program = exec.argv.first().map(|program| String::from_utf8_lossy(program)).unwrap_or_default();
    if !PROGRAMS.contains(&&*program) {
        return Err(WireError::new(ErrorCode::NotFound, format!("there is no program `{program}`")));
    }
    if exec.user == "nobody-knows" {
        return Err(WireError::new(ErrorCode::InvalidArgument, format!("there is no user `{}`", exec.user)));
    }
    Ok(())
}

/// Runs a command to its end.
pub(super) async fn run(machine: &Machine, process: &Process, exec: &Exec) -> ExitStatus {
    let timeout = async {
        match exec.timeout_ms {
            Some(timeout) => tokio::time::sleep(Duration::from_millis(timeout)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = process.killed.cancelled() => {
            ExitStatus { signal: process.killed_by(), ..ExitStatus::default() }
        }
        () = timeout => ExitStatus { signal: Some(9), timed_out: true, ..ExitStatus::default() },
        code = execute(machine, process, exec) => ExitStatus::exited(code),
    }
}

async fn execute(machine: &Machine, process: &Process, exec: &Exec) -> i32 {
    let words: Vec<String> =
        exec.argv.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let line = |words: &[String]| format!("{}\n", words.join(" ")).into_bytes();
    let number = || words.get(1).and_then(|word| word.parse::<u64>().ok());
    let stdout = |bytes: Vec<u8>| async move { process.write(Channel::Stdout, &bytes).await };
    match words[0].as_str() {
        "true" => {}
        "false" => return 1,
        "exit" => return number().unwrap_or(0) as i32,
        "echo" => stdout(line(&words[1..])).await,
        "stderr" => process.write(Channel::Stderr, &line(&words[1..])).await,
        "cat" if words.len() > 1 => {
            let content = machine.files.lock().unwrap().read(&words[1]);
            match content {
                Some(content) => stdout(content).await,
                None => return 1,
            }
        }
        "cat" => loop {
            let bytes = process.read().await;
            if bytes.is_empty() {
                break;
            }
            stdout(bytes).await;
        },
        "yes" => {
            let mut left = number().unwrap_or(0) as usize;
            let chunk = b"y\n".repeat(32 * 1024);
            while left > 0 {
                let count = left.min(chunk.len());
                process.write(Channel::Stdout, &chunk[..count]).await;
                left -= count;
            }
        }
        "sleep" => std::future::pending().await,
        "ready-then-sleep" => {
            stdout(b"ready\n".to_vec()).await;
            std::future::pending::<()>().await;
        }
        "printenv" => {
            let entries = exec.env.iter().map(|entry| String::from_utf8_lossy(entry).into_owned());
            for entry in entries {
                let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
                match words.get(1) {
                    Some(wanted) if wanted == name => stdout(format!("{value}\n").into_bytes()).await,
                    Some(_) => {}
                    None => stdout(format!("{entry}\n").into_bytes()).await,
                }
            }
        }
        "pwd" => stdout([exec.cwd.as_slice(), b"\n"].concat()).await,
        "whoami" => stdout(format!("{}\n", exec.user).into_bytes()).await,
        "hostname" => stdout(format!("{}\n", machine.hostname()).into_bytes()).await,
        other => unreachable!("`{other}` was checked before"),
    }
    0
}
