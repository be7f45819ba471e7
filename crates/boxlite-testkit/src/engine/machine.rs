//! One box of the fake engine: who may connect to it, what runs in it, and how it ends.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use boxlite_engine::{ExitRecord, ProcessIdentity, StartRequest};
use boxlite_protocol::ShimStatus;
use boxlite_types::{BoxId, Error, ErrorCode, IsolationInfo, Resources, Result};
use rustix::fs::FlockOperation;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::Knobs;
use super::connection::serve;
use super::files::Files;
use super::stream::Process;

/// Where a box is connected to.
pub(super) const SOCKET_FILE: &str = "fake.sock";

const LOCK_FILE: &str = "fake.lock";

/// Says, to other processes too, that a box runs in a directory: a lock that the kernel lets go of with the process.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said, and not left to the last close: a child that another thread is just forking has the file open as well.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl Lock {
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join(LOCK_FILE);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Error::io("open", &path, error))?;
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Otherwise somebody was just looking, as we do here.
            if Self::holder(directory)?.is_some() {
                return Err(Error::new(ErrorCode::InUse, format!("a box runs in `{}`", directory.display())));
            }
        }
        Ok(Lock(file))
    }

    /// Returns the process that holds the lock of a directory, if one does.
    pub fn holder(directory: &Path) -> Result<Option<ProcessIdentity>> {
        let Ok(file) = File::open(directory.join(LOCK_FILE)) else { return Ok(None) };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(directory.join(LOCK_FILE)).unwrap_or_default();
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (pid, start) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Ok(Some(identity(pid as u32, start)))
    }

    fn note(&self, identity: &ProcessIdentity) {
        let text = format!("{} {}\n", identity.pid, identity.start_ticks);
        // Whole, in one call, into an empty file or over an equally long or longer line's beginning.
        let _ = rustix::fs::ftruncate(self.0.as_fd(), 0);
        let _ = rustix::io::write(&self.0, text.as_bytes());
    }
}

fn identity(pid: u32, start_ticks: u64) -> ProcessIdentity {
    ProcessIdentity { pid, start_ticks, boot_id: "fake".into() }
}

/// A box.
pub(super) struct Machine {
    pub id: BoxId,
    pub directory: PathBuf,
    pub identity: ProcessIdentity,
    pub files: Mutex<Files>,
    pub knobs: Arc<Knobs>,
    /// Cancelled when the box has ended and everything of it is recorded.
    pub gone: CancellationToken,
    pub main: Mutex<Main>,
    resources: Resources,
    hostname: String,
    owner: Mutex<Option<u64>>,
    ending: Mutex<Option<Ending>>,
}

/// The main command of a box.
#[derive(Default)]
pub(super) enum Main {
    #[default]
    NeverAsked,
    Runs(Arc<Process>),
    Ended,
}

struct Ending {
    _lock: Lock,
    /// Called once, with how the run ended, before the box counts as gone.
    record: Option<Recorder>,
}

type Recorder = Box<dyn FnOnce(&Machine, Option<ExitRecord>) + Send>;

impl Machine {
    pub fn new(request: &StartRequest, start: u64, lock: Lock, knobs: Arc<Knobs>) -> Result<Arc<Self>> {
        let identity = identity(std::process::id(), start);
        lock.note(&identity);
        Ok(Arc::new(Machine {
            id: request.id.clone(),
            directory: request.directory.clone(),
            identity,
            files: Mutex::new(Files::new()),
            knobs,
            gone: CancellationToken::new(),
            main: Mutex::default(),
            resources: request.resources,
            hostname: request.hostname.clone(),
            owner: Mutex::new(None),
            ending: Mutex::new(Some(Ending { _lock: lock, record: None })),
        }))
    }

    /// Takes connections on the engine's thread, until the box is gone.
    pub fn serve(
        self: &Arc<Self>,
        tokio: &tokio::runtime::Handle,
        record: impl FnOnce(&Machine, Option<ExitRecord>) + Send + 'static,
    ) -> Result<()> {
        if let Some(ending) = self.ending.lock().unwrap().as_mut() {
            ending.record = Some(Box::new(record));
        }
        let path = self.directory.join(SOCKET_FILE);
        let _ = std::fs::remove_file(&path);
        let _entered = tokio.enter();
        let listener = UnixListener::bind(&path).map_err(|error| Error::io("bind", &path, error))?;
        let machine = self.clone();
        tokio.spawn(async move {
            let mut number = 0;
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = machine.gone.cancelled() => return,
                };
                let Ok((stream, _)) = accepted else { return };
                number += 1;
                tokio::spawn(serve(machine.clone(), stream, number));
            }
        });
        Ok(())
    }

    /// Ends the box; the first end counts. `None` leaves no record.
    pub fn end(&self, record: Option<(i32, &str)>) {
        let Some(ending) = self.ending.lock().unwrap().take() else { return };
        let at = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs() as i64);
        let record = record.map(|(code, reason)| ExitRecord { code, reason: reason.into(), at });
        if let Some(recorder) = ending.record {
            recorder(self, record);
        }
        drop(ending._lock);
        self.gone.cancel();
    }

    pub fn is_gone(&self) -> bool {
        self.ending.lock().unwrap().is_none()
    }

    /// Ties the box to a connection. Returns whether it could be.
    pub fn own(&self, connection: u64) -> bool {
        let mut owner = self.owner.lock().unwrap();
        *owner.get_or_insert(connection) == connection
    }

    pub fn disown(&self, connection: u64) {
        self.owner.lock().unwrap().take_if(|owner| *owner == connection);
    }

    /// Hears that a connection is gone.
    pub fn disconnected(&self, connection: u64) {
        if *self.owner.lock().unwrap() == Some(connection) {
            self.end(Some((137, "owner died")));
        }
    }

    pub fn status(&self) -> ShimStatus {
        ShimStatus {
            pid: self.identity.pid,
            vmm_pid: self.identity.pid,
            started_ns: 0,
            isolation: IsolationInfo {
                engine: "fake".into(),
                accelerator: "none".into(),
                kernel: "0.0-fake".into(),
                confinement: Vec::new(),
                from_template: false,
            },
            owned: self.owner.lock().unwrap().is_some(),
            host_memory_bytes: 1 << 20,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        u64::from(self.resources.memory_mib) << 20
    }

    pub fn disk_bytes(&self) -> u64 {
        u64::from(self.resources.disk_mib) << 20
    }

    pub fn hostname(&self) -> &str {
        &self.hostname
    }
}
