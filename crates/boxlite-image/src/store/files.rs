//! The files of the store: names in `ingest/`, durable moves, deletion by way of a trash name, sizes.
//!
//! Everything blocks. Its invariant is the order of architecture: written under a temporary name, synced, renamed, the
//! directory synced; and deletion, too, begins with a rename, so that nothing is ever half there under its real name.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use boxlite_types::{DiffId, Digest, Error, ErrorCode, Home, Result, new_id};

use sha2::{Digest as _, Sha256};

use crate::locks::Content;

/// Beginning of the names of what is being deleted.
pub(crate) const TRASH: &str = "trash-";

/// Bytes hashed at a time.
const HASH_PIECE_BYTES: usize = 1 << 20;

/// What a file in `ingest/` is, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The first bytes of a blob, to be resumed.
    Partial,
    /// A file or directory that is being written, and of no use to anybody else.
    Temporary,
    /// A mark: the content is in place, and its row is still to come.
    Made,
}

impl Unfinished {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Unfinished::Partial => "partial",
            Unfinished::Temporary => "tmp",
            Unfinished::Made => "made",
        }
    }

    pub(crate) fn from_extension(extension: &OsStr) -> Option<Self> {
        [Unfinished::Partial, Unfinished::Temporary, Unfinished::Made]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

/// Returns the name of an unfinished file of `content`.
pub(crate) fn unfinished(home: &Home, content: Content, kind: Unfinished) -> PathBuf {
    home.ingest().join(format!("{}.{}", content.stem(), kind.extension()))
}

/// Returns where `content` is, once it is there.
pub(crate) fn place(home: &Home, content: Content) -> PathBuf {
    match content {
        Content::Blob(digest) => home.blob(&digest),
        Content::Layer(diff_id) => home.layer(&diff_id),
        Content::Merged(chain_id) => home.merged(&chain_id),
    }
}

/// Returns whether `content` is in place. Since it only ever gets there complete and durable, a look is enough.
pub(crate) fn is_present(home: &Home, content: Content) -> bool {
    let path = place(home, content);
    match content {
        Content::Layer(_) => path.join("index").is_file() && path.join("data").is_file(),
        Content::Blob(_) | Content::Merged(_) => path.is_file(),
    }
}

/// Makes a directory and its parents, for this user alone.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Error::io("make the directory", path, error))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let directory = File::open(path).map_err(|error| Error::io("open", path, error))?;
    directory.sync_all().map_err(|error| Error::io("sync", path, error))
}

/// Opens the partial download of a blob, making it if need be; returns it with its length.
pub(crate) fn open_partial(path: &Path) -> Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("open", path, error))?;
    let length = file.metadata().map_err(|error| Error::io("examine", path, error))?.len();
    Ok((file, length))
}

/// Marks content as in place, or about to be, while its row is still to come. For the blob of a layer, `diff_id` is what it
/// has been proven to unpack to, so that a pull that ends before its rows are written need not prove it again.
pub(crate) fn mark(home: &Home, content: Content, diff_id: Option<&DiffId>) -> Result<()> {
    let mark = unfinished(home, content, Unfinished::Made);
    let text = diff_id.map(ToString::to_string).unwrap_or_default();
    fs::write(&mark, text).map_err(|error| Error::io("write", &mark, error))
}

/// Returns whether a mark says that the blob `digest` of `size` bytes unpacks to `diff_id`.
pub(crate) fn is_marked(home: &Home, digest: &Digest, size: u64, diff_id: &DiffId) -> bool {
    let content = Content::Blob(*digest);
    let marked = fs::read(unfinished(home, content, Unfinished::Made));
    marked.is_ok_and(|text| text == diff_id.to_string().as_bytes())
        && fs::metadata(place(home, content)).is_ok_and(|metadata| metadata.len() == size)
}

/// Moves finished content, which has been marked, into place. Replaces what is there.
pub(crate) fn put_in_place(home: &Home, content: Content, finished: &Path) -> Result<()> {
    let target = place(home, content);
    if matches!(content, Content::Layer(_)) {
        sync_directory(finished)?;
        // A directory can only be renamed over an empty one.
        delete(home, &target)?;
    }
    fs::rename(finished, &target).map_err(|error| Error::io("move into place", &target, error))
}

/// Writes a small blob durably into place; the caller syncs the directory.
pub(crate) fn put_document(home: &Home, digest: &Digest, bytes: &[u8]) -> Result<()> {
    let path = unfinished(home, Content::Blob(*digest), Unfinished::Temporary);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        file.sync_data()
    };
    write().map_err(|error| Error::io("write", &path, error))?;
    mark(home, Content::Blob(*digest), None)?;
    put_in_place(home, Content::Blob(*digest), &path)
}

/// Deletes a file or directory; one that is not there is deleted already. Returns the bytes given back to the disk.
pub(crate) fn delete(home: &Home, path: &Path) -> Result<u64> {
    let trash = home.ingest().join(format!("{TRASH}{}", new_id(rand::random())));
    match fs::rename(path, &trash) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::io("delete", path, error)),
    }
    let bytes = disk_bytes(&trash);
    empty_trash(&trash)?;
    Ok(bytes)
}

/// Deletes what has a trash name already.
pub(crate) fn empty_trash(trash: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(trash) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(trash),
        Ok(_) => fs::remove_file(trash),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(()),
        // Two sweeps may be at it at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("delete", trash, error)),
    }
}

/// Deletes a plain file that may not be there.
pub(crate) fn delete_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("delete", path, error)),
        _ => Ok(()),
    }
}

/// Returns the bytes a file or directory takes on the disk; what cannot be read counts as nothing.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    own + fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| disk_bytes(&entry.path()))
        .sum::<u64>()
}

/// Returns how long ago a file was written to.
pub(crate) fn age(path: &Path) -> Option<Duration> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}

/// Returns the names in a directory with their paths; none if it is not there.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
            .map_err(|error| Error::io("list", directory, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", directory, error)),
    }
}

/// Refuses if fewer than `needed` bytes beside the `reserve` are free on the disk of the home.
pub(crate) fn check_free_space(home: &Home, needed: u64, reserve: u64) -> Result<()> {
    let root = home.root();
    let disk =
        rustix::fs::statvfs(root).map_err(|error| Error::io("measure the disk of", root, error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed.saturating_add(reserve) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::NoSpace,
        format!(
            "the image needs at least {} MiB, and `{}` has {} MiB free of which {} MiB are to stay free",
            needed.div_ceil(1 << 20),
            root.display(),
            free >> 20,
            reserve >> 20
        ),
    ))
}

/// Returns digest and length of a file.
pub(crate) fn hash(path: &Path) -> Result<(Digest, u64)> {
    let failed = |error| Error::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut length, mut piece) = (Sha256::new(), 0, vec![0; HASH_PIECE_BYTES]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((Digest::from_bytes(hash.finalize().into()), length)),
            Ok(count) => {
                hash.update(&piece[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
