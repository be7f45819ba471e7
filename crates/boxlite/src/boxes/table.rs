//! The rows of the boxes, and every step from one state to the next as one transaction.
//!
//! A step names the states it may start from and does nothing from any other, so that of several processes that take it
//! at once exactly one does. Nothing here asks whether a box really runs.

use boxlite_engine::{ExitRecord, ProcessIdentity};
use boxlite_state::Database;
use boxlite_state::rusqlite::{self, Connection, OptionalExtension, Row, params};
use boxlite_types::{
    BoxId, BoxInfo, BoxState, Context, Error, ErrorCode, ImageConfig, IsolationInfo, Result,
};

use super::{no_such_box, now, title};

/// The rows of the boxes. Every method may wait for other writers: call them where that is allowed.
#[derive(Clone)]
pub(crate) struct Table {
    database: Database,
}

/// One row: what is known of a box, which process supervises it, and what its image said when it was made.
#[derive(Clone, Debug)]
pub(crate) struct BoxRow {
    pub info: BoxInfo,
    pub config: ImageConfig,
    pub supervisor: Option<ProcessIdentity>,
}

const COLUMNS: &str = "id, name, image, image_id, spec, state, created_at, started_at, stopped_at, exit_code, \
                       shim_pid, shim_start, boot_id, isolation, config";

impl Table {
    pub fn new(database: Database) -> Self {
        Table { database }
    }

