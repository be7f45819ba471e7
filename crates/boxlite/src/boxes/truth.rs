//! What is true of a box, whatever its row says.
//!
//! A row may have been left by a process that died, and a box may have ended while nobody watched. Whoever looks at a row
//! that claims to run asks the engine, and settles what it finds; the first one wins, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use boxlite_engine::ExitRecord;
use boxlite_protocol::ShimRequest;
use boxlite_types::{BoxId, BoxState, Error, ErrorCode, Event, Result};

use super::connect::find_end;
use super::lock::remove_directory;
use super::table::{BoxRow, Settled, Table};
use super::{BoxLock, no_such_box, now};
use crate::core::Core;

/// How long a box that nobody started to its end may take to be killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Returns the row as it should be, after settling what it says wrong.
///
/// # Errors
/// `NotFound` if the box turns out to be gone.
pub(crate) async fn truth(core: &Arc<Core>, row: BoxRow) -> Result<BoxRow> {
    let id = row.info.id.clone();
    match row.info.state {
        BoxState::Created | BoxState::Stopped => return Ok(row),
        BoxState::Starting => {
            // Whoever starts a box holds its lock all the while.
            let Some(lock) = BoxLock::try_acquire(&core.home, &id)? else { return Ok(row) };
            return truth_under_lock(core, &lock, core.row(&id).await?).await;
        }
        BoxState::Running | BoxState::Stopping => {
            if core.supervisor(&id).await?.is_some() {
                return Ok(row);
            }
            if let Some(end) = find_end(core, &id).await? {
                settle(core, &row, &end).await?;
            }
        }
    }
    core.row(&id).await
}

/// As [`truth`], for whoever holds the lock of the box: nobody else is starting it then.
pub(crate) async fn truth_under_lock(core: &Arc<Core>, _lock: &BoxLock, row: BoxRow) -> Result<BoxRow> {
    if row.info.state != BoxState::Starting {
        return Box::pin(truth(core, row)).await;
    }
    let end = end_half_started(core, &row.info.id).await?;
    settle(core, &row, &end).await?;
    core.row(&row.info.id).await
}

/// Ends what runs in a box although it should not, detached or not: what a dead starter left, whose start never succeeded.
async fn end_half_started(core: &Arc<Core>, id: &BoxId) -> Result<ExitRecord> {
    let directory = core.home.box_directory(id);
    if core.supervisor(id).await?.is_some()
        && let Ok(Some(session)) = core.engine.connect(&directory).await
    {
        let _ = tokio::time::timeout(KILL_PATIENCE, session.shim(ShimRequest::Kill)).await;
    }
    let end = find_end(core, id).await?;
    Ok(end.unwrap_or_else(|| ExitRecord { code: 137, reason: "killed".into(), at: now() }))
}

/// Writes down that a box has ended, tells whoever listens, and removes the box if that was asked for. Does nothing if
/// somebody else has done so.
pub(crate) async fn settle(core: &Arc<Core>, seen: &BoxRow, end: &ExitRecord) -> Result<()> {
    let id = &seen.info.id;
    let (row, record) = (seen.clone(), end.clone());
    let settled = core.rows(move |table| table.settle(&row, &record)).await?;
    if settled == Settled::Not {
        return Ok(());
    }
    core.emit(Event::BoxStopped { id: id.clone(), exit_code: Some(end.code) });
    if settled == Settled::Removed {
        let directory = core.home.box_directory(id);
        core.blocking(move || remove_directory(&directory)).await?;
        // Its image may have lost its last name while the box kept it.
        core.images.collect().await?;
        core.forget_images().await?;
        core.emit(Event::BoxRemoved { id: id.clone() });
    }
    Ok(())
}

/// Finds a box by what a person calls it.
///
/// # Errors
/// `NotFound`, `InvalidArgument` for an ambiguous prefix.
pub(crate) async fn look_up(core: &Arc<Core>, name: &str) -> Result<BoxRow> {
    let wanted = name.to_owned();
    let row = core.rows(move |table| table.find(&wanted)).await?;
    let row = truth(core, row).await;
    row.map_err(|error| if error.code() == ErrorCode::NotFound { no_such_box(name) } else { error })
}

/// Returns all boxes as they are, newest first.
pub(crate) async fn list(core: &Arc<Core>) -> Result<Vec<BoxRow>> {
    let mut rows = Vec::new();
    for known in core.rows(Table::all).await? {
        match truth(core, known.clone()).await {
            Ok(row) => rows.push(row),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            // One that cannot be looked at hides no other: whoever asks for it gets the error.
            Err(error) => {
                tracing::warn!(%error, id = %known.info.id, "a box could not be looked at");
                rows.push(known);
            }
        }
    }
    Ok(rows)
}

/// Settles every box whose processes died while nobody looked. A box that cannot be looked at keeps its row as it is:
/// whoever asks for it gets the error then.
pub(crate) async fn recover(core: &Arc<Core>) -> Result<()> {
    for row in core.rows(Table::active).await? {
        let id = row.info.id.clone();
        if let Err(error) = truth(core, row).await
            && error.code() != ErrorCode::NotFound
        {
            tracing::warn!(%error, %id, "a box could not be recovered");
        }
    }
    Ok(())
}

/// Finds the directories of boxes that have no row, and removes them if `repair` is set, ending what runs in them. Returns
/// their names.
///
/// A row is always there before its directory is, so that one seen without a row belongs to a box that was removed. One that
/// cannot be removed, another user's for example, stays.
pub(crate) async fn sweep(core: &Arc<Core>, repair: bool) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for id in directories(core).await? {
        match core.row(&id).await {
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => continue,
        }
        if repair && let Err(error) = remove_stray(core, &id).await {
            tracing::warn!(%error, %id, "what a removed box left could not be removed");
        }
        found.push(id.to_string());
    }
    Ok(found)
}

async fn remove_stray(core: &Arc<Core>, id: &BoxId) -> Result<()> {
    let Some(lock) = BoxLock::try_acquire(&core.home, id)? else { return Ok(()) };
    end_half_started(core, id).await?;
    core.blocking(move || lock.remove_directory()).await
}

/// Returns whether something runs in a box that does not claim to, and ends it if `repair` is set.
pub(crate) async fn is_haunted(core: &Arc<Core>, id: &BoxId, repair: bool) -> Result<bool> {
    if core.supervisor(id).await?.is_none() {
        return Ok(false);
    }
    // Being started just now, then: whoever does that holds the lock until the row says so.
    let Some(_lock) = BoxLock::try_acquire(&core.home, id)? else { return Ok(false) };
    if !matches!(core.row(id).await?.info.state, BoxState::Created | BoxState::Stopped) {
        return Ok(false);
    }
    if repair {
        end_half_started(core, id).await?;
    }
    Ok(true)
}

async fn directories(core: &Arc<Core>) -> Result<Vec<BoxId>> {
    let boxes = core.home.boxes();
    core.blocking(move || {
        let entries = match std::fs::read_dir(&boxes) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &boxes, error)),
        };
        // What is not named like a box was put there by somebody else.
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    })
    .await
}
