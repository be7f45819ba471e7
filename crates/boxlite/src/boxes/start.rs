//! Starting a box: from a row to a machine that takes commands.
//!
//! Cancelled or failed at any point, nothing of the box runs and its row is as it was before. Killed at any point, the row
//! says `starting` and nobody holds the lock, which the next one to look at it puts right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxlite_engine::session::RemoteProcess;
use boxlite_engine::{Session, StageSink, StartRequest};
use boxlite_protocol::{Answer, Exec, ShimRequest, ShimStatus};
use boxlite_types::{BoxId, Context, Error, ErrorCode, Event, IsolationInfo, Result};

use super::command::Defaults;
use super::connect::{enter, find_end};
use super::table::BoxRow;
use super::truth::{truth, truth_under_lock};
use super::{BoxLock, Live};
use crate::core::{Core, count};
use crate::operation::{Work, cancelled};

/// How long a shim may take to answer what it answers by itself.
const SHIM_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the caller wants the streams of the main command from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// It runs on its own, its output goes to the log.
    No,
    /// The caller gets it.
    Yes,
}

/// A main command, with the connection of its own that it is attached over. Dropping it lets go of the command.
///
/// The connection goes first: without it, dropping the stdin of the process is not the end of the command's input.
pub(crate) struct Attached {
    pub session: Session,
    pub process: RemoteProcess,
    pub program: String,
}

/// Starts a box, and its main command if it has one.
///
/// # Errors
/// `NotFound`; `InvalidState` if it is not stopped; `InUse` if somebody else starts or removes it; the engine's; those of
/// an exec, if the main command cannot be run.
pub(crate) async fn start(work: &Work, id: &BoxId, attach: Attach) -> Result<Option<Attached>> {
    let begun = Instant::now();
    // A box that was removed is not found, also while a sweep has the lock of what is left of it.
    work.row(id).await?;
    let lock = work.cancellable(BoxLock::acquire(&work.home, id, Duration::ZERO)).await?;
    let before = match begin(work, id, &lock).await {
        Ok(before) => before,
        Err(error) => {
            if error.code() == ErrorCode::NotFound {
                // The directory was made for the lock alone.
                lock.remove_directory()?;
            }
            return Err(error);
        }
    };
    let result = bring_up(work, &before, attach).await;
    match &result {
        Ok(_) => {
            work.emit(Event::BoxStarted { id: id.clone(), elapsed_us: micros(begun.elapsed()) });
            settle_early_end(work, id).await;
        }
        Err(_) => {
            count(&work.counters.boxes_failed);
            let undone = work.rows(move |table| table.undo_start(&before.info)).await;
            if let Err(error) = undone {
                tracing::warn!(%error, %id, "the failed start of a box could not be undone");
            }
        }
    }
    drop(lock);
    result.map_err(|error| error.with(Context::Box, id.as_str()))
}

/// A box may have ended before it was noted as running: then its watcher has found nothing to settle.
async fn settle_early_end(work: &Work, id: &BoxId) {
    if let Ok(None) = work.supervisor(id).await
        && let Ok(row) = work.row(id).await
    {
        // Whoever looks at the box next gets the error.
        let _ = truth(work, row).await;
    }
}

async fn begin(work: &Work, id: &BoxId, lock: &BoxLock) -> Result<BoxRow> {
    truth_under_lock(work, lock, work.row(id).await?).await?;
    let id = id.clone();
    work.rows(move |table| table.begin_start(&id)).await
}

async fn bring_up(work: &Work, before: &BoxRow, attach: Attach) -> Result<Option<Attached>> {
    let info = &before.info;
    let main = match &info.spec.main {
        Some(main) => Some(Defaults::new(&before.config, &info.spec).main(main)?),
        None => None,
    };
    let (root, _) = work.cancellable(work.images.root(&info.image_id)).await?;
    let request = StartRequest {
        id: info.id.clone(),
        directory: work.home.box_directory(&info.id),
        root,
        resources: info.spec.resources,
        hostname: info.spec.hostname.clone().unwrap_or_else(|| info.id.to_string()),
        detach: info.spec.detach,
    };
    // Dropping the future of an engine leaves nothing running: its contract.
    let session = work.cancellable(work.engine.start(request, stages(work, &info.id))).await?;
    let established = establish(work, before, &session, main, attach).await;
    if established.is_err() {
        let _ = tokio::time::timeout(SHIM_PATIENCE, session.shim(ShimRequest::Kill)).await;
        drop(session);
        let _ = find_end(work, &info.id).await;
    }
    established
}

/// Makes a machine that is up into a box that runs, as far as everybody else can see.
async fn establish(
    work: &Work,
    before: &BoxRow,
    session: &Session,
    main: Option<Exec>,
    attach: Attach,
) -> Result<Option<Attached>> {
    let id = &before.info.id;
    let directory = work.home.box_directory(id);
    let status = work.cancellable(status(session)).await?;
    let supervisor = work.supervisor(id).await?.ok_or_else(|| died(id))?;
    let attached = match main {
        // On a connection of its own: closing that is how a caller lets go of the main command, which goes on.
        Some(main) => {
            let own = work.cancellable(work.engine.connect(&directory)).await?.ok_or_else(|| died(id))?;
            let program = String::from_utf8_lossy(&main.argv[0]).into_owned();
            let process = work.cancellable(own.exec(main)).await?;
            Some(Attached { session: own, process, program })
        }
        None => None,
    };
    if work.token.is_cancelled() {
        return Err(cancelled());
    }
    let mut row = before.clone();
    row.supervisor = Some(supervisor.clone());
    let live = enter(work, session.clone(), row, !before.info.spec.detach)?;
    let committed = commit(work, &live, supervisor, status.isolation).await;
    if committed.is_err() {
        work.sessions.remove(&live);
    }
    committed?;
    Ok(attached.filter(|_| attach == Attach::Yes))
}

async fn commit(
    work: &Work,
    live: &Arc<Live>,
    supervisor: boxlite_engine::ProcessIdentity,
    isolation: IsolationInfo,
) -> Result<()> {
    let id = live.row.info.id.clone();
    work.rows(move |table| table.commit_start(&id, &supervisor, &isolation)).await
}

/// Asks the shim what it runs.
pub(crate) async fn status(session: &Session) -> Result<ShimStatus> {
    match tokio::time::timeout(SHIM_PATIENCE, session.shim(ShimRequest::Status)).await {
        Ok(Ok(Answer::Status(status))) => Ok(status),
        Ok(Ok(other)) => Err(Error::new(ErrorCode::Internal, format!("a shim answered {other:?}"))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(ErrorCode::Timeout, "the supervisor of the box does not answer")),
    }
}

fn stages(core: &Arc<Core>, id: &BoxId) -> StageSink {
    let (core, id) = (core.clone(), id.clone());
    Arc::new(move |stage, elapsed| {
        let id = id.clone();
        core.emit(match elapsed {
            None => Event::BoxStarting { id, stage },
            Some(elapsed) => Event::BoxStage { id, stage, elapsed_us: micros(elapsed) },
        });
    })
}

fn micros(elapsed: Duration) -> u64 {
    elapsed.as_micros().try_into().unwrap_or(u64::MAX)
}

fn died(id: &BoxId) -> Error {
    Error::new(ErrorCode::Engine, format!("box `{id}` died while it was being started"))
}
