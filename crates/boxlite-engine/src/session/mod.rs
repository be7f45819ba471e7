//! The library's end of the protocol: one connection to a box, many concurrent requests.
//!
//! A [`Session`] is cheap to clone; one task reads, one writes, and every request is a stream with windows of its own, so
//! that a reader who stalls holds up nobody else. What a stream buffers is bounded by its windows. Nothing here knows
//! which engine is behind the socket, or starts or stops anything.
//!
//! Dropping a handle is a cancellation: see [`RemoteProcess`], [`ArchiveSink`] and [`ArchiveSource`]. When the last
//! `Session` is dropped the socket closes, and streams that are still held end as if the box had stopped.

mod archive;
mod connection;
mod outgoing;
mod process;
mod queue;
mod stream;

use std::sync::Arc;

use boxlite_protocol::{AgentRequest, Answer, Exec, Frame, FrameKind, GetArchive, PutArchive, ShimRequest};
use boxlite_types::{Error, ErrorCode, Result};
use serde::Serialize;
use tokio::net::UnixStream;

pub use archive::{ArchiveSink, ArchiveSource};
pub use process::{Output, ProcessControl, RemoteProcess, Stdin};

use connection::{Connection, Tasks};
use stream::{OnDrop, StreamHandle};

/// A connection to a running box. Clones share it; it closes when the last clone is dropped.
#[derive(Clone)]
pub struct Session {
    connection: Arc<Connection>,
    _tasks: Arc<Tasks>,
}

impl Session {
    /// Takes over a connected socket and exchanges greetings on it.
    ///
    /// It waits as long as the other side does not speak: put a deadline around it.
    ///
    /// # Errors
    /// `Unsupported` if the other side speaks another generation of the protocol; `Network` if it breaks off or talks
    /// nonsense.
    pub async fn connect(mut stream: UnixStream) -> Result<Session> {
        connection::greet(&mut stream).await?;
        let (connection, tasks) = Connection::spawn(stream);
        Ok(Session { connection, _tasks: Arc::new(tasks) })
    }

    /// Asks the agent something that is answered in one piece. Dropping the future forgets the answer.
    ///
    /// # Errors
    /// The agent's own; `Stopped` if the connection is or gets lost.
    pub async fn request(&self, request: AgentRequest) -> Result<Answer> {
        self.open(FrameKind::AgentRequest, &request, OnDrop::Forget)?.outcome().await
    }

    /// Asks the shim something that is answered in one piece.
    ///
    /// # Errors
    /// As [`Session::request`].
    pub async fn shim(&self, request: ShimRequest) -> Result<Answer> {
        self.open(FrameKind::ShimRequest, &request, OnDrop::Forget)?.outcome().await
    }

    /// Runs a command; returns when it has begun. Dropping the future before kills it, also one that is to be detached.
    ///
    /// # Errors
    /// `NotFound` if there is no such program in the box, `Execution` if there is but it cannot be run,
    /// `InvalidArgument` for an unknown user, `ResourceExhausted` if the box is full, `Stopped` if the connection is lost.
    pub async fn exec(&self, exec: Exec) -> Result<RemoteProcess> {
        let on_drop = if exec.main { OnDrop::Forget } else { OnDrop::Kill };
        let (stdin, detach) = (exec.stdin, exec.detach);
        let mut handle = self.open(FrameKind::AgentRequest, &AgentRequest::Exec(exec), on_drop)?;
        let pid = handle.opened().await?.pid;
        if detach {
            handle.forget_on_drop();
        }
        Ok(RemoteProcess::new(handle, pid, stdin))
    }

    /// Attaches to the main command of the box, whose output from now on comes here.
    ///
    /// # Errors
    /// `NotFound` if the box has no main command, `InUse` if somebody is attached, `Stopped` if the connection is lost.
    pub async fn attach(&self) -> Result<RemoteProcess> {
        let handle = self.open(FrameKind::ShimRequest, &ShimRequest::Attach, OnDrop::Forget)?;
        let pid = handle.opened().await?.pid;
        Ok(RemoteProcess::new(handle, pid, true))
    }

    /// Begins to unpack a tar stream in the box: write it to the sink, then [`ArchiveSink::finish`].
    ///
    /// # Errors
    /// `NotFound` or `InvalidArgument` for a destination that is no directory, `Stopped` if the connection is lost.
    pub async fn put_archive(&self, request: PutArchive) -> Result<ArchiveSink> {
        let request = AgentRequest::PutArchive(request);
        let handle = self.open(FrameKind::AgentRequest, &request, OnDrop::Kill)?;
        handle.opened().await?;
        Ok(ArchiveSink::new(handle))
    }

    /// Begins to pack a path of the box as a tar stream.
    ///
    /// # Errors
    /// `NotFound` if there is no such path, `Stopped` if the connection is lost.
    pub async fn get_archive(&self, request: GetArchive) -> Result<ArchiveSource> {
        let request = AgentRequest::GetArchive(request);
        let handle = self.open(FrameKind::AgentRequest, &request, OnDrop::Kill)?;
        handle.opened().await?;
        Ok(ArchiveSource::new(handle))
    }

    /// Resolves when the connection is gone: the box stopped, its shim died, or nonsense was received.
    pub async fn closed(&self) {
        self.connection.closed().cancelled().await;
    }

    /// Returns whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.connection.closed().is_cancelled()
    }

    fn open<T: Serialize>(&self, kind: FrameKind, request: &T, on_drop: OnDrop) -> Result<StreamHandle> {
        let frame = Frame::message(0, kind, request);
        if frame.payload.len() > boxlite_protocol::MAX_MESSAGE_BYTES {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("request of {} bytes is too long for a box", frame.payload.len()),
            ));
        }
        StreamHandle::open(&self.connection, frame, on_drop)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("closed", &self.is_closed()).finish()
    }
}

/// What every request of a lost connection ends with.
fn box_stopped() -> Error {
    Error::new(ErrorCode::Stopped, "the box stopped")
}
