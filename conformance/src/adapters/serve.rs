//! The adapter's side of the protocol: lines in, requests begun in order, one reply each, whenever they end.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio_util::sync::CancellationToken;

/// One request, as it came.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The driver's number for it.
    pub id: u64,
    /// The operation.
    pub op: String,
    /// The handle it is about.
    pub on: Option<String>,
    /// The handle it makes.
    #[serde(rename = "as")]
    pub made: Option<String>,
    /// Arguments.
    #[serde(default)]
    pub args: Json,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Fault {
    /// The library said no: the fields of its error.
    Error(Json),
    /// The adapter could not even ask.
    Adapter(String),
}

impl From<boxlite::Error> for Fault {
    fn from(error: boxlite::Error) -> Self {
        Fault::Error(
            serde_json::to_value(error).unwrap_or_else(|error| json!({ "message": error.to_string() })),
        )
    }
}

impl Fault {
    /// The answer to a request that was given up.
    pub fn cancelled() -> Self {
        Fault::Error(json!({ "code": "Cancelled", "message": "given up by the caller" }))
    }
}

/// Where a request says what happens before it ends.
pub type Progress = Arc<dyn Fn(Json) + Send + Sync>;

/// What an adapter adapts.
pub trait Surface: Send + Sync + 'static {
    /// Returns the name of the surface.
    fn name(&self) -> &'static str;

    /// Returns what it can do besides operations.
    fn capabilities(&self) -> &'static [&'static str];

    /// Returns what it cannot do although every library can.
    fn lacks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Carries a request out. It is polled once before the next request is read.
    fn perform(
        self: Arc<Self>,
        request: Request,
        progress: Progress,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<Json, Fault>> + Send;
}

/// Serves a surface until `input` ends. Has to run on an executor with one thread, which begins tasks in order.
///
/// # Errors
/// If `input` or `output` breaks, or a line is no request.
pub async fn serve<S: Surface>(
    surface: Arc<S>,
    input: impl AsyncBufRead + Unpin,
    output: impl Write + Send + 'static,
) -> Result<()> {
    let output = Arc::new(Mutex::new(output));
    let hello = json!({
        "protocol": 1,
        "surface": surface.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "capabilities": surface.capabilities(),
        "lacks": surface.lacks(),
    });
    say(&output, &json!({ "hello": hello }));
    let running: Arc<Mutex<HashMap<u64, CancellationToken>>> = Arc::default();
    let mut lines = input.lines();
    while let Some(line) = lines.next_line().await.context("reading stdin")? {
        let message: Json = serde_json::from_str(&line).with_context(|| format!("the line `{line}`"))?;
        if let Some(id) = message["cancel"].as_u64() {
            if let Some(token) = lock(&running).get(&id) {
                token.cancel();
            }
            continue;
        }
        let request: Request =
            serde_json::from_value(message).with_context(|| format!("the line `{line}`"))?;
        let (id, token) = (request.id, CancellationToken::new());
        lock(&running).insert(id, token.clone());
        let progress: Progress = Arc::new({
            let output = output.clone();
            move |event| say(&output, &json!({ "progress": id, "event": event }))
        });
        let (surface, output, running) = (surface.clone(), output.clone(), running.clone());
        tokio::spawn(async move {
            let answer = surface.perform(request, progress, token).await;
            lock(&running).remove(&id);
            say(
                &output,
                &match answer {
                    Ok(value) => json!({ "id": id, "ok": value }),
                    Err(Fault::Error(error)) => json!({ "id": id, "error": error }),
                    Err(Fault::Adapter(text)) => json!({ "id": id, "adapter_error": text }),
                },
            );
        });
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say<W: Write>(output: &Mutex<W>, line: &Json) {
    let mut output = lock(output);
    // A driver that is gone has ended our stdin too.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
