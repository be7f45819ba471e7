//! Getting a connection to a box that runs, and watching it until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxlite_engine::{ExitRecord, Session};
use boxlite_types::{BoxId, BoxState, Context, Error, ErrorCode, Result};
use tokio::sync::watch;

use super::sessions::End;
use super::table::{BoxRow, wrong_state};
use super::truth::{settle, truth};
use super::{Defaults, Live, now};
use crate::core::Core;

/// How long the supervisor of a box may outlive its connections before they count as lost, not ended.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);

/// Returns the connection to a box that runs, making one if needed.
///
/// # Errors
/// `NotFound`; `InvalidState` if the box does not run.
pub(crate) async fn connect(core: &Arc<Core>, id: &BoxId) -> Result<Arc<Live>> {
    if let Some(live) = core.sessions.get(id) {
        return Ok(live);
    }
    let row = truth(core, core.row(id).await?).await?;
    if !matches!(row.info.state, BoxState::Running | BoxState::Stopping) {
        let way_out = match row.info.state {
            BoxState::Starting => "wait until it runs",
            _ => "start it first",
        };
        return Err(wrong_state(&row.info, way_out));
    }
    match core.engine.connect(&core.home.box_directory(id)).await? {
        Some(session) => enter(core, session, row, false),
        None => {
            Err(Error::new(ErrorCode::Stopped, format!("box `{id}` stopped")).with(Context::Box, id.as_str()))
        }
    }
}

/// Enters a connection among those of the runtime, and watches the box from now on.
///
/// # Errors
/// `Stopped` once the shutdown has begun.
pub(crate) fn enter(core: &Arc<Core>, session: Session, row: BoxRow, owned: bool) -> Result<Arc<Live>> {
    let (sender, end) = watch::channel(None);
    let defaults = Defaults::new(&row.config, &row.info.spec);
    let live = Arc::new(Live { session, row, owned, defaults, end });
    let entered = core.sessions.insert(live.clone())?;
    if Arc::ptr_eq(&entered, &live) {
        core.watchers.spawn_on(watch_box(core.clone(), live, sender), &core.tokio);
    }
    Ok(entered)
}

/// Waits until the connection is gone, finds out what became of the box, and settles its row.
async fn watch_box(core: Arc<Core>, live: Arc<Live>, end: watch::Sender<Option<End>>) {
    tokio::select! {
        biased;
        () = live.session.closed() => {}
        () = core.leaving.cancelled() => return,
    }
    let found = match find_end(&core, &live.row.info.id).await {
        Ok(Some(record)) => match settle(&core, &live.row, &record).await {
            Ok(()) => End::Stopped { exit_code: record.code },
            Err(error) => {
                tracing::warn!(%error, id = %live.row.info.id, "the end of a box could not be recorded");
                End::Stopped { exit_code: record.code }
            }
        },
        Ok(None) => End::Lost,
        Err(error) => {
            tracing::warn!(%error, id = %live.row.info.id, "the end of a box could not be found out");
            End::Lost
        }
    };
    core.sessions.remove(&live);
    end.send_replace(Some(found));
}

/// Waits until nobody supervises the box any more, and returns how its run ended; `None` if it goes on.
pub(crate) async fn find_end(core: &Arc<Core>, id: &BoxId) -> Result<Option<ExitRecord>> {
    let directory = core.home.box_directory(id);
    let begun = Instant::now();
    let mut delay = Duration::from_micros(500);
    while core.supervisor(id).await?.is_some() {
        if begun.elapsed() > SUPERVISOR_PATIENCE {
            return Ok(None);
        }
        // The shim closes its connections first and exits next; nothing tells a process that is not its parent.
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_millis(20));
    }
    let record = core.engine.reap(&directory).await?;
    Ok(Some(record.unwrap_or_else(|| ExitRecord { code: 137, reason: "machine died".into(), at: now() })))
}
