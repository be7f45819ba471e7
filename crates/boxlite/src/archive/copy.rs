//! The copies themselves: a blocking thread that reads or writes the host, a pipe, and a stream of the box.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use boxlite_protocol::{AgentRequest, Answer, FileStat, GetArchive, PutArchive};
use boxlite_types::{BoxId, Context, Error, ErrorCode, Event, Result};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;

use super::place::{Kind, is_contents, place, split};
use super::{CopyOptions, pack, pipe, unpack};
use crate::boxes::{Live, connect};
use crate::execution::from_io;
use crate::operation::Work;

const DIRECTORY_TYPE: u32 = 0o040000;
const TYPE_MASK: u32 = 0o170000;

/// Copies a file or directory of the host into a box.
pub(crate) async fn copy_in(
    work: &Work,
    id: &BoxId,
    host: PathBuf,
    inside: String,
    options: CopyOptions,
) -> Result<()> {
    check_inside(&inside)?;
    let live = work.cancellable(connect(work, id)).await?;
    let source = work.blocking({
        let options = options.clone();
        move || look_at_source(&host, options.follow_symlinks)
    });
    let source = source.await?;
    let found = kind_inside(work, &live, &inside).await?;
    let place = place(&source.shown, &source.name, source.kind, &inside, found)?;

    let request =
        PutArchive { path: place.directory.into_bytes(), overwrite: options.overwrite, owner: options.owner };
    let (sender, receiver) = pipe::channel();
    let packing = tokio::task::spawn_blocking(move || {
        pack::pack(&source.path, place.name.as_deref(), pipe::BlockingWriter::new(sender))
    });
    let sent = work.cancellable(send(&live, request, ChunkReader::new(receiver))).await;
    // The receiver is gone by now: a thread that still packs ends at its next chunk.
    let packed =
        packing.await.unwrap_or_else(|error| Err(Error::new(ErrorCode::Internal, error.to_string())));
    // Whichever side failed by itself knows why; the other one only saw the pipe break, or an archive that is cut off.
    match (sent, packed) {
        (_, Err(packed)) if !broke_pipe(&packed) => Err(packed),
        (sent, _) => sent,
    }?;
    work.emit(Event::FileCopiedIn { id: id.clone(), path: inside });
    Ok(())
}

/// Unpacks a tar archive in a directory of a box.
pub(crate) async fn put_archive(
    work: &Work,
    id: &BoxId,
    directory: String,
    archive: impl AsyncRead + Send + Unpin,
    options: CopyOptions,
) -> Result<()> {
    check_inside(&directory)?;
    let live = work.cancellable(connect(work, id)).await?;
    let request = PutArchive {
        path: directory.clone().into_bytes(),
        overwrite: options.overwrite,
        owner: options.owner,
    };
    work.cancellable(send(&live, request, archive)).await?;
    work.emit(Event::FileCopiedIn { id: id.clone(), path: directory });
    Ok(())
}

/// Copies a file or directory of a box to the host.
pub(crate) async fn copy_out(
    work: &Work,
    id: &BoxId,
    inside: String,
    host: PathBuf,
    options: CopyOptions,
) -> Result<()> {
    check_inside(&inside)?;
    let live = work.cancellable(connect(work, id)).await?;
    let follow = options.follow_symlinks || inside.ends_with('/') || is_contents(&inside);
    let stat = stat(work, &live, &inside, follow).await?;
    let kind = if stat.mode & TYPE_MASK == DIRECTORY_TYPE { Kind::Directory } else { Kind::Other };
    let found = host.clone();
    let found = work.blocking(move || kind_on_host(&found)).await?;
    let destination = host.to_str().ok_or_else(|| not_utf8(&host))?;
    let name = split(inside.trim_end_matches("/.")).1.unwrap_or_default();
    let place = place(&inside, name, kind, destination, found)?;

    let request = GetArchive { path: inside.clone().into_bytes(), follow_symlinks: follow };
    let mut source = work.cancellable(live.session.get_archive(request)).await?;
    let (sender, receiver) = pipe::channel();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut archive = pipe::BlockingReader::new(receiver);
        let directory = Path::new(&place.directory);
        unpack::unpack(&mut archive, directory, place.name.as_deref(), options.overwrite)?;
        // Padding may follow the end of the archive; the box only says that all is well when it is taken.
        io::copy(&mut archive, &mut io::sink()).map_err(from_io).map(|_| ())
    });
    let received = work.cancellable(receive(&mut source, sender)).await;
    let unpacked =
        unpacking.await.unwrap_or_else(|error| Err(Error::new(ErrorCode::Internal, error.to_string())));
    match (received, unpacked) {
        // The thread gave up, so its reason is the reason.
        (Err(Broken::Pipe), Err(unpacked)) => Err(unpacked),
        (Err(Broken::Pipe), Ok(())) => Ok(()),
        (Err(Broken::Box(error)), _) => Err(error),
        (Ok(()), unpacked) => unpacked,
    }?;
    work.emit(Event::FileCopiedOut { id: id.clone(), path: inside });
    Ok(())
}

