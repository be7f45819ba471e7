//! Saving the state of a machine into a directory and restoring it from there.
//!
//! With `x-ignore-shared`, QEMU's migration leaves out memory that lies in a shared file, so a state is two files: the
//! memory, written by the running guest itself, and the devices, some 60 KB. A machine is saved while it runs: QEMU stops
//! it at the end of the migration and notes that it ran, so a restored one goes on by itself.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use boxlite_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};

use super::qmp::{Qmp, QmpEvent};

/// Name of the memory of a machine in its directory.
pub const MEMORY_FILE: &str = "memory";

/// Name of the state of the devices in its directory.
pub const STATE_FILE: &str = "state";

/// What QEMU calls the descriptor it is handed.
const STATE_NAME: &str = "state";

/// Saves the devices of a machine whose memory is `directory`'s already. The machine stands still afterwards and is good
/// for nothing more. The state is durable when this returns, the memory is not.
///
/// # Errors
/// `Engine` if the migration fails, `Timeout` at the deadline, `Storage` if the file cannot be written.
pub fn save(qmp: &mut Qmp, directory: &Path, deadline: Instant) -> Result<()> {
    let path = directory.join(STATE_FILE);
    let file = std::fs::File::create(&path).map_err(|source| Error::io("create", &path, source))?;
    set_capabilities(qmp, deadline)?;
    qmp.pass_file(STATE_NAME, file.as_fd(), deadline)?;
    // A machine that was restored has told of the end of a migration before.
    qmp.forget_events();
    qmp.execute("migrate", json!({ "uri": format!("fd:{STATE_NAME}") }), deadline)?;
    wait_migrated(qmp, "saving its state", deadline)?;
    file.sync_all().map_err(|source| Error::io("write", &path, source))
}

/// Restores a machine that was started with [`super::Memory::Restored`], and returns when its processors run.
///
/// # Errors
/// `Engine` if the state does not fit the machine, `Timeout` at the deadline, `Storage` if it cannot be read.
pub fn restore(qmp: &mut Qmp, directory: &Path, deadline: Instant) -> Result<()> {
    let path = directory.join(STATE_FILE);
    let file = std::fs::File::open(&path).map_err(|source| Error::io("open", &path, source))?;
    set_capabilities(qmp, deadline)?;
    qmp.pass_file(STATE_NAME, file.as_fd(), deadline)?;
    qmp.execute("migrate-incoming", json!({ "uri": format!("fd:{STATE_NAME}") }), deadline)?;
    let resumed = |event: &QmpEvent| event.name == "RESUME" || failed(event);
    let event = qmp.wait_event("resuming from its saved state", deadline, resumed)?;
    if failed(&event) { Err(migration_failed("resuming from its saved state")) } else { Ok(()) }
}

fn set_capabilities(qmp: &mut Qmp, deadline: Instant) -> Result<()> {
    let capabilities: Vec<Value> = ["x-ignore-shared", "events"]
        .into_iter()
        .map(|capability| json!({ "capability": capability, "state": true }))
        .collect();
    qmp.execute("migrate-set-capabilities", json!({ "capabilities": capabilities }), deadline).map(drop)
}

fn wait_migrated(qmp: &mut Qmp, what: &str, deadline: Instant) -> Result<()> {
    let over = |event: &QmpEvent| failed(event) || status(event) == Some("completed");
    let event = qmp.wait_event(what, deadline, over)?;
    if failed(&event) { Err(migration_failed(what)) } else { Ok(()) }
}

fn status(event: &QmpEvent) -> Option<&str> {
    (event.name == "MIGRATION").then(|| event.data.get("status").and_then(Value::as_str)).flatten()
}

fn failed(event: &QmpEvent) -> bool {
    status(event) == Some("failed")
}

fn migration_failed(what: &str) -> Error {
    Error::new(ErrorCode::Engine, format!("the virtual machine failed at {what}"))
}
