//! From a tar stream to the two files of a layer, in one pass and constant memory.

use std::path::Path;

use boxlite_types::{Error, ErrorCode, Result};

use super::content::{self, ContentWriter};
use super::data::DataWriter;
use super::index::IndexWriter;
use super::metadata::{OwnedMetadata, device, link_target};
use super::record::{Content, Metadata, Record};
use super::{LayerSummary, data_path, index_path};
use crate::LayerLimits;
use crate::path::{self, exhausted, refused};
use crate::tar::{Entry, EntryType, Parser, Sink};

/// Prefix of the names that mean something to the layer and are in no file system (OCI image-spec, layer.md,
/// "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// Prefix of what AUFS kept for itself, `.wh..wh.plnk` and the like; docker and containerd skip it.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";

/// Converts one layer while it streams.
///
/// Dropping it, or an error, leaves files without a valid index behind; whoever made the directory removes it.
pub struct LayerWriter {
    parser: Parser,
    builder: Builder,
    failed: bool,
}

impl LayerWriter {
    /// Begins a layer in `directory`, which exists and is empty.
    ///
    /// # Errors
    /// `Storage` or `NoSpace` if the files cannot be made.
    pub fn create(directory: &Path, limits: &LayerLimits) -> Result<Self> {
        let builder = Builder {
            data: DataWriter::create(&data_path(directory))?,
            index: IndexWriter::create(index_path(directory))?,
            limits: limits.clone(),
            current: Current::default(),
            content: None,
            previous: Vec::new(),
            file_bytes: 0,
            map_bytes: 0,
            tar_bytes: 0,
        };
        Ok(LayerWriter { parser: Parser::new(limits.max_header_bytes), builder, failed: false })
    }

    /// Takes the next bytes of the uncompressed tar, in any slicing.
    ///
    /// # Errors
    /// `Image` if the tar is malformed, `ResourceExhausted` if it goes beyond a limit, `Storage` or `NoSpace` if it
    /// cannot be written. After an error nothing more is taken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err(Error::new(ErrorCode::InvalidState, "the layer has failed already"));
        }
        let result =
            self.builder.count(bytes.len() as u64).and_then(|()| self.parser.feed(bytes, &mut self.builder));
        self.failed = result.is_err();
        result
    }

    /// Ends the layer: writes the index and makes both files durable. The directory itself is the caller's to sync.
    ///
    /// # Errors
    /// `Image` if the tar is incomplete; otherwise as [`LayerWriter::write`].
    pub fn finish(self) -> Result<LayerSummary> {
        if self.failed {
            return Err(Error::new(ErrorCode::InvalidState, "the layer has failed already"));
        }
        self.parser.finish()?;
        let data_bytes = self.builder.data.finish()?;
        self.builder.index.finish(self.builder.file_bytes, data_bytes)
    }
}

/// Turns entries into records.
struct Builder {
    data: DataWriter,
    index: IndexWriter,
    limits: LayerLimits,
    current: Current,
    /// The file whose content streams by.
    content: Option<ContentWriter>,
    /// Path of the record before.
    previous: Vec<u8>,
    file_bytes: u64,
    map_bytes: u64,
    tar_bytes: u64,
}

/// What is kept of a file until its content has passed.
#[derive(Default)]
struct Current {
    path: Vec<u8>,
    metadata: Option<OwnedMetadata>,
}

impl Sink for Builder {
    fn begin(&mut self, entry: &Entry) -> Result<()> {
        if self.index.records() >= self.limits.max_entries {
            let limit = self.limits.max_entries;
            return Err(exhausted(&entry.path, format_args!("it has more than {limit} entries")));
        }
        let mut path = std::mem::take(&mut self.current.path);
        path::clean(&entry.path, self.limits.max_path_bytes, &mut path)?;
        let result = self.begin_at(&path, entry);
        self.current.path = path;
        result
    }

    fn content(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.content {
            Some(content) => content.write(bytes, &mut self.data),
            // Of a whiteout or of something skipped.
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        let Some(content) = self.content.take() else { return Ok(()) };
        let Current { path, metadata } = &self.current;
        let metadata = metadata.as_ref().map(OwnedMetadata::borrowed);
        let (index, previous) = (&mut self.index, &mut self.previous);
        content.end(&mut self.data, |content| append(index, previous, path, content, metadata))?;
        self.check_index(&[])
    }
}

impl Builder {
    fn count(&mut self, bytes: u64) -> Result<()> {
        self.tar_bytes += bytes;
        let limit = self.limits.max_tar_bytes;
        if self.tar_bytes > limit {
            return Err(exhausted(&self.current.path, format_args!("the tar is longer than {limit} bytes")));
        }
        Ok(())
    }

