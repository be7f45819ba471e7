//! The socket, the task that reads it, the task that writes it, and the table of streams.
//!
//! The reader never waits for anybody: what it receives goes into a stream's bounded queue or is thrown away. A peer that
//! sends more than it was granted, or no frame at all, is cut off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use boxlite_protocol::{
    Channel, Frame, FrameError, FrameKind, GENERATION, HEADER_BYTES, Header, Hello, Opened, Outcome,
};
use boxlite_types::{Error, ErrorCode, Result};
use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::box_stopped;
use super::outgoing::Outgoing;
use super::stream::Stream;

/// Room made for one read of the socket: grows while reads fill it, so that an idle connection costs little.
const LEAST_READ_BYTES: usize = 8 * 1024;
const MOST_READ_BYTES: usize = 256 * 1024;

pub(super) struct Connection {
    streams: Mutex<Streams>,
    outgoing: Outgoing,
    closed: CancellationToken,
}

#[derive(Default)]
struct Streams {
    open: HashMap<u32, Arc<Stream>>,
    last_id: u32,
    closed: bool,
}

/// Ends both tasks, and with them the socket, when the last session is dropped.
pub(super) struct Tasks {
    connection: Arc<Connection>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
        self.connection.close();
    }
}

/// Says hello and checks the other side's.
pub(super) async fn greet(stream: &mut UnixStream) -> Result<()> {
    let lost = |error: std::io::Error| {
        Error::new(ErrorCode::Network, format!("the box broke off before its greeting: {error}"))
            .caused_by(error)
    };
    let nonsense =
        |error: FrameError| Error::new(ErrorCode::Network, format!("the box does not greet: {error}"));
    let hello = Hello { generation: GENERATION, build: env!("CARGO_PKG_VERSION").to_owned() };
    let mut bytes = Vec::new();
    Frame::message(0, FrameKind::Hello, &hello).encode_into(&mut bytes);
    stream.write_all(&bytes).await.map_err(lost)?;

    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await.map_err(lost)?;
    let header = Header::decode(&header).map_err(nonsense)?;
    if header.kind != FrameKind::Hello {
        return Err(nonsense(FrameError::Malformed));
    }
    let mut payload = vec![0; header.length as usize];
    stream.read_exact(&mut payload).await.map_err(lost)?;
    let frame = Frame { stream: header.stream, kind: header.kind, channel: header.channel, payload };
    let theirs: Hello = frame.decode().map_err(nonsense)?;
    if theirs.generation != GENERATION {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!(
                "the box speaks generation {} of the protocol (build `{}`), this program generation {GENERATION}",
                theirs.generation, theirs.build
            ),
        )
        .hint("restart the box with this version of BoxLite"));
    }
    Ok(())
}

impl Connection {
    pub(super) fn spawn(stream: UnixStream) -> (Arc<Connection>, Tasks) {
        let connection = Arc::new(Connection {
            streams: Mutex::default(),
            outgoing: Outgoing::default(),
            closed: CancellationToken::new(),
        });
        let (read_half, write_half) = stream.into_split();
        let guard = CloseGuard(connection.clone());
        let reader = tokio::spawn(async move {
            if let Err(error) = guard.0.read(read_half).await {
                tracing::debug!(%error, "connection to the box lost");
            }
        });
        let guard = CloseGuard(connection.clone());
        let writer = tokio::spawn(async move {
            let closed = guard.0.closed.clone();
            tokio::select! {
                _ = guard.0.outgoing.drain_into(write_half) => {}
                () = closed.cancelled() => {}
            }
        });
        (connection.clone(), Tasks { connection, reader, writer })
    }

    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Sends a frame on its way.
    pub(super) fn send(&self, frame: &Frame) {
        self.outgoing.push(frame.header(), &frame.payload);
    }

    /// Sends a data frame on its way.
    pub(super) fn send_data(&self, stream: u32, channel: Channel, payload: &[u8]) {
        let length = payload.len() as u32;
        self.outgoing.push(Header { length, stream, kind: FrameKind::Data, channel }, payload);
    }

