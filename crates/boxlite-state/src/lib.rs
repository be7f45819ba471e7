//! The one SQLite file of a home: opening, migrations, transactions. It knows no meaning of the rows.
//!
//! Several processes use one home at the same time: WAL, a busy timeout, and `BEGIN IMMEDIATE` for every write, so that a
//! transaction never has to be upgraded. The schema stands whole in `migrations/`, one file per version, applied forward
//! only; a database of a later version is refused.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boxlite_types::{Context, Error, ErrorCode, Result};
pub use rusqlite;
use rusqlite::{Connection, ErrorCode as SqliteCode, InterruptHandle, Transaction, TransactionBehavior};

const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_initial.sql")];

/// How long a write waits for another process's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it waits at once, before it looks whether the database is to be closed.
const BUSY_INTERVAL: Duration = Duration::from_millis(50);

/// The open database. Clones share one connection; [`Database::close`] closes it for all of them.
#[derive(Clone)]
pub struct Database {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Option<Connection>>>,
    interrupt: Arc<InterruptHandle>,
    closing: Arc<AtomicBool>,
}

impl Database {
    /// Opens `path`, making or migrating it. Takes about a millisecond if it is there.
    ///
    /// # Errors
    /// `Database` if the file is no database, is corrupt, or was written by a later release.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).map_err(|error| failure(path, error))?;
        let database = Database {
            path: Arc::new(path.to_owned()),
            interrupt: Arc::new(connection.get_interrupt_handle()),
            connection: Arc::new(Mutex::new(Some(connection))),
            closing: Arc::default(),
        };
        database.prepare()?;
        Ok(database)
    }

    fn prepare(&self) -> Result<()> {
        self.with(|connection| {
            connection.busy_timeout(BUSY_INTERVAL)?;
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
            let transaction = self.begin(connection)?;
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
            let transaction = self.begin(connection)?;
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

    /// Closes the file for every clone; later calls answer `Stopped`. A call that is running is interrupted, and waited
    /// for: what it wrote is undone unless it was durable already.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.interrupt.interrupt();
        let connection = self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(connection);
    }

    /// Takes the write lock, waiting for whoever has it.
    fn begin<'c>(&self, connection: &'c Connection) -> rusqlite::Result<Transaction<'c>> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
                Err(error)
                    if is_busy(&error)
                        && !self.closing.load(Ordering::SeqCst)
                        && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    fn with<T>(&self, body: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut guard = self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let connection = guard.as_mut().ok_or_else(stopped)?;
        if self.closing.load(Ordering::SeqCst) {
            return Err(stopped());
        }
        body(connection).map_err(|error| match error {
            // Interrupted, or kept waiting until then.
            _ if self.closing.load(Ordering::SeqCst) => stopped(),
            error => failure(&self.path, error),
        })
    }
}

fn stopped() -> Error {
    Error::new(ErrorCode::Stopped, "the runtime has been shut down")
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(SqliteCode::DatabaseBusy | SqliteCode::DatabaseLocked))
}

fn retry_busy(mut body: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match body() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_does_not_wait_for_another_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let (one, two) = (Database::open(&path).unwrap(), Database::open(&path).unwrap());
        let (holds, held) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (one, two) = (&one, &two);
            scope.spawn(move || {
                one.write(|_| {
                    holds.send(()).unwrap();
                    let _ = released.recv();
                    Ok(())
                })
            });
            held.recv().unwrap();
            let (begins, begun) = std::sync::mpsc::channel();
            let writing = scope.spawn(move || {
                begins.send(()).unwrap();
                two.write(|_| Ok(()))
            });
            begun.recv().unwrap();
            let asked = Instant::now();
            two.close();
            assert!(asked.elapsed() < BUSY_TIMEOUT / 2);
            assert_eq!(writing.join().unwrap().unwrap_err().code(), ErrorCode::Stopped);
            drop(release);
        });
        assert_eq!(two.read(|_| Ok(())).unwrap_err().code(), ErrorCode::Stopped);
        one.write(|_| Ok(())).unwrap();
    }
}
