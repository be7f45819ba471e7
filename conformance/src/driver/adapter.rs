//! One adapter process: requests out, answers back to whoever asked, and everything it does wrong held against it.
//!
//! Its invariant is the protocol's: each request is answered exactly once. A second answer, an answer nobody asked for, or a
//! line that is none is a complaint, and fails the scenario even if all steps pass.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::scenario::{CAPABILITIES, USUAL};

/// Longest beginning of an adapter's stderr that is kept.
const STDERR_BYTES: usize = 16 << 10;

/// What an adapter says of itself.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Version of the protocol it speaks.
    pub protocol: u32,
    /// Its surface.
    pub surface: String,
    /// Version of what it adapts.
    pub version: String,
    /// What it can do besides operations.
    #[serde(default)]
    pub capabilities: std::collections::BTreeSet<String>,
    /// What it cannot do although every library can.
    #[serde(default)]
    pub lacks: std::collections::BTreeSet<String>,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The answer, or the fields of an error.
    pub outcome: Result<Json, Json>,
    /// Progress events before it.
    pub progress: Vec<Json>,
    /// When it came.
    pub at: std::time::Instant,
}

/// A request that was sent.
pub struct Pending {
    /// Its id.
    pub id: u64,
    answer: oneshot::Receiver<Answer>,
}

/// A running adapter.
pub struct Adapter {
    child: Child,
    /// Process group of the adapter and all it starts.
    pub group: u32,
    lines: Option<mpsc::UnboundedSender<String>>,
    shared: Arc<Mutex<Shared>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<Option<ChildStdin>>,
    stderr: JoinHandle<Vec<u8>>,
}

#[derive(Default)]
struct Shared {
    next_id: u64,
    waiting: HashMap<u64, Waiting>,
    complaints: Vec<String>,
    ended: bool,
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    progress: Vec<Json>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Adapter {
    /// Starts an adapter and waits for its first line.
    ///
    /// # Errors
    /// If it cannot be started, says nothing within `limit`, or nothing sensible.
    pub async fn start(command: &[String], limit: Duration) -> Result<(Self, Hello)> {
        let (program, arguments) = command.split_first().context("the adapter has no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{program}`"))?;
        let group = child.id().context("the adapter has no process id")?;
        let stdin = child.stdin.take().context("the adapter has no stdin")?;
        let stdout = child.stdout.take().context("the adapter has no stdout")?;
        let stderr = child.stderr.take().context("the adapter has no stderr")?;
        let stderr = tokio::spawn(keep(stderr));
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(limit, lines.next_line()).await;
        let hello = match first {
            Ok(Ok(Some(line))) => read_hello(&line),
            Ok(Ok(None)) => Err(anyhow::anyhow!("the adapter ended without a word")),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(anyhow::anyhow!("the adapter said nothing within {} s", limit.as_secs())),
        };
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => {
                drop(child);
                let said = stderr.await.unwrap_or_default();
                bail!("{error:#}\n{}", String::from_utf8_lossy(&said).trim_end());
            }
        };
        let shared = Arc::new(Mutex::new(Shared::default()));
        let reader = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    lock(&shared).hear(&line);
                }
                let mut shared = lock(&shared);
                shared.ended = true;
                shared.waiting.clear();
            }
        });
        let (sender, receiver) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(stdin, receiver));
        Ok((Adapter { child, group, lines: Some(sender), shared, reader, writer, stderr }, hello))
    }

    /// Sends a request.
    pub fn request(&self, operation: &str, on: Option<&str>, made: Option<&str>, arguments: Json) -> Pending {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut shared = lock(&self.shared);
            shared.next_id += 1;
            let id = shared.next_id;
            if !shared.ended {
                shared.waiting.insert(id, Waiting { answer: sender, progress: Vec::new() });
            }
            id
        };
        self.say(&json!({ "id": id, "op": operation, "on": on, "as": made, "args": arguments }));
        Pending { id, answer }
    }

    /// Asks for a request to be given up.
    pub fn cancel(&self, id: u64) {
        self.say(&json!({ "cancel": id }));
    }

    fn say(&self, line: &Json) {
        if let Some(lines) = &self.lines {
            // A writer that is gone means an adapter that is gone; whoever waits for the answer hears of it.
            let _ = lines.send(format!("{line}\n"));
        }
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// If there is none within `limit`, or the adapter ended.
    pub async fn answer(&self, pending: Pending, limit: Duration) -> Result<Answer> {
        match tokio::time::timeout(limit, pending.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => match lock(&self.shared).complaints.last() {
                Some(complaint) => bail!("{complaint}"),
                None => bail!("the adapter ended before it answered"),
            },
            Err(_) => bail!("no answer within {} s", limit.as_secs()),
        }
    }

    /// Ends the adapter as a user would, by the end of its stdin, and says what was wrong with it, and what it printed on
    /// stderr.
    pub async fn end(mut self, limit: Duration) -> (Vec<String>, String) {
        self.lines = None;
        let left = tokio::time::timeout(limit, async {
            // Its stdin closes with the last line.
            drop((&mut self.writer).await);
            self.child.wait().await
        });
        let fault = match left.await {
            Ok(Ok(status)) if status.success() => None,
            Ok(Ok(status)) => Some(describe(status)),
            Ok(Err(error)) => Some(format!("the adapter cannot be waited for: {error}")),
            Err(_) => {
                Some(format!("the adapter did not exit within {} s of the end of its stdin", limit.as_secs()))
            }
        };
        self.kill_group();
        let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.reader).await;
        let said = tokio::time::timeout(Duration::from_secs(2), &mut self.stderr).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        let mut complaints = std::mem::take(&mut lock(&self.shared).complaints);
        complaints.extend(fault);
        (complaints, String::from_utf8_lossy(&said).into_owned())
    }

    fn kill_group(&self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.group as i32) {
            // Nobody is left, usually.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
        self.stderr.abort();
    }
}