    /// Adds a box.
    ///
    /// # Errors
    /// `AlreadyExists` if its name is taken, `NotFound` if its image is gone by now.
    pub fn insert(&self, info: &BoxInfo, config: &ImageConfig) -> Result<()> {
        self.database.try_write(|transaction| {
            if let Some(name) = &info.name
                && let Some(holder) = find(transaction, "name = ?1 OR id = ?1", [name])?
            {
                return Ok(Err(Error::new(
                    ErrorCode::AlreadyExists,
                    format!("the name `{name}` belongs to box `{}`", holder.info.id),
                )
                .with(Context::Box, name.as_str())));
            }
            let image: Option<i64> = transaction
                .query_row("SELECT 1 FROM images WHERE id = ?1", [info.image_id.to_string()], |row| {
                    row.get(0)
                })
                .optional()?;
            if image.is_none() {
                return Ok(Err(Error::new(
                    ErrorCode::NotFound,
                    format!("image `{}` was removed", info.image),
                )
                .with(Context::Reference, info.image.as_str())));
            }
            transaction.execute(
                "INSERT INTO boxes (id, name, image, image_id, spec, config, state, created_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    info.id.as_str(),
                    info.name,
                    info.image,
                    info.image_id.to_string(),
                    json(&info.spec),
                    json(config),
                    info.state.as_str(),
                    info.created_at
                ],
            )?;
            Ok(Ok(()))
        })
    }

    /// Returns all boxes, newest first.
    pub fn all(&self) -> Result<Vec<BoxRow>> {
        self.database.read(|connection| {
            let query = format!("SELECT {COLUMNS} FROM boxes ORDER BY created_at DESC, rowid DESC");
            connection.prepare_cached(&query)?.query_map([], read)?.collect()
        })
    }

    /// Returns the boxes that claim to run.
    pub fn active(&self) -> Result<Vec<BoxRow>> {
        self.database.read(|connection| {
            let query = format!("SELECT {COLUMNS} FROM boxes WHERE state NOT IN ('created', 'stopped')");
            connection.prepare_cached(&query)?.query_map([], read)?.collect()
        })
    }

    /// Returns one box.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, id: &BoxId) -> Result<BoxRow> {
        let found = self.database.read(|connection| find(connection, "id = ?1", [id.as_str()]))?;
        found.ok_or_else(|| no_such_box(id.as_str()))
    }

    /// Finds a box by name, id or unique prefix of its id, in this order.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidArgument` if several ids begin like that.
    pub fn find(&self, name: &str) -> Result<BoxRow> {
        self.database.read(|connection| {
            if let Some(row) = find(connection, "name = ?1", [name])? {
                return Ok(Ok(row));
            }
            // Ids are of `a-z0-9`: anything else is no prefix of one, and has no place in the pattern.
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            {
                return Ok(Err(no_such_box(name)));
            }
            let query = format!("SELECT {COLUMNS} FROM boxes WHERE id GLOB ?1 LIMIT 2");
            let mut statement = connection.prepare_cached(&query)?;
            let mut rows: Vec<BoxRow> =
                statement.query_map([format!("{name}*")], read)?.collect::<rusqlite::Result<_>>()?;
            Ok(match (rows.pop(), rows.pop()) {
                (Some(row), None) => Ok(row),
                (None, _) => Err(no_such_box(name)),
                (Some(_), Some(_)) => Err(Error::new(
                    ErrorCode::InvalidArgument,
                    format!("the ids of several boxes begin with `{name}`"),
                )
                .with(Context::Box, name)),
            })
        })?
    }

    /// created, stopped → starting. Returns the row as it was.
    ///
    /// # Errors
    /// `InvalidState` from any other state.
    pub fn begin_start(&self, id: &BoxId) -> Result<BoxRow> {
        self.step(id, |connection, row| {
            match row.info.state {
                BoxState::Created | BoxState::Stopped => {}
                state => return Ok(Err(wrong_state(&row.info, already(state)))),
            }
            connection.execute("UPDATE boxes SET state = 'starting' WHERE id = ?", [id.as_str()])?;
            Ok(Ok(row))
        })
    }

    /// starting → whatever the box was before.
    pub fn undo_start(&self, before: &BoxInfo) -> Result<()> {
        self.database.write(|transaction| {
            transaction.execute(
                "UPDATE boxes SET state = ?2 WHERE id = ?1 AND state = 'starting'",
                [before.id.as_str(), before.state.as_str()],
            )?;
            Ok(())
        })
    }

    /// starting → running.
    ///
    /// # Errors
    /// `InvalidState` from any other state.
    pub fn commit_start(
        &self,
        id: &BoxId,
        supervisor: &ProcessIdentity,
        isolation: &IsolationInfo,
    ) -> Result<()> {
        self.step(id, |connection, row| {
            if row.info.state != BoxState::Starting {
                return Ok(Err(wrong_state(&row.info, "its start was given up")));
            }
            connection.execute(
                "UPDATE boxes SET state = 'running', started_at = ?2, stopped_at = NULL, exit_code = NULL,
                 shim_pid = ?3, shim_start = ?4, boot_id = ?5, isolation = ?6 WHERE id = ?1",
                params![
                    id.as_str(),
                    now(),
                    supervisor.pid,
                    supervisor.start_ticks as i64,
                    supervisor.boot_id,
                    json(isolation)
                ],
            )?;
            Ok(Ok(()))
        })
    }

    /// Makes the box one that outlives whoever starts it, from its next start on.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn detach(&self, id: &BoxId) -> Result<()> {
        self.step(id, |connection, mut row| {
            row.info.spec.detach = true;
            let spec = json(&row.info.spec);
            connection.execute("UPDATE boxes SET spec = ?2 WHERE id = ?1", params![id.as_str(), spec])?;
            Ok(Ok(()))
        })
    }

    /// running → stopping; nothing from any other state.
    /// `seen` is the run that is being stopped: one that began since then is left alone.
    pub fn begin_stop(&self, seen: &BoxRow) -> Result<()> {
        let Some(supervisor) = &seen.supervisor else { return Ok(()) };
        self.database.write(|transaction| {
            transaction.execute(
                "UPDATE boxes SET state = 'stopping'
                 WHERE id = ? AND state = 'running' AND shim_pid = ? AND shim_start = ?",
                params![seen.info.id.as_str(), supervisor.pid, supervisor.start_ticks],
            )?;
            Ok(())
        })
    }

    /// starting, running, stopping → stopped, and gone if the box is to be removed when it stops. Returns whether this
    /// call was the one that did it, and whether the row is gone. `seen` is the row as it was when the end was found out:
    /// a box that was started again since then is left alone.
    pub fn settle(&self, seen: &BoxRow, end: &ExitRecord) -> Result<Settled> {
        let info = &seen.info;
        self.database.write(|transaction| {
            let Some(current) = find(transaction, "id = ?1", [info.id.as_str()])? else {
                return Ok(Settled::Not);
            };
            let ended = matches!(current.info.state, BoxState::Created | BoxState::Stopped);
            if ended || current.supervisor != seen.supervisor {
                return Ok(Settled::Not);
            }
            if info.spec.auto_remove {
                transaction.execute("DELETE FROM boxes WHERE id = ?", [info.id.as_str()])?;
                return Ok(Settled::Removed);
            }
            transaction.execute(
                "UPDATE boxes SET state = 'stopped', stopped_at = ?2, exit_code = ?3,
                 shim_pid = NULL, shim_start = NULL, boot_id = NULL, isolation = NULL WHERE id = ?1",
                params![info.id.as_str(), end.at, end.code],
            )?;
            Ok(Settled::Stopped)
        })
    }

    /// created, stopped → gone.
    ///
    /// # Errors
    /// `InvalidState` from any other state.
    pub fn delete(&self, id: &BoxId) -> Result<()> {
        self.step(id, |connection, row| {
            match row.info.state {
                BoxState::Created | BoxState::Stopped => {}
                _ => return Ok(Err(wrong_state(&row.info, "stop it first, or remove it by force"))),
            }
            connection.execute("DELETE FROM boxes WHERE id = ?", [id.as_str()])?;
            Ok(Ok(()))
        })
    }

    fn step<T>(
        &self,
        id: &BoxId,
        body: impl FnOnce(&Connection, BoxRow) -> rusqlite::Result<Result<T>>,
    ) -> Result<T> {
        self.database.try_write(|transaction| match find(transaction, "id = ?1", [id.as_str()])? {
            Some(row) => body(transaction, row),
            None => Ok(Err(no_such_box(id.as_str()))),
        })
    }
}

