//! The one SQLite file of a home: opening, migrations, transactions. It knows no meaning of the rows.
//!
//! Several processes use one home at the same time: WAL, a busy timeout, and `BEGIN IMMEDIATE` for every write, so that a
//! transaction never has to be upgraded. The schema stands whole in `migrations/`, one file per version, applied forward
//! only; a database of a later version is refused.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxlite_types::{Context, Error, ErrorCode, Result};
pub use rusqlite;
use rusqlite::{Connection, ErrorCode as SqliteCode, Transaction, TransactionBehavior};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_initial.sql")];

/// How long a write waits for another process's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The open database. Clones share one connection; [`Database::close`] closes it for all of them.
#[derive(Clone)]
pub struct Database {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Database {
    /// Opens `path`, making or migrating it. Takes about a millisecond if it is there.
    ///
    /// # Errors
    /// `Database` if the file is no database, is corrupt, or was written by a later release.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).map_err(|error| failure(path, error))?;
        let database =
            Database { path: Arc::new(path.to_owned()), connection: Arc::new(Mutex::new(Some(connection))) };
        database.prepare()?;
        Ok(database)
    }

    fn prepare(&self) -> Result<()> {
        self.with(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // Several processes may open a new home at once, and switching to WAL does not honour the busy timeout.
            retry_busy(|| connection.pragma_update(None, "journal_mode", "wal"))?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "foreign_keys", "on")?;
            Ok(())
        })?;
        let version =
            |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let found: usize = self.with(|connection| version(connection))?;
        if found > MIGRATIONS.len() {
            return Err(Error::new(
                ErrorCode::Database,
                format!(
                    "`{}` has schema version {found}; this release knows up to {}",
                    self.path.display(),
                    MIGRATIONS.len()
                ),
            )
            .with(Context::Path, self.path.display().to_string())
            .hint("use the release that wrote it, or another home"));
        }
        if found == MIGRATIONS.len() {
            return Ok(());
        }
        self.write(|transaction| {
            // Read again: another process may have migrated while this one waited for the lock.
            let current: usize = version(transaction)?;
            for migration in &MIGRATIONS[current.min(MIGRATIONS.len())..] {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "user_version", MIGRATIONS.len())
        })
    }

    /// Runs `read` on the connection. Blocks: call it from a blocking thread, or for short queries only.
    ///
    /// # Errors
    /// `Stopped` once the database is closed, otherwise `Database`.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|connection| read(connection))
    }

    /// Runs `write` in a transaction that is durable when this returns, or has not happened.
    ///
    /// # Errors
    /// `Stopped` once the database is closed, otherwise `Database`.
    pub fn write<T>(&self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    /// Like [`Database::write`], for a body that can refuse with an error of its own; the transaction is then undone.
    pub fn try_write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T>>,
    ) -> Result<T> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            match write(&transaction)? {
                Ok(value) => transaction.commit().map(|()| Ok(value)),
                Err(error) => Ok(Err(error)),
            }
        })?
    }

    /// Runs SQLite's own integrity and foreign key checks; returns what they find, nothing for a sound database.
    pub fn integrity(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut found: Vec<String> = connection
                .prepare("PRAGMA integrity_check")?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<_>>()?;
            found.retain(|line| line != "ok");
            let mut foreign = connection.prepare("PRAGMA foreign_key_check")?;
            let rows =
                foreign.query_map([], |row| Ok(format!("dangling row in {}", row.get::<_, String>(0)?)))?;
            found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
            Ok(found)
        })
    }

    /// Closes the file for every clone; later calls answer `Stopped`. Waits for a call that is running.
    pub fn close(&self) {
        let connection = self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(connection);
    }

    fn with<T>(&self, body: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut guard = self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let connection =
            guard.as_mut().ok_or_else(|| Error::new(ErrorCode::Stopped, "the runtime has been shut down"))?;
        body(connection).map_err(|error| failure(&self.path, error))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(SqliteCode::DatabaseBusy | SqliteCode::DatabaseLocked))
}

fn retry_busy(mut body: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let deadline = std::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match body() {
            Err(error) if is_busy(&error) && std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            result => return result,
        }
    }
}

fn failure(path: &Path, error: rusqlite::Error) -> Error {
    let code = match error.sqlite_error_code() {
        Some(SqliteCode::DiskFull) => ErrorCode::NoSpace,
        Some(SqliteCode::CannotOpen | SqliteCode::PermissionDenied | SqliteCode::ReadOnly) => {
            ErrorCode::Storage
        }
        _ => ErrorCode::Database,
    };
    Error::new(code, format!("`{}`: {error}", path.display()))
        .with(Context::Path, path.display().to_string())
        .retryable(is_busy(&error))
        .caused_by(error)
}
