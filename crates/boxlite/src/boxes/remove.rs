//! Removing a box: the row first, then whatever it had on disk.

use std::time::Duration;

use boxlite_types::{BoxId, ErrorCode, Event, Result};

use super::BoxLock;
use super::stop::kill;
use super::truth::truth_under_lock;
use crate::operation::Work;

/// How long a start or another removal of the box is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Removes a box, killing it first if it runs and `force` is set.
///
/// # Errors
/// `NotFound`; `InvalidState` if it runs; `InUse` if somebody else starts or removes it.
pub(crate) async fn remove(work: &Work, id: &BoxId, force: bool) -> Result<()> {
    // As in a start: no directory is made for the lock of a box that is gone.
    work.row(id).await?;
    if force {
        match work.cancellable(kill(work, id)).await {
            // It was to be removed when it stops, and that was now.
            Err(error) if error.code() == ErrorCode::NotFound => {}
            result => result?,
        }
        if work.row(id).await.is_err_and(|error| error.code() == ErrorCode::NotFound) {
            return Ok(());
        }
    }
    let lock = work.cancellable(BoxLock::acquire(&work.home, id, LOCK_PATIENCE)).await?;
    let gone = match work.row(id).await {
        Ok(row) => truth_under_lock(work, &lock, row).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match gone {
        Ok(()) => {}
        Err(error) => {
            if error.code() == ErrorCode::NotFound {
                lock.remove_directory()?;
            }
            return Err(error);
        }
    }
    let row = id.clone();
    work.rows(move |table| table.delete(&row)).await?;
    work.blocking(move || lock.remove_directory()).await?;
    // Its image may have lost its last name while the box kept it.
    work.images.collect().await?;
    work.forget_images().await?;
    work.emit(Event::BoxRemoved { id: id.clone() });
    Ok(())
}