async fn send(
    live: &Arc<Live>,
    request: PutArchive,
    mut archive: impl AsyncRead + Send + Unpin,
) -> Result<()> {
    let mut sink = live.session.put_archive(request).await?;
    let mut buffer = vec![0; pipe::CHUNK_BYTES];
    loop {
        let count = archive.read(&mut buffer).await.map_err(from_io)?;
        if count == 0 {
            break;
        }
        match sink.write_all(&buffer[..count]).await {
            Ok(()) => {}
            // The archive had ended before its bytes did: what follows its end mark means nothing.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(from_io(error)),
        }
    }
    sink.finish().await
}

/// Returns whether packing failed only because nobody took the archive any more.
fn broke_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

enum Broken {
    /// The thread that unpacks has ended.
    Pipe,
    /// The box, or the caller, broke off.
    Box(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::Box(error)
    }
}

async fn receive(
    source: &mut (impl AsyncRead + Unpin),
    sender: mpsc::Sender<Bytes>,
) -> std::result::Result<(), Broken> {
    let mut buffer = vec![0; pipe::CHUNK_BYTES];
    loop {
        let count = source.read(&mut buffer).await.map_err(|error| Broken::Box(from_io(error)))?;
        if count == 0 {
            return Ok(());
        }
        sender.send(Bytes::copy_from_slice(&buffer[..count])).await.map_err(|_| Broken::Pipe)?;
    }
}

/// The reading end of a pipe, for asynchronous code.
struct ChunkReader {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl ChunkReader {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        ChunkReader { receiver, chunk: Bytes::new() }
    }
}

impl AsyncRead for ChunkReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            match ready!(self.receiver.poll_recv(context)) {
                Some(chunk) => self.chunk = chunk,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = buffer.remaining().min(self.chunk.len());
        buffer.put_slice(&self.chunk.split_to(count));
        Poll::Ready(Ok(()))
    }
}

struct Source {
    path: PathBuf,
    shown: String,
    name: String,
    kind: Kind,
}

fn look_at_source(host: &Path, follow_symlinks: bool) -> Result<Source> {
    let shown = host.to_str().ok_or_else(|| not_utf8(host))?.to_owned();
    let follow = follow_symlinks || shown.ends_with('/') || is_contents(&shown);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorCode::NotFound, format!("`{shown}` does not exist"))
            .with(Context::Path, shown.as_str())
            .hint("check the path"),
        _ => Error::io("look up", host, error),
    };
    let path = if follow { host.canonicalize().map_err(failed)? } else { host.to_owned() };
    let metadata = path.symlink_metadata().map_err(failed)?;
    // It keeps the name it was given; what a link points to, or `.`, may be called otherwise.
    let name = split(shown.trim_end_matches("/.")).1.map(str::to_owned);
    let name = name.or_else(|| {
        let absolute = path.canonicalize().ok()?;
        Some(absolute.file_name()?.to_str()?.to_owned())
    });
    let kind = if metadata.is_dir() { Kind::Directory } else { Kind::Other };
    Ok(Source { path, shown, name: name.unwrap_or_default(), kind })
}

fn kind_on_host(path: &Path) -> Result<Kind> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(Kind::Directory),
        Ok(_) => Ok(Kind::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Missing),
        // A path that goes through a file.
        Err(error) => Err(Error::io("look up", path, error)),
    }
}

async fn kind_inside(work: &Work, live: &Live, path: &str) -> Result<Kind> {
    match stat(work, live, path, true).await {
        Ok(stat) if stat.mode & TYPE_MASK == DIRECTORY_TYPE => Ok(Kind::Directory),
        Ok(_) => Ok(Kind::Other),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(Kind::Missing),
        Err(error) => Err(error),
    }
}

/// Asks the box what is at a path.
pub(crate) async fn stat(work: &Work, live: &Live, path: &str, follow: bool) -> Result<FileStat> {
    let request = AgentRequest::Stat { path: path.as_bytes().to_vec(), follow };
    match work.cancellable(live.session.request(request)).await {
        Ok(Answer::Stat(stat)) => Ok(stat),
        Ok(other) => Err(Error::new(ErrorCode::Internal, format!("an agent answered {other:?}"))),
        Err(error) => Err(error.with(Context::Entry, path)),
    }
}

pub(crate) fn check_inside(path: &str) -> Result<()> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidArgument,
        format!("`{}` is no absolute path in a box", path.escape_debug()),
    )
    .with(Context::Entry, path.escape_debug().to_string())
    .hint("paths in a box start with `/`"))
}

fn not_utf8(path: &Path) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("the path `{}` is not UTF-8", path.display()))
}
