//! The handle to one box: its operations, each through the gate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boxlite_protocol::{AgentRequest, Answer, FileStat, GetArchive};
use boxlite_types::{
    BoxId, BoxInfo, BoxMetrics, Context, Error, ErrorCode, ExecSpec, Result, ResultExt, Signal,
};
use tokio::io::AsyncRead;

use crate::archive::{self, ArchiveReader, CopyOptions};
use crate::boxes::{self, Attach, Attached, Live};
use crate::core::{Core, count};
use crate::execution::Execution;
use crate::gate::Gate;
use crate::logs::{LogOptions, LogStream, logs};
use crate::operation::{Work, run};

/// How long a box may take to say what it uses.
const METRICS_PATIENCE: Duration = Duration::from_secs(10);

/// The handle to one box.
///
/// It is a name, not a connection: it stays good across stops and starts, and any number of them may name one box. Once
/// the box is removed its operations answer `NotFound`; once the runtime is shut down, `Stopped`.
#[derive(Clone)]
pub struct BoxHandle {
    id: BoxId,
    gate: Arc<Gate<Core>>,
}

impl std::fmt::Debug for BoxHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BoxHandle").field(&self.id).finish()
    }
}

impl BoxHandle {
    pub(crate) fn new(gate: Arc<Gate<Core>>, id: BoxId) -> Self {
        BoxHandle { id, gate }
    }

    /// Says whether the runtime is open, without any work: for a binding whose own handle was closed.
    ///
    /// # Errors
    /// `Stopped`; `ForkedProcess`.
    pub fn check_open(&self) -> Result<()> {
        self.gate.check()
    }

    /// Returns the id.
    pub fn id(&self) -> &BoxId {
        &self.id
    }