/// What [`Table::settle`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nothing: somebody else had done it.
    Not,
    /// The box counts as stopped.
    Stopped,
    /// The box is gone.
    Removed,
}

/// The refusal of an operation in a state that does not have it.
pub(crate) fn wrong_state(info: &BoxInfo, way_out: &'static str) -> Error {
    Error::new(
        ErrorCode::InvalidState,
        format!("box `{}` is {}", title(&info.name, &info.id), info.state.as_str()),
    )
    .with(Context::Box, info.id.as_str())
    .hint(way_out)
}

fn already(state: BoxState) -> &'static str {
    match state {
        BoxState::Running => "it needs no start; `restart` stops it and starts it again",
        BoxState::Starting => "wait until it runs",
        BoxState::Stopping => "wait until it has stopped",
        BoxState::Created | BoxState::Stopped => "",
    }
}

fn find<const N: usize>(
    connection: &Connection,
    condition: &str,
    values: [&str; N],
) -> rusqlite::Result<Option<BoxRow>> {
    let query = format!("SELECT {COLUMNS} FROM boxes WHERE {condition}");
    connection.prepare_cached(&query)?.query_row(rusqlite::params_from_iter(values), read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<BoxRow> {
    let pid: Option<u32> = row.get(10)?;
    let start: Option<i64> = row.get(11)?;
    let boot: Option<String> = row.get(12)?;
    let supervisor = pid.zip(start).zip(boot).map(|((pid, start), boot_id)| ProcessIdentity {
        pid,
        start_ticks: start as u64,
        boot_id,
    });
    let isolation: Option<String> = row.get(13)?;
    let info = BoxInfo {
        id: parse(row, 0)?,
        name: row.get(1)?,
        image: row.get(2)?,
        image_id: parse(row, 3)?,
        spec: from_json(4, &row.get::<_, String>(4)?)?,
        state: from_json(5, &format!("\"{}\"", row.get::<_, String>(5)?))?,
        created_at: row.get(6)?,
        started_at: row.get(7)?,
        stopped_at: row.get(8)?,
        exit_code: row.get(9)?,
        pid: supervisor.as_ref().map(|supervisor| supervisor.pid),
        isolation: isolation.map(|text| from_json(13, &text)).transpose()?,
    };
    Ok(BoxRow { info, config: from_json(14, &row.get::<_, String>(14)?)?, supervisor })
}

fn parse<T: std::str::FromStr<Err = Error>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|error: Error| malformed(column, error))
}

fn from_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| malformed(column, error))
}

fn malformed(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data has a JSON form")
}
