//! A run of the program that goes on: a command in a box, or a log that is followed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::invoke::last_error;
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

/// Exit code that means the timeout of the command.
const TIMED_OUT: i32 = 124;

/// Exit codes behind which there may be an error of the program's own.
const OWN_FAILURES: [i32; 4] = [1, 125, 126, 127];

/// A run that goes on.
pub struct Running {
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Mutex<Option<ChildStdout>>,
    stderr: Mutex<Option<ChildStderr>>,
    /// What was read of a stderr that is kept back, because its last line may be an error.
    said: Mutex<Vec<u8>>,
}

impl Running {
    /// A command in a box.
    pub fn command(mut child: Child) -> Self {
        Running {
            stdin: Mutex::new(child.stdin.take()),
            stdout: Mutex::new(child.stdout.take()),
            stderr: Mutex::new(child.stderr.take()),
            child: Mutex::new(child),
            said: Mutex::default(),
        }
    }

    /// A log; it takes no input.
    pub fn log(child: Child) -> Self {
        let running = Running::command(child);
        Running { stdin: Mutex::new(None), ..running }
    }

    /// Carries out an operation on it.
    ///
    /// # Errors
    /// The error the program prints.
    pub async fn perform(&self, request: &Request, arguments: &mut Arguments) -> Result<Json, Fault> {
        match request.op.as_str() {
            "execution.write" => {
                let text: String = arguments.take("bytes")?;
                let bytes = STANDARD.decode(text).map_err(|error| Fault::Adapter(error.to_string()))?;
                let mut stdin = self.stdin.lock().await;
                let stdin = stdin.as_mut().ok_or_else(|| Fault::Adapter("stdin is closed".into()))?;
                stdin.write_all(&bytes).await.map_err(broken)?;
                stdin.flush().await.map_err(broken)?;
                Ok(Json::Null)
            }
            "execution.close_stdin" => {
                drop(self.stdin.lock().await.take());
                Ok(Json::Null)
            }
            "execution.read" => match arguments.take::<String>("stream")?.as_str() {
                "stdout" => self.read_stdout().await,
                "stderr" => read_some(self.stderr.lock().await.as_mut()).await.map(encoded),
                other => Err(Fault::Adapter(format!("there is no stream `{other}`"))),
            },
            "execution.output" => self.output().await,
            "execution.wait" => {
                let output = self.output().await?;
                Ok(output["status"].clone())
            }
            "logs.next" => self.next_entry().await,
            other => Err(Fault::Adapter(format!("the command line has no `{other}`"))),
        }
    }

    async fn read_stdout(&self) -> Result<Json, Fault> {
        let bytes = read_some(self.stdout.lock().await.as_mut()).await?;
        if bytes.is_empty() {
            // The end is one only if the program says so too.
            self.conclude().await?;
        }
        Ok(encoded(bytes))
    }

    async fn output(&self) -> Result<Json, Fault> {
        drop(self.stdin.lock().await.take());
        let stdout = async { read_all(self.stdout.lock().await.as_mut()).await };
        let stderr = async { read_all(self.stderr.lock().await.as_mut()).await };
        let (stdout, stderr) = tokio::join!(stdout, stderr);
        self.said.lock().await.extend(stderr?);
        let (status, printed) = self.conclude().await?;
        Ok(
            json!({ "stdout": STANDARD.encode(stdout?), "stderr": STANDARD.encode(printed), "status": status }),
        )
    }

    /// Waits for the end. Returns the status and what the command itself printed on stderr.
    async fn conclude(&self) -> Result<(Json, Vec<u8>), Fault> {
        let ended = self.child.lock().await.wait().await.map_err(broken)?;
        let mut said = self.said.lock().await;
        said.extend(read_all(self.stderr.lock().await.as_mut()).await?);
        let code = ended.code();
        if code == Some(TIMED_OUT)
            && let Some((error, before)) = last_error(&said)
            && error["code"] == "Timeout"
        {
            return Ok((json!({ "code": null, "timed_out": true }), before.to_vec()));
        }
        if code.is_none_or(|code| OWN_FAILURES.contains(&code))
            && let Some((error, _)) = last_error(&said)
        {
            return Err(Fault::Error(error));
        }
        Ok((json!({ "code": code, "timed_out": false }), said.clone()))
    }

    async fn next_entry(&self) -> Result<Json, Fault> {
        let out = read_some(self.stdout.lock().await.as_mut()).await?;
        if !out.is_empty() {
            return Ok(json!({ "source": "stdout", "bytes": encoded(out) }));
        }
        let err = read_some(self.stderr.lock().await.as_mut()).await?;
        if !err.is_empty() {
            self.said.lock().await.extend(&err);
            let code = self.child.lock().await.wait().await.map_err(broken)?.code();
            if code != Some(0)
                && let Some((error, _)) = last_error(&err)
            {
                return Err(Fault::Error(error));
            }
            return Ok(json!({ "source": "stderr", "bytes": encoded(err) }));
        }
        Ok(Json::Null)
    }
}

fn encoded(bytes: Vec<u8>) -> Json {
    STANDARD.encode(bytes).into()
}

async fn read_some(stream: Option<&mut (impl AsyncRead + Unpin)>) -> Result<Vec<u8>, Fault> {
    let mut buffer = vec![0; 64 << 10];
    let count = match stream {
        Some(stream) => stream.read(&mut buffer).await.map_err(broken)?,
        None => 0,
    };
    buffer.truncate(count);
    Ok(buffer)
}

async fn read_all(stream: Option<&mut (impl AsyncRead + Unpin)>) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.read_to_end(&mut bytes).await.map_err(broken)?;
    }
    Ok(bytes)
}

fn broken(error: std::io::Error) -> Fault {
    Fault::Adapter(format!("the program broke off: {error}"))
}
