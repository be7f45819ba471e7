//! The one pass over a layer: receive, hash, keep, inflate, hash, convert; each byte touched once, on three threads.
//!
//! ```text
//! network task ─Bytes─> receive: SHA-256, write to ingest/ ─Bytes─> inflate ─buffers─> apply: SHA-256, LayerWriter
//!                       (first the bytes of an earlier attempt)           <─buffers─
//! ```
//!
//! All channels are bounded, so memory does not depend on the layer. A stage that loses its neighbour stops quietly;
//! `receive` alone goes on to the end, because whether the blob is what its digest promises decides how a failure further
//! down is to be read. Nothing is made durable before both digests are known to be right.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use boxlite_rootfs::{Appender, LayerLimits, LayerSummary, LayerWriter};
use boxlite_types::{Context, DiffId, Digest, Error, ErrorCode, Result};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::inflate::Inflate;
use crate::locks::LockGuard;
use crate::media::Compression;

/// Pieces waiting between network and `receive`, and between `receive` and `inflate`. The HTTP library's pieces are at
/// most some 400 KiB.
const PIECES: usize = 4;
/// Buffers between `inflate` and `apply`, and the size of each.
const BUFFERS: (usize, usize) = (4, 512 << 10);
/// Pieces in which the bytes of an earlier attempt are read.
const HELD_PIECE_BYTES: usize = 256 << 10;

/// What goes through.
pub(crate) struct Job {
    /// Digest and size the blob must have.
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
    /// Digest the plain tar must have.
    pub(crate) diff_id: DiffId,
    /// File that holds the first `held_bytes` of the blob, opened at its start.
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) held_bytes: u64,
    /// Empty directory for the converted layer; none if it is only to be verified.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) limits: LayerLimits,
    /// Locks that must not be let go before the last thread is done with the files.
    pub(crate) locks: Vec<Arc<LockGuard>>,
}

/// What came out.
pub(crate) enum Outcome {
    /// Both digests are right, and both the blob and the layer are durable under their temporary names.
    Converted(LayerSummary),
    /// The blob is not what its digest promises.
    BadBlob(Error),
    /// The blob is what its digest promises, but no valid layer of this image.
    BadLayer(Error),
    /// The blob is incomplete: whoever fed it knows why.
    Incomplete,
    /// A file of the home could not be read or written.
    Failed(Error),
}

/// How a stage ended.
enum Stage<T> {
    Done(T),
    Broken(Error),
    /// A neighbour went away first.
    Abandoned,
}

enum Received {
    Complete,
    Wrong(Error),
}

/// What is handed from `receive` to `inflate`, and from `inflate` to `apply`. A channel that closes without `End` means
/// that there will be none.
enum Piece<T> {
    More(T),
    End,
}

/// A buffer and how much of it is filled.
type Filled = (Box<[u8]>, usize);

/// A running pipeline.
pub(crate) struct Pipeline {
    feed: Option<mpsc::Sender<Bytes>>,
    receive: oneshot::Receiver<Stage<Received>>,
    inflate: oneshot::Receiver<Stage<()>>,
    apply: oneshot::Receiver<Stage<LayerSummary>>,
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(job: Job) -> Result<Self> {
        let Job { digest, size, compression, diff_id, file, path, held_bytes, directory, limits, locks } =
            job;
        let (feed, fed) = mpsc::channel(PIECES);
        let (compressed, compressed_out) = sync_channel(PIECES);
        let (plain, plain_out) = sync_channel(BUFFERS.0);
        let (give_back, empty) = sync_channel(BUFFERS.0);
        let locks = Arc::new(locks);
        let receive = spawn("boxlite-receive", locks.clone(), move || {
            receive(file, &path, held_bytes, digest, size, fed, compressed)
        })?;
        let inflate = spawn("boxlite-inflate", locks.clone(), move || {
            inflate(compression, &compressed_out, &empty, &plain)
        })?;
        let apply = spawn("boxlite-apply", locks, move || {
            apply(directory.as_deref(), &limits, diff_id, &plain_out, &give_back)
        })?;
        Ok(Pipeline { feed: Some(feed), receive, inflate, apply })
    }

