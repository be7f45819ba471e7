//! Operations that are no product's: whether two handles are one, garbage, and the knobs of the fake engine.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use boxlite::{ErrorCode, StartStage};
use boxlite_testkit::engine::{FakeEngine, Hold};
use futures::executor::block_on;
use serde_json::{Value as Json, json};

use super::handles::Handle;
use super::{RustSurface, unknown};
use crate::adapters::arguments::Arguments;
use crate::adapters::serve::{Fault, Request};

/// Starts that stand still, by the stage they stand at.
#[derive(Default)]
pub struct Holds(Mutex<HashMap<String, Arc<Hold>>>);

impl Holds {
    fn find(&self, stage: &str) -> Result<Arc<Hold>, Fault> {
        let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds.get(stage).cloned().ok_or_else(|| Fault::Adapter(format!("nothing is held at `{stage}`")))
    }
}

impl RustSurface {
    pub(super) async fn test(&self, request: &Request, arguments: &mut Arguments) -> Result<Json, Fault> {
        match request.op.as_str() {
            "test.same" => {
                let other: String = arguments.take("other")?;
                let (one, other) =
                    (self.handles.find(request.on.as_deref())?, self.handles.find(Some(&other))?);
                match (one, other) {
                    (Handle::Images(_, one), Handle::Images(_, other)) => Ok((one == other).into()),
                    _ => Err(Fault::Adapter("only image handles are compared".into())),
                }
            }
            // Here the last reference is the collector.
            "test.collect" => {
                let handle = self.handles.take(request.on.as_deref());
                let dropped = tokio::task::spawn_blocking(move || drop(handle)).await;
                dropped.map(|()| Json::Null).map_err(|error| Fault::Adapter(error.to_string()))
            }
            "test.fork" => {
                let operation: String = arguments.take("op")?;
                let _: Option<Json> = arguments.find("args")?;
                match (self.handles.find(request.on.as_deref())?, operation.as_str()) {
                    (Handle::Images(images, _), "images.list") => {
                        in_child(|| block_on(images.list()).map(|_| ()))
                    }
                    (Handle::Runtime(runtime), "runtime.list") => {
                        in_child(|| block_on(runtime.list()).map(|_| ()))
                    }
                    _ => Err(Fault::Adapter(format!("`{operation}` is not tried in a child"))),
                }
            }
            _ => self.fake(request, arguments).await,
        }
    }

    async fn fake(&self, request: &Request, arguments: &mut Arguments) -> Result<Json, Fault> {
        let engine: &Arc<FakeEngine> =
            self.engine.as_ref().ok_or_else(|| Fault::Adapter("the engine is not the fake one".into()))?;
        match request.op.as_str() {
            "fake.hold_at" => {
                let name: String = arguments.take("stage")?;
                let hold = Arc::new(engine.hold_at(stage(&name)?));
                self.holds.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, hold);
            }
            "fake.reached" => {
                let hold = self.holds.find(&arguments.take::<String>("stage")?)?;
                hold.reached(arguments.find("count")?.unwrap_or(1)).await;
            }
            "fake.release" => self.holds.find(&arguments.take::<String>("stage")?)?.release(),
            "fake.fail_at" => {
                let name: String = arguments.take("stage")?;
                let code: ErrorCode = arguments.take("code")?;
                engine.fail_at(stage(&name)?, code);
            }
            "fake.heal" => engine.heal(),
            "fake.ignore_stop" => engine.ignore_stop(true, arguments.or_default("kill")?),
            "fake.crash" => {
                let id: String = arguments.take("id")?;
                engine.crash(&id.parse()?);
            }
            "fake.running" => return Ok(engine.running().len().into()),
            _ => return Err(unknown(request)),
        }
        Ok(Json::Null)
    }
}

/// Forks, and answers what an operation says in the child.
fn in_child(act: impl FnOnce() -> boxlite::Result<()>) -> Result<Json, Fault> {
    let broken = |error: std::io::Error| Fault::Adapter(error.to_string());
    let (mut reader, mut writer) = std::io::pipe().map_err(broken)?;
    // SAFETY: the child runs `act`, which the library promises to refuse before it takes any lock, writes to a pipe, and
    // leaves without running anything of the parent's. glibc keeps its allocator usable in the child of a fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let answer = match act() {
            Ok(()) => json!({ "ok": null }),
            Err(error) => json!({ "error": error }),
        };
        let written = writer.write_all(answer.to_string().as_bytes());
        // SAFETY: ends the child at once; nothing of the parent's is flushed or dropped a second time.
        unsafe { libc::_exit(i32::from(written.is_err())) }
    }
    if child < 0 {
        return Err(broken(std::io::Error::last_os_error()));
    }
    drop(writer);
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).map_err(broken)?;
    let mut status = 0;
    // SAFETY: `child` is a child of this process that nobody else waits for, `status` outlives the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    serde_json::from_slice(&answer)
        .map_err(|error| Fault::Adapter(format!("the child said nothing: {error}")))
}

fn stage(name: &str) -> Result<StartStage, Fault> {
    serde_json::from_value(name.into()).map_err(|_| Fault::Adapter(format!("there is no stage `{name}`")))
}