    /// Enters a new stream and sends its opening frame.
    pub(super) fn open(&self, mut request: Frame) -> Result<Arc<Stream>> {
        let mut streams = self.streams.lock().unwrap();
        if streams.closed {
            return Err(box_stopped());
        }
        let mut id = streams.last_id;
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if !streams.open.contains_key(&id) {
                break;
            }
        }
        streams.last_id = id;
        let stream = Arc::new(Stream::new(id));
        streams.open.insert(id, stream.clone());
        request.stream = id;
        self.send(&request);
        Ok(stream)
    }

    fn close(&self) {
        let open = {
            let mut streams = self.streams.lock().unwrap();
            streams.closed = true;
            std::mem::take(&mut streams.open)
        };
        open.values().for_each(|stream| stream.end(Err((&box_stopped()).into())));
        self.closed.cancel();
        self.outgoing.close();
    }

    async fn read(&self, mut socket: impl AsyncRead + Unpin) -> Result<(), ReadError> {
        let mut buffer = BytesMut::new();
        let mut room = LEAST_READ_BYTES;
        loop {
            buffer.reserve(room);
            let count = socket.read_buf(&mut buffer).await.map_err(ReadError::Socket)?;
            if count == 0 {
                return Ok(());
            }
            room =
                if count >= room { (room * 2).min(MOST_READ_BYTES) } else { LEAST_READ_BYTES.max(room / 2) };
            while let Some(header) = buffer.first_chunk::<HEADER_BYTES>() {
                let header = Header::decode(header).map_err(ReadError::Frame)?;
                let length = header.length as usize;
                if buffer.len() < HEADER_BYTES + length {
                    buffer.reserve(HEADER_BYTES + length - buffer.len());
                    break;
                }
                buffer.advance(HEADER_BYTES);
                let payload = buffer.split_to(length).freeze();
                self.receive(header, payload).map_err(ReadError::Frame)?;
            }
        }
    }

    fn receive(&self, header: Header, payload: Bytes) -> Result<(), FrameError> {
        let stream = self.streams.lock().unwrap().open.get(&header.stream).cloned();
        // Frames of a stream that is over are no error: they crossed its end on the way.
        let Some(stream) = stream else { return Ok(()) };
        match header.kind {
            FrameKind::Data => {
                let granted = stream.receive(header.channel, payload).ok_or(FrameError::Malformed)?;
                if granted > 0 {
                    self.send(&Frame::credit(header.stream, header.channel, granted));
                }
            }
            FrameKind::Eof => stream.receive_eof(header.channel),
            FrameKind::Credit => {
                let bytes = <[u8; 4]>::try_from(&payload[..]);
                let bytes = bytes.map_err(|_| FrameError::Undecodable(header.kind))?;
                stream.receive_credit(u32::from_le_bytes(bytes));
            }
            FrameKind::Opened => stream.begin(decode::<Opened>(header, payload)?),
            FrameKind::End => {
                // Decoded first: a stream whose end cannot be read must still be there to be ended by `close`.
                let outcome = decode::<Outcome>(header, payload)?;
                self.streams.lock().unwrap().open.remove(&header.stream);
                stream.end(outcome);
            }
            FrameKind::Hello | FrameKind::AgentRequest | FrameKind::ShimRequest | FrameKind::Control => {
                return Err(FrameError::Malformed);
            }
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(header: Header, payload: Bytes) -> Result<T, FrameError> {
    Frame { stream: header.stream, kind: header.kind, channel: header.channel, payload: payload.into() }
        .decode()
}

/// Closes the connection when its task ends, in whatever way: also when the async runtime goes away under it.
struct CloseGuard(Arc<Connection>);

impl Drop for CloseGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

enum ReadError {
    Socket(std::io::Error),
    Frame(FrameError),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Socket(error) => error.fmt(f),
            ReadError::Frame(error) => error.fmt(f),
        }
    }
}