    /// Feeds the next bytes of the blob; answers whether more are wanted.
    pub(crate) async fn push(&self, bytes: Bytes) -> bool {
        match &self.feed {
            Some(feed) => feed.send(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Ends the feed, complete or not, and waits for every thread.
    pub(crate) async fn finish(mut self) -> Outcome {
        self.feed = None;
        let receive = ended(self.receive.await);
        let inflate = ended(self.inflate.await);
        let apply = ended(self.apply.await);
        match receive {
            Stage::Broken(error) => return Outcome::Failed(error),
            Stage::Abandoned => return Outcome::Incomplete,
            Stage::Done(Received::Wrong(error)) => return Outcome::BadBlob(error),
            Stage::Done(Received::Complete) => {}
        }
        match (inflate, apply) {
            (Stage::Broken(error), _) | (_, Stage::Broken(error)) => match error.code() {
                ErrorCode::Storage | ErrorCode::NoSpace | ErrorCode::Internal => Outcome::Failed(error),
                _ => Outcome::BadLayer(error),
            },
            (_, Stage::Done(summary)) => Outcome::Converted(summary),
            (_, Stage::Abandoned) => {
                Outcome::Failed(Error::new(ErrorCode::Internal, "a layer came to no end"))
            }
        }
    }
}

fn ended<T>(stage: Result<Stage<T>, oneshot::error::RecvError>) -> Stage<T> {
    // The sender is dropped unused only if the thread panicked.
    stage.unwrap_or_else(|_| Stage::Broken(Error::new(ErrorCode::Internal, "a thread of the pull panicked")))
}

fn spawn<T: Send + 'static>(
    name: &str,
    locks: Arc<Vec<Arc<LockGuard>>>,
    body: impl FnOnce() -> Stage<T> + Send + 'static,
) -> Result<oneshot::Receiver<Stage<T>>> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        let stage = body();
        drop(locks);
        let _ = done.send(stage);
    });
    thread.map_err(|error| {
        Error::new(ErrorCode::ResourceExhausted, format!("cannot start a thread: {error}")).caused_by(error)
    })?;
    Ok(result)
}

