//! Stopping, killing and waiting for boxes.
//!
//! Whoever stops a box asks its shim, and then waits for the watcher of the box, who alone settles the row.

use std::sync::Arc;
use std::time::Duration;

use boxlite_protocol::ShimRequest;
use boxlite_types::{BoxId, BoxState, Context, Error, ErrorCode, Result};

use super::Live;
use super::connect::connect;
use super::sessions::End;
use super::table::wrong_state;
use super::truth::truth;
use crate::core::Core;

/// What a shim gets beyond the deadline it was given, before it is told to kill.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// How long a kill may take until it counts as failed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long the boxes of a runtime may take to be killed at the end of its shutdown.
const LAST_PATIENCE: Duration = Duration::from_millis(150);

/// Stops a box, killing it after `timeout`. One that does not run is stopped already.
///
/// # Errors
/// `NotFound`; `InvalidState` while it is being started; `Timeout` if it cannot even be killed.
pub(crate) async fn stop(core: &Arc<Core>, id: &BoxId, timeout: Duration) -> Result<()> {
    let Some(live) = running(core, id).await? else { return Ok(()) };
    stop_live(core, &live, timeout).await
}

/// Says whether a box is still there once it has been stopped.
///
/// # Errors
/// `NotFound`; `InvalidState` if it is removed then.
pub(crate) async fn check_restart(core: &Arc<Core>, id: &BoxId) -> Result<()> {
    let row = truth(core, core.row(id).await?).await?;
    let goes = row.info.spec.auto_remove && !matches!(row.info.state, BoxState::Created | BoxState::Stopped);
    if goes {
        Err(wrong_state(&row.info, "it is removed when it stops; make one that is not"))
    } else {
        Ok(())
    }
}

/// Kills a box. One that does not run is left alone.
///
/// # Errors
/// As [`stop`].
pub(crate) async fn kill(core: &Arc<Core>, id: &BoxId) -> Result<()> {
    let Some(live) = running(core, id).await? else { return Ok(()) };
    kill_live(&live, KILL_PATIENCE).await
}

/// Waits until a box does not run, and returns its exit code.
///
/// # Errors
/// `NotFound`; `InvalidState` if it was never started.
pub(crate) async fn wait(core: &Arc<Core>, id: &BoxId) -> Result<i32> {
    loop {
        if let Some(live) = core.sessions.get(id)
            && let End::Stopped { exit_code } = live.ended().await
        {
            return Ok(exit_code);
        }
        let row = truth(core, core.row(id).await?).await?;
        match row.info.state {
            BoxState::Created => return Err(wrong_state(&row.info, "start it first")),
            BoxState::Stopped => return Ok(row.info.exit_code.unwrap_or(0)),
            // Another process is at it, and says nothing until it is done.
            BoxState::Starting => tokio::time::sleep(Duration::from_millis(20)).await,
            BoxState::Running | BoxState::Stopping => match connect(core, id).await {
                Ok(_) => {}
                Err(error) if matches!(error.code(), ErrorCode::Stopped | ErrorCode::InvalidState) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error),
            },
        }
    }
}

/// Stops every box that lives on this runtime's connections, in parallel, with `timeout` for each.
pub(crate) async fn stop_owned(core: &Arc<Core>, timeout: Duration) {
    let stops = core.sessions.close().into_iter().map(|live| async move {
        if let Err(error) = stop_live(core, &live, timeout).await {
            tracing::warn!(%error, id = %live.row.info.id, "a box could not be stopped");
        }
    });
    futures::future::join_all(stops).await;
}

/// Kills what [`stop_owned`] did not stop in time.
pub(crate) async fn kill_owned(core: &Arc<Core>) {
    let kills = core.sessions.close().into_iter().map(|live| async move {
        let _ = kill_live(&live, LAST_PATIENCE).await;
    });
    futures::future::join_all(kills).await;
}

/// Returns the connection to a box that has to be stopped; `None` if there is nothing to stop.
async fn running(core: &Arc<Core>, id: &BoxId) -> Result<Option<Arc<Live>>> {
    let row = truth(core, core.row(id).await?).await?;
    match row.info.state {
        BoxState::Created | BoxState::Stopped => return Ok(None),
        BoxState::Starting => return Err(wrong_state(&row.info, "wait until it runs, then stop it")),
        BoxState::Running | BoxState::Stopping => {}
    }
    match connect(core, id).await {
        Ok(live) => Ok(Some(live)),
        Err(error) if matches!(error.code(), ErrorCode::Stopped | ErrorCode::InvalidState) => {
            truth(core, core.row(id).await?).await.map(|_| None)
        }
        Err(error) => Err(error),
    }
}

async fn stop_live(core: &Arc<Core>, live: &Arc<Live>, timeout: Duration) -> Result<()> {
    let row = live.row.clone();
    let timeout_ms = timeout.as_millis().try_into().unwrap_or(u32::MAX);
    let noted = async {
        // For others to see. That it cannot be written, on a full disk say, is no reason to let the box run.
        if let Err(error) = core.rows(move |table| table.begin_stop(&row)).await {
            tracing::warn!(%error, id = %live.row.info.id, "that a box is being stopped could not be noted");
        }
    };
    // At once: a stop that is given up while it waits for the database has asked the box all the same.
    let asked = async { tokio::join!(biased; ask(live, ShimRequest::Stop { timeout_ms }), noted).0 };
    match tokio::time::timeout(timeout.saturating_add(STOP_SLACK), asked).await {
        Ok(result) => result,
        Err(_) => kill_live(live, KILL_PATIENCE).await,
    }
}

async fn kill_live(live: &Arc<Live>, patience: Duration) -> Result<()> {
    match tokio::time::timeout(patience, ask(live, ShimRequest::Kill)).await {
        Ok(result) => result,
        Err(_) => {
            let id = &live.row.info.id;
            Err(Error::new(ErrorCode::Timeout, format!("box `{id}` does not end even when it is killed"))
                .with(Context::Box, id.as_str()))
        }
    }
}

/// Asks for the end of a box and waits until it is there and recorded.
async fn ask(live: &Arc<Live>, request: ShimRequest) -> Result<()> {
    match live.session.shim(request).await {
        Ok(_) => {}
        // It ended by itself, or somebody else was faster.
        Err(error) if error.code() == ErrorCode::Stopped => {}
        Err(error) => return Err(error),
    }
    match live.ended().await {
        End::Stopped { .. } => Ok(()),
        End::Lost => {
            let id = &live.row.info.id;
            Err(Error::new(ErrorCode::Engine, format!("the connection to box `{id}` was lost"))
                .with(Context::Box, id.as_str()))
        }
    }
}