    /// Returns what is known of the box now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn info(&self) -> Result<BoxInfo> {
        let id = self.id.clone();
        run(&self.gate, "box.info", |work| async move {
            let row = work.row(&id).await?;
            Ok(work.cancellable(boxes::truth(&work, row)).await?.info)
        })
        .await
    }

    /// Starts the box, and its main command if it has one, whose output goes to the log. Returns when commands can run in
    /// it.
    ///
    /// Cancelled or failed, nothing of it runs and the box is as it was.
    ///
    /// # Errors
    /// `InvalidState` if it runs; `InUse` while another process starts it; `Unsupported` if the host lacks something, with
    /// what to do as the hint; `Engine`; those of [`BoxHandle::exec`] for the main command.
    pub async fn start(&self) -> Result<()> {
        let id = self.id.clone();
        run(
            &self.gate,
            "box.start",
            |work| async move { boxes::start(&work, &id, Attach::No).await.map(|_| ()) },
        )
        .await
    }

    /// Starts the box as [`BoxHandle::start`], attached to its main command from its first byte of output on.
    ///
    /// # Errors
    /// As [`BoxHandle::start`]; `InvalidState` if the box has no main command: it is not started then.
    pub async fn start_attached(&self) -> Result<Execution> {
        let (id, gate) = (self.id.clone(), self.gate.clone());
        run(&self.gate, "box.start", |work| async move {
            if work.row(&id).await?.info.spec.main.is_none() {
                return Err(Error::new(ErrorCode::InvalidState, format!("box `{id}` has no main command"))
                    .with(Context::Box, id.as_str())
                    .hint("start it without attaching, and run commands in it with `exec`"));
            }
            match boxes::start(&work, &id, Attach::Yes).await? {
                Some(attached) => Ok(attached_execution(&gate, &work, id, attached)),
                None => Err(Error::new(ErrorCode::Internal, "a main command was lost")),
            }
        })
        .await
    }

    /// Makes the box one that outlives the process that starts it, from its next start on. One that runs keeps the owner
    /// it has until it stops.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn detach(&self) -> Result<()> {
        let id = self.id.clone();
        run(&self.gate, "box.detach", |work| async move {
            let core: Arc<Core> = Arc::clone(&work);
            work.blocking(move || core.boxes.detach(&id)).await
        })
        .await
    }

    /// Stops the box if it runs, and starts it.
    ///
    /// # Errors
    /// Those of [`BoxHandle::stop`] and [`BoxHandle::start`]; `InvalidState` if it is removed when it stops, and runs.
    pub async fn restart(&self, timeout: Duration) -> Result<()> {
        let id = self.id.clone();
        run(&self.gate, "box.restart", |work| async move {
            work.cancellable(boxes::check_restart(&work, &id)).await?;
            work.cancellable(boxes::stop(&work, &id, timeout)).await?;
            boxes::start(&work, &id, Attach::No).await.map(|_| ())
        })
        .await
    }

    /// Runs a command. Returns when it has begun; dropping the future before kills it.
    ///
    /// # Errors
    /// `InvalidState` if the box does not run; `InvalidArgument` for a malformed command or an unknown user; `NotFound` if
    /// there is no such program in the box, `Execution` if it cannot be run.
    pub async fn exec(&self, spec: ExecSpec) -> Result<Execution> {
        let (id, gate) = (self.id.clone(), self.gate.clone());
        run(&self.gate, "box.exec", |work| async move {
            let program = spec.argv.first().cloned().unwrap_or_default();
            let begun = async {
                let live = boxes::connect(&work, &id).await?;
                let exec = live.defaults.exec(&spec)?;
                live.session.exec(exec).await
            };
            match work.cancellable(begun).await.with(Context::Box, &id) {
                Ok(process) => {
                    count(&work.counters.commands_executed);
                    Ok(Execution::new(&gate, &work, id, program, process, None))
                }
                Err(error) => {
                    count(&work.counters.exec_errors);
                    Err(error)
                }
            }
        })
        .await
    }

    /// Attaches to the main command: what it prints from now on comes here as well as into the log.
    ///
    /// # Errors
    /// `InvalidState` if the box does not run; `NotFound` if it has no main command; `InUse` if somebody is attached.
    pub async fn attach(&self) -> Result<Execution> {
        let (id, gate) = (self.id.clone(), self.gate.clone());
        run(&self.gate, "box.attach", |work| async move {
            let attached = work.cancellable(attach(&work, &id)).await.with(Context::Box, &id)?;
            Ok(attached_execution(&gate, &work, id, attached))
        })
        .await
    }

    /// Stops the box: asks every process in it to end, unmounts its disk, and kills what is left after `timeout`. A box
    /// that does not run is stopped already.
    ///
    /// # Errors
    /// `InvalidState` while it is being started.
    pub async fn stop(&self, timeout: Duration) -> Result<()> {
        let id = self.id.clone();
        run(
            &self.gate,
            "box.stop",
            |work| async move { work.cancellable(boxes::stop(&work, &id, timeout)).await },
        )
        .await
    }

    /// Kills the box at once: what its commands had not written to its disk is lost.
    ///
    /// # Errors
    /// `InvalidState` while it is being started.
    pub async fn kill(&self) -> Result<()> {
        let id = self.id.clone();
        run(&self.gate, "box.kill", |work| async move { work.cancellable(boxes::kill(&work, &id)).await })
            .await
    }

    /// Sends a signal to the process group of the main command, of which no one may be attached.
    ///
    /// # Errors
    /// As [`BoxHandle::attach`]; `InvalidArgument` for a number that is no signal.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id.clone();
        run(&self.gate, "box.signal", |work| async move {
            let signalled = async {
                let attached = attach(&work, &id).await?;
                attached.process.control.signal(signal).await?;
                // The answer proves that the signal, sent before on the same connection, has arrived.
                boxes::status(&attached.session).await.map(|_| ())
            };
            work.cancellable(signalled).await.with(Context::Box, &id)
        })
        .await
    }

    /// Waits until the box has stopped, and returns its exit code: the main command's, 0 after a stop, 137 after a kill.
    ///
    /// # Errors
    /// `InvalidState` if it was never started; `NotFound` if it was removed and nobody of this runtime watched it.
    pub async fn wait(&self) -> Result<i32> {
        let id = self.id.clone();
        run(&self.gate, "box.wait", |work| async move { work.cancellable(boxes::wait(&work, &id)).await })
            .await
    }

    /// Copies a file or directory of the host into the box, which has to run. Where it lands follows `docker cp`:
    /// an existing directory takes the source under its name, anything else is the name itself; `dir/.` means the
    /// contents of `dir`.
    ///
    /// # Errors
    /// `NotFound` for a source that does not exist; `InvalidArgument` for two paths that do not go together;
    /// `AlreadyExists`; `InvalidState` if the box does not run.
    pub async fn copy_in(&self, host: impl AsRef<Path>, inside: &str, options: CopyOptions) -> Result<()> {
        let (id, host, inside) = (self.id.clone(), host.as_ref().to_owned(), inside.to_owned());
        run(&self.gate, "box.copy_in", |work| async move {
            archive::copy_in(&work, &id, host, inside, options).await.with(Context::Box, &id)
        })
        .await
    }

    /// Copies a file or directory of the box, which has to run, to the host, by the same rules. Everything belongs to the
    /// caller afterwards; device nodes are refused, set-user-id bits dropped, and no path leaves the destination, whatever
    /// the box sends.
    ///
    /// # Errors
    /// As [`BoxHandle::copy_in`]; `Unsupported` for a device node.
    pub async fn copy_out(&self, inside: &str, host: impl AsRef<Path>, options: CopyOptions) -> Result<()> {
        let (id, inside, host) = (self.id.clone(), inside.to_owned(), host.as_ref().to_owned());
        run(&self.gate, "box.copy_out", |work| async move {
            archive::copy_out(&work, &id, inside, host, options).await.with(Context::Box, &id)
        })
        .await
    }

    /// Unpacks a tar archive in an existing directory of the box.
    ///
    /// # Errors
    /// As [`BoxHandle::copy_in`]; the reader's own as `Storage`.
    pub async fn put_archive(
        &self,
        directory: &str,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: CopyOptions,
    ) -> Result<()> {
        let (id, directory) = (self.id.clone(), directory.to_owned());
        run(&self.gate, "box.put_archive", |work| async move {
            archive::put_archive(&work, &id, directory, archive, options).await.with(Context::Box, &id)
        })
        .await
    }

    /// Packs a file or directory of the box as a tar archive.
    ///
    /// # Errors
    /// `NotFound`; `InvalidState` if the box does not run.
    pub async fn get_archive(&self, path: &str, options: CopyOptions) -> Result<ArchiveReader> {
        let (id, path, gate) = (self.id.clone(), path.to_owned(), self.gate.clone());
        run(&self.gate, "box.get_archive", |work| async move {
            archive::check_inside(&path)?;
            let begun = async {
                let live = boxes::connect(&work, &id).await?;
                let request = GetArchive { path: path.into(), follow_symlinks: options.follow_symlinks };
                live.session.get_archive(request).await
            };
            let source = work.cancellable(begun).await.with(Context::Box, &id)?;
            Ok(ArchiveReader::new(source, &gate))
        })
        .await
    }

    /// Looks up what is at an absolute path in the box.
    ///
    /// # Errors
    /// `NotFound`; `InvalidState` if the box does not run.
    pub async fn stat(&self, path: &str, follow_symlinks: bool) -> Result<FileStat> {
        let (id, path) = (self.id.clone(), path.to_owned());
        run(&self.gate, "box.stat", |work| async move {
            archive::check_inside(&path)?;
            let live = work.cancellable(boxes::connect(&work, &id)).await?;
            archive::stat(&work, &live, &path, follow_symlinks).await.with(Context::Box, &id)
        })
        .await
    }

    /// Returns what the box uses at this moment.
    ///
    /// # Errors
    /// `InvalidState` if it does not run; `Timeout` if it does not answer.
    pub async fn metrics(&self) -> Result<BoxMetrics> {
        let id = self.id.clone();
        run(&self.gate, "box.metrics", |work| async move {
            let measured = async {
                let live = boxes::connect(&work, &id).await?;
                match tokio::time::timeout(METRICS_PATIENCE, measure(&live)).await {
                    Ok(metrics) => metrics,
                    Err(_) => Err(Error::new(ErrorCode::Timeout, format!("box `{id}` does not answer"))),
                }
            };
            work.cancellable(measured).await.with(Context::Box, &id)
        })
        .await
    }

    /// Reads what its main command printed, whether the box runs or not.
    ///
    /// # Errors
    /// `NotFound` if there is no such box.
    pub async fn logs(&self, options: LogOptions) -> Result<LogStream> {
        let (id, gate) = (self.id.clone(), self.gate.clone());
        run(&self.gate, "box.logs", |work| async move {
            work.row(&id).await?;
            Ok(logs(&gate, &work, id, options))
        })
        .await
    }

    /// Removes the box and its disk; one that runs only if `force` is set, which kills it.
    ///
    /// # Errors
    /// `InvalidState` if it runs; `InUse` while another process starts it.
    pub async fn remove(&self, force: bool) -> Result<()> {
        let id = self.id.clone();
        run(&self.gate, "box.remove", |work| async move { boxes::remove(&work, &id, force).await }).await
    }
}