/// Hashes and keeps the blob, and passes it on as long as somebody takes it.
fn receive(
    mut file: File,
    path: &Path,
    held_bytes: u64,
    digest: Digest,
    size: u64,
    mut fed: mpsc::Receiver<Bytes>,
    next: SyncSender<Piece<Bytes>>,
) -> Stage<Received> {
    let mut hash = Sha256::new();
    let mut next = Some(next);
    let mut count = 0;
    let mut pass = |bytes: Bytes| {
        if next.as_ref().is_some_and(|sender| sender.send(Piece::More(bytes)).is_err()) {
            next = None;
        }
    };
    while count < held_bytes {
        let mut piece = vec![0; HELD_PIECE_BYTES.min((held_bytes - count) as usize)];
        match file.read(&mut piece) {
            Ok(0) => return Stage::Broken(Error::io("read", path, std::io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => piece.truncate(length),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Stage::Broken(Error::io("read", path, error)),
        }
        count += piece.len() as u64;
        hash.update(&piece);
        pass(piece.into());
    }
    let written = count < size;
    let mut blob = Appender::new(file, path, count);
    while let Some(bytes) = fed.blocking_recv() {
        if let Err(error) = blob.append(&bytes) {
            return Stage::Broken(error);
        }
        count += bytes.len() as u64;
        hash.update(&bytes);
        pass(bytes);
    }
    if count != size {
        // What has come is what a later attempt goes on from.
        return blob.flush().map_or_else(Stage::Broken, |()| Stage::Abandoned);
    }
    let found = Digest::from_bytes(hash.finalize().into());
    if found != digest {
        let message = format!("blob `{digest}` has the digest `{found}`");
        let error = Error::new(ErrorCode::DigestMismatch, message).with(Context::Digest, digest.to_string());
        return Stage::Done(Received::Wrong(error));
    }
    if let Some(next) = next {
        let _ = next.send(Piece::End);
    }
    if written && let Err(error) = blob.finish() {
        return Stage::Broken(error);
    }
    Stage::Done(Received::Complete)
}

/// Decompresses into buffers that `apply` gives back.
fn inflate(
    compression: Compression,
    input: &Receiver<Piece<Bytes>>,
    empty: &Receiver<Box<[u8]>>,
    next: &SyncSender<Piece<Filled>>,
) -> Stage<()> {
    let mut stream = match Inflate::new(compression) {
        Ok(stream) => stream,
        Err(error) => return Stage::Broken(error),
    };
    // The first buffers are made as they are needed: a small layer needs one.
    let mut unmade = BUFFERS.0;
    let mut take_buffer = || match empty.try_recv() {
        Ok(buffer) => Some(buffer),
        Err(_) if unmade > 0 => {
            unmade -= 1;
            Some(vec![0; BUFFERS.1].into_boxed_slice())
        }
        Err(_) => empty.recv().ok(),
    };
    let Some(mut buffer) = take_buffer() else { return Stage::Abandoned };
    let mut filled = 0;
    loop {
        let bytes = match input.recv() {
            Ok(Piece::More(bytes)) => bytes,
            Ok(Piece::End) => break,
            Err(_) => return Stage::Abandoned,
        };
        let mut rest = &bytes[..];
        loop {
            let (consumed, produced) = match stream.step(rest, &mut buffer[filled..]) {
                Ok(used) => used,
                Err(error) => return Stage::Broken(error),
            };
            rest = &rest[consumed..];
            filled += produced;
            if filled < buffer.len() {
                if rest.is_empty() || (consumed, produced) == (0, 0) {
                    break;
                }
                continue;
            }
            let Some(empty) = take_buffer() else { return Stage::Abandoned };
            if next.send(Piece::More((std::mem::replace(&mut buffer, empty), filled))).is_err() {
                return Stage::Abandoned;
            }
            filled = 0;
        }
    }
    if let Err(error) = stream.finish() {
        return Stage::Broken(error);
    }
    let sent = next.send(Piece::More((buffer, filled))).and_then(|()| next.send(Piece::End));
    if sent.is_ok() { Stage::Done(()) } else { Stage::Abandoned }
}

/// Hashes the tar and converts it.
fn apply(
    directory: Option<&Path>,
    limits: &LayerLimits,
    diff_id: DiffId,
    input: &Receiver<Piece<Filled>>,
    give_back: &SyncSender<Box<[u8]>>,
) -> Stage<LayerSummary> {
    let mut writer = match directory.map(|directory| LayerWriter::create(directory, limits)).transpose() {
        Ok(writer) => writer,
        Err(error) => return Stage::Broken(error),
    };
    let mut hash = Sha256::new();
    loop {
        match input.recv() {
            Ok(Piece::More((buffer, filled))) => {
                hash.update(&buffer[..filled]);
                let written = writer.as_mut().map_or(Ok(()), |writer| writer.write(&buffer[..filled]));
                if let Err(error) = written {
                    return Stage::Broken(error);
                }
                // `inflate` may be gone already; then the buffer is not needed any more.
                let _ = give_back.send(buffer);
            }
            Ok(Piece::End) => break,
            Err(_) => return Stage::Abandoned,
        }
    }
    let found = Digest::from_bytes(hash.finalize().into());
    if found != diff_id {
        return Stage::Broken(Error::new(
            ErrorCode::DigestMismatch,
            format!("layer has the DiffID `{found}`, not `{diff_id}` as the image configuration says"),
        ));
    }
    match writer.map_or_else(|| Ok(LayerSummary::default()), LayerWriter::finish) {
        Ok(summary) => Stage::Done(summary),
        Err(error) => Stage::Broken(error),
    }
}
