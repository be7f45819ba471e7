//! Reading the host: a file or directory as a tar archive.
//!
//! Symbolic links are packed as links, never followed, so that a link in the tree cannot smuggle another part of the host
//! into a box. Sockets and the like have no content and are left out.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use boxlite_types::{Error, ErrorCode, Result};
use tar::{Builder, EntryType, Header};

/// Packs `source` as the entry `name` of an archive; without a name, what is in the directory `source`.
///
/// # Errors
/// `Storage` if something cannot be read. An error of `out` itself is `BrokenPipe` inside.
pub(super) fn pack(source: &Path, name: Option<&str>, out: impl Write) -> Result<()> {
    let mut builder = Builder::new(out);
    append(&mut builder, source, Path::new(name.unwrap_or(".")))?;
    let mut out = builder.into_inner().map_err(|error| Error::io("pack", source, error))?;
    out.flush().map_err(|error| Error::io("pack", source, error))
}

fn append<W: Write>(builder: &mut Builder<W>, root: &Path, root_name: &Path) -> Result<()> {
    // A stack of its own: a deep tree must not end the thread's.
    let mut pending: Vec<(PathBuf, PathBuf)> = vec![(root.to_owned(), root_name.to_owned())];
    while let Some((path, name)) = pending.pop() {
        let failed = |error: io::Error| Error::io("pack", &path, error);
        let metadata = path.symlink_metadata().map_err(failed)?;
        let kind = metadata.file_type();
        let mut header = Header::new_gnu();
        header.set_metadata(&metadata);
        if kind.is_dir() {
            builder.append_data(&mut header, name.join(""), io::empty()).map_err(failed)?;
            let mut children: Vec<_> =
                std::fs::read_dir(&path).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
            // Last in, first out; sorted, so that equal trees make equal archives.
            children.sort_by_key(|child| std::cmp::Reverse(child.file_name()));
            pending.extend(children.into_iter().map(|child| (child.path(), name.join(child.file_name()))));
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(failed)?;
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, &name, target).map_err(failed)?;
        } else if kind.is_file() {
            append_file(builder, &path, &name)?;
        } else if kind.is_fifo() {
            header.set_size(0);
            builder.append_data(&mut header, &name, io::empty()).map_err(failed)?;
        } else if path == root {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("`{}` is neither a file nor a directory", path.display()),
            ));
        }
    }
    Ok(())
}

/// Packs a file as long as it was when it was opened: one that grows is cut, one that shrinks is filled with zeroes, so
/// that the archive stays whole either way.
fn append_file<W: Write>(builder: &mut Builder<W>, path: &Path, name: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("pack", path, error);
    // What was a file a moment ago may be a pipe or a link by now.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it changed while it was read")));
    }
    let mut header = Header::new_gnu();
    header.set_metadata(&metadata);
    let content = io::Read::take(io::Read::chain(file, io::repeat(0)), metadata.size());
    builder.append_data(&mut header, name, content).map_err(failed)
}