    fn begin_at(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let is_aufs = |name: &[u8]| name.starts_with(AUFS_PREFIX);
        let (parent, name) = (path::parent(path), path::name(path));
        if parent.split(|&byte| byte == b'/').any(is_aufs) || (is_aufs(name) && name != OPAQUE_WHITEOUT) {
            return Ok(());
        }
        if name == OPAQUE_WHITEOUT {
            return self.append(parent, Content::OpaqueWhiteout, None);
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT_PREFIX) {
            if matches!(gone, b"" | b"." | b"..") {
                return Err(refused(path, "a whiteout that names nothing"));
            }
            let slash: &[u8] = if parent.is_empty() { b"" } else { b"/" };
            return self.append(&[parent, slash, gone].concat(), Content::Whiteout, None);
        }
        if path.is_empty() && entry.entry_type != EntryType::Directory {
            return Err(refused(b"/", "the root must be a directory"));
        }
        if entry.entry_type == EntryType::HardLink {
            let mut target = Vec::new();
            path::clean(&entry.link, self.limits.max_path_bytes, &mut target)?;
            return self.append(path, Content::HardLink { target: &target }, None);
        }

        let metadata = OwnedMetadata::of(path, entry, self.limits.max_xattr_bytes)?;
        let content = match entry.entry_type {
            EntryType::File => return self.begin_file(path, metadata, entry),
            EntryType::Directory => Content::Directory,
            EntryType::SymbolicLink => Content::SymbolicLink { target: link_target(path, &entry.link)? },
            EntryType::CharacterDevice => {
                let (major, minor) = device(path, entry.device)?;
                Content::CharacterDevice { major, minor }
            }
            EntryType::BlockDevice => {
                let (major, minor) = device(path, entry.device)?;
                Content::BlockDevice { major, minor }
            }
            EntryType::Fifo | EntryType::HardLink => Content::Fifo,
        };
        self.append(path, content, Some(metadata.borrowed()))
    }

    fn begin_file(&mut self, path: &[u8], metadata: OwnedMetadata, entry: &Entry) -> Result<()> {
        // 2^32 blocks are what the format of the merged image can address.
        if entry.size > 1 << 44 {
            return Err(exhausted(path, "a file of more than 16 TiB"));
        }
        let footprint = content::footprint(entry.size, entry.sparse.as_deref());
        let limit = self.limits.max_data_bytes;
        if self.data.position().saturating_add(footprint.data_bytes) > limit {
            return Err(exhausted(path, format_args!("its files fill more than {limit} bytes")));
        }
        self.map_bytes += footprint.map_bytes;
        self.check_index(path)?;
        self.file_bytes += entry.size;
        self.content = Some(ContentWriter::begin(entry.size, entry.sparse.as_deref(), &self.data)?);
        self.current.metadata = Some(metadata);
        Ok(())
    }

    fn append(&mut self, path: &[u8], content: Content<'_>, metadata: Option<Metadata<'_>>) -> Result<()> {
        append(&mut self.index, &mut self.previous, path, content, metadata)?;
        self.check_index(path)
    }

    fn check_index(&self, path: &[u8]) -> Result<()> {
        let limit = self.limits.max_index_bytes;
        if self.index.records_bytes() + self.map_bytes > limit {
            return Err(exhausted(path, format_args!("its metadata is longer than {limit} bytes")));
        }
        Ok(())
    }
}

/// Appends a record whose path leaves out what it shares with the one before.
fn append(
    index: &mut IndexWriter,
    previous: &mut Vec<u8>,
    path: &[u8],
    content: Content<'_>,
    metadata: Option<Metadata<'_>>,
) -> Result<()> {
    let (shared, rest) = front_coded(previous, path);
    index.append(&Record { shared, rest, content, metadata })?;
    previous.clear();
    previous.extend_from_slice(path);
    Ok(())
}

/// Returns how many leading components two paths share, and the rest of the second.
fn front_coded<'p>(previous: &[u8], path: &'p [u8]) -> (u32, &'p [u8]) {
    let same = previous.iter().zip(path).take_while(|(left, right)| left == right).count();
    let ends = |path: &[u8]| path.len() == same || path[same] == b'/';
    // Back to the end of a component that is whole in both.
    let end = if ends(previous) && ends(path) {
        same
    } else {
        path[..same].iter().rposition(|&byte| byte == b'/').unwrap_or(0)
    };
    if end == 0 {
        return (0, path);
    }
    let components = path[..end].iter().filter(|&&byte| byte == b'/').count() as u32 + 1;
    (components, path[end..].strip_prefix(b"/").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(previous: &str, path: &str, expect: (u32, &str)) {
        let (shared, rest) = front_coded(previous.as_bytes(), path.as_bytes());
        assert_eq!((shared, std::str::from_utf8(rest).unwrap()), expect, "{previous} -> {path}");
    }

    #[test]
    fn paths_share_whole_components() {
        check("", "", (0, ""));
        check("", "a", (0, "a"));
        check("a", "", (0, ""));
        check("a", "a", (1, ""));
        check("a", "a/b", (1, "b"));
        check("a/b", "a", (1, ""));
        check("a/b", "a/bc", (1, "bc"));
        check("a/bc", "a/b", (1, "b"));
        check("ab", "ac", (0, "ac"));
        check("usr/lib/x", "usr/lib/y/z", (2, "y/z"));
    }
}
