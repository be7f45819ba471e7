//! The registry as a program: one JSON object per line both ways, described in `REGISTRY.md`.
//!
//! Requests are taken in order; those that wait for a gate do not hold up the ones behind them. The program ends when its
//! stdin does, so that a test that dies takes its registry along.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use boxlite_testkit::registry::Recorded;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::{AuthDescription, ImageDescription, RuleDescription, Stage, TargetDescription};

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Order {
    Push { name: String, image: ImageDescription },
    Rule { rule: RuleDescription },
    Heal {},
    RemoveBlob { digest: String },
    Require { auth: Option<AuthDescription> },
    Requests { target: Option<TargetDescription> },
    ForgetRequests {},
    GateReached { gate: String, count: Option<usize> },
    GateAbandoned { gate: String },
    GateOpen { gate: String },
}

/// Serves until `input` ends. The first line of `output` says where.
///
/// # Errors
/// If `input` or `output` breaks.
pub async fn serve(input: impl AsyncBufRead + Unpin, output: impl Write + Send + 'static) -> Result<()> {
    let output = Arc::new(Mutex::new(output));
    let stage = Arc::new(Stage::start());
    say(&output, &json!({ "host": stage.host(), "url": format!("http://{}", stage.host()) }))?;
    let mut lines = input.lines();
    while let Some(line) = lines.next_line().await.context("reading stdin")? {
        if line.trim().is_empty() {
            continue;
        }
        let mut request: Value = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => {
                say(&output, &json!({ "id": null, "error": format!("not JSON: {error}") }))?;
                continue;
            }
        };
        let id = request.as_object_mut().and_then(|members| members.remove("id")).unwrap_or_default();
        let order = match serde_json::from_value::<Order>(request) {
            Ok(order) => order,
            Err(error) => {
                say(&output, &json!({ "id": id, "error": error.to_string() }))?;
                continue;
            }
        };
        if matches!(order, Order::GateReached { .. } | Order::GateAbandoned { .. }) {
            let (stage, output) = (stage.clone(), output.clone());
            tokio::spawn(async move {
                let answer = carry_out(&stage, order).await;
                // Without a reader the test is over.
                let _ = say(&output, &reply(&id, answer));
            });
        } else {
            let answer = carry_out(&stage, order).await;
            say(&output, &reply(&id, answer))?;
        }
    }
    Ok(())
}

fn reply(id: &Value, answer: Result<Value>) -> Value {
    match answer {
        Ok(value) => json!({ "id": id, "ok": value }),
        Err(error) => json!({ "id": id, "error": format!("{error:#}") }),
    }
}

async fn carry_out(stage: &Stage, order: Order) -> Result<Value> {
    match order {
        Order::Push { name, image } => Ok(serde_json::to_value(stage.push(&name, &image)?)?),
        Order::Rule { rule } => stage.rule(&rule).map(|()| Value::Null),
        Order::Heal {} => {
            stage.heal();
            Ok(Value::Null)
        }
        Order::RemoveBlob { digest } => stage.remove_blob(&digest).map(|()| Value::Null),
        Order::Require { auth } => {
            stage.require(auth.as_ref());
            Ok(Value::Null)
        }
        Order::Requests { target } => {
            let requests = stage.requests(&target.unwrap_or(TargetDescription::Any))?;
            Ok(requests.iter().map(recorded).collect())
        }
        Order::ForgetRequests {} => {
            stage.forget_requests();
            Ok(Value::Null)
        }
        Order::GateReached { gate, count } => {
            stage.gate(&gate).reached_by(count.unwrap_or(1)).await;
            Ok(Value::Null)
        }
        Order::GateAbandoned { gate } => {
            stage.gate(&gate).abandoned().await;
            Ok(Value::Null)
        }
        Order::GateOpen { gate } => {
            stage.open_gate(&gate);
            Ok(Value::Null)
        }
    }
}

fn recorded(request: &Recorded) -> Value {
    json!({
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "range": request.range(),
        "authorization": request.authorization(),
        "status": request.status,
        "bytes_sent": request.bytes_sent,
    })
}

fn say<W: Write>(output: &Mutex<W>, line: &Value) -> Result<()> {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(output, "{line}").and_then(|()| output.flush()).context("writing to stdout")
}