/// Attaches over a connection of its own: closing that is how the main command is let go of.
async fn attach(work: &Work, id: &BoxId) -> Result<Attached> {
    let live = boxes::connect(work, id).await?;
    let session = work.engine.connect(&work.home.box_directory(id)).await?;
    let session = session.ok_or_else(|| Error::new(ErrorCode::Stopped, format!("box `{id}` stopped")))?;
    let main = live.row.info.spec.main.as_ref();
    let program = main.and_then(|main| main.argv.first().cloned()).unwrap_or_default();
    let process = session.attach().await?;
    Ok(Attached { session, process, program })
}

fn attached_execution(gate: &Arc<Gate<Core>>, work: &Work, id: BoxId, attached: Attached) -> Execution {
    Execution::new(gate, work, id, attached.program, attached.process, Some(attached.session))
}

async fn measure(live: &Live) -> Result<BoxMetrics> {
    let (answer, status) =
        tokio::join!(live.session.request(AgentRequest::Metrics), boxes::status(&live.session));
    let guest = match answer? {
        Answer::Metrics(guest) => guest,
        other => return Err(Error::new(ErrorCode::Internal, format!("an agent answered {other:?}"))),
    };
    let status = status?;
    let now_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos() as u64);
    Ok(BoxMetrics {
        cpu_usec: guest.cpu_usec,
        memory_used_bytes: guest.memory_used_bytes,
        memory_total_bytes: guest.memory_total_bytes,
        disk_used_bytes: guest.disk_used_bytes,
        disk_total_bytes: guest.disk_total_bytes,
        processes: guest.processes,
        uptime_secs: now_ns.saturating_sub(status.started_ns) / 1_000_000_000,
        host_memory_bytes: status.host_memory_bytes,
    })
}