fn describe(status: ExitStatus) -> String {
    format!("the adapter ended with {status} instead of exit status 0")
}

fn read_hello(line: &str) -> Result<Hello> {
    let line: Json = serde_json::from_str(line).with_context(|| format!("the first line is `{line}`"))?;
    let hello: Hello = serde_json::from_value(line["hello"].clone()).context("the adapter's hello")?;
    if hello.protocol != 1 {
        bail!("the adapter speaks version {} of the protocol", hello.protocol);
    }
    // A name that is misspelled would have scenarios skipped for ever.
    let known = |name: &&String| CAPABILITIES.contains(&name.as_str()) || USUAL.contains(&name.as_str());
    let lacks = |name: &&String| USUAL.contains(&name.as_str());
    if let Some(name) = hello.capabilities.iter().find(|name| !known(name)) {
        bail!("the protocol has no capability `{name}`");
    }
    if let Some(name) = hello.lacks.iter().find(|name| !lacks(name)) {
        bail!("the protocol has no `{name}` that a surface could lack");
    }
    Ok(hello)
}

impl Shared {
    fn hear(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Json>(line) else {
            return self.complaints.push(format!("the adapter printed `{line}`"));
        };
        if let (Some(id), Some(event)) = (message["progress"].as_u64(), message.get("event")) {
            match self.waiting.get_mut(&id) {
                Some(waiting) => waiting.progress.push(event.clone()),
                None => self.complaints.push(format!("progress of request {id}, which is over: {event}")),
            }
            return;
        }
        let outcome = match (message.get("ok"), message.get("error"), message.get("adapter_error")) {
            (Some(ok), None, None) => Ok(ok.clone()),
            (None, Some(error), None) => Err(error.clone()),
            (None, None, Some(error)) => {
                self.complaints.push(format!("adapter error: {}", error.as_str().unwrap_or_default()));
                // Whoever waits hears the complaint.
                if let Some(id) = message["id"].as_u64() {
                    self.waiting.remove(&id);
                }
                return;
            }
            _ => return self.complaints.push(format!("the adapter printed `{line}`")),
        };
        let waiting = message["id"].as_u64().and_then(|id| self.waiting.remove(&id));
        match waiting {
            Some(waiting) => {
                let answer = Answer { outcome, progress: waiting.progress, at: std::time::Instant::now() };
                // The step may have given up already.
                let _ = waiting.answer.send(answer);
            }
            None => self.complaints.push(format!("an answer nobody waits for, or a second one: `{line}`")),
        }
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) -> Option<ChildStdin> {
    while let Some(line) = lines.recv().await {
        stdin.write_all(line.as_bytes()).await.ok()?;
    }
    drop(stdin);
    None
}

async fn keep(mut stderr: tokio::process::ChildStderr) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count.min(STDERR_BYTES.saturating_sub(kept.len()))]);
    }
    kept
}
