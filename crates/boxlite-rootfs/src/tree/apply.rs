//! Applying the records of one layer.

use boxlite_types::Result;

use super::{Body, Child, Directory, IMPLIED_DIRECTORY, InodeId, ROOT, Tree};
use crate::layer::{Content, LayerIndex, Metadata, Record};
use crate::path::refused;

impl<'i> Tree<'i> {
    /// Applies a layer on top of those before it.
    pub(crate) fn apply(&mut self, index: &'i LayerIndex, layer: u32) -> Result<()> {
        self.layer = layer;
        self.recent = None;
        let mut records = index.records();
        while let Some((path, record)) = records.next()? {
            self.apply_record(path, record, index)?;
        }
        Ok(())
    }

    fn apply_record(&mut self, path: &[&'i [u8]], record: Record<'i>, index: &LayerIndex) -> Result<()> {
        if matches!(record.content, Content::OpaqueWhiteout) {
            if let Some(directory) = self.existing(path)? {
                self.purge(directory);
            }
            return Ok(());
        }
        let Some((&name, parent)) = path.split_last() else {
            return self.describe_root(record, index);
        };
        if matches!(record.content, Content::Whiteout) {
            if let Some(directory) = self.existing(parent)? {
                self.white_out(directory, name);
            }
            return Ok(());
        }
        if let Content::HardLink { target } = record.content {
            return self.link(path, parent, name, target);
        }
        let metadata = record.metadata.ok_or_else(|| index.damaged("a record lacks its metadata"))?;
        let parent = self.parent_for(path, parent)?;
        self.put(parent, name, metadata, record.content);
        Ok(())
    }

    fn describe_root(&mut self, record: Record<'i>, index: &LayerIndex) -> Result<()> {
        match (record.content, record.metadata) {
            (Content::Directory, Some(metadata)) => {
                self.inodes[ROOT as usize].metadata = metadata;
                Ok(())
            }
            _ => Err(index.damaged("a record makes the root something else than a directory")),
        }
    }

    /// Puts an inode under a name, in place of whatever is there; a directory on a directory keeps its children.
    fn put(&mut self, parent: InodeId, name: &'i [u8], metadata: Metadata<'i>, content: Content<'i>) {
        let layer = self.layer;
        let old = self.child(parent, name);
        if let (Content::Directory, Some(old)) = (&content, old)
            && self.directory(old).is_some()
        {
            self.inodes[old as usize].metadata = metadata;
            self.enter(parent, name, old);
            return;
        }
        let body = match content {
            Content::Directory => Body::Directory(Directory::default()),
            Content::File { size, block, tail, .. } => Body::File { layer, size, block, tail },
            Content::SparseFile { size, chunk_bits, runs, .. } => {
                Body::SparseFile { layer, size, chunk_bits, runs }
            }
            Content::SymbolicLink { target } => Body::SymbolicLink(target),
            Content::CharacterDevice { major, minor } => Body::CharacterDevice { major, minor },
            Content::BlockDevice { major, minor } => Body::BlockDevice { major, minor },
            Content::Fifo => Body::Fifo,
            // Handled before; they have no inode of their own.
            Content::HardLink { .. } | Content::Whiteout | Content::OpaqueWhiteout => return,
        };
        let inode = self.add_inode(metadata, body);
        if old.is_some() {
            self.recent = None;
        }
        self.enter(parent, name, inode);
    }

    /// Gives an existing inode another name. The old bearer of the name goes first, as in umoci: a link to itself has
    /// no target.
    fn link(
        &mut self,
        path: &[&'i [u8]],
        parent: &[&'i [u8]],
        name: &'i [u8],
        target: &'i [u8],
    ) -> Result<()> {
        let bad = |why: &str| {
            let target = crate::path::printable(target);
            refused(&path.join(&b'/'), format_args!("a hard link to `{target}`, {why}"))
        };
        let directory = self.parent_for(path, parent)?;
        if let Some(directory) = self.directory_mut(directory) {
            directory.children.remove(name);
        }
        self.recent = None;
        let components: Vec<&'i [u8]> =
            target.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        let Some((target_name, target_parent)) = components.split_last() else {
            return Err(bad("which is the root"));
        };
        let inode = self
            .existing(target_parent)?
            .and_then(|parent| self.child(parent, target_name))
            .ok_or_else(|| bad("which does not exist"))?;
        if self.directory(inode).is_some() {
            return Err(bad("which is a directory"));
        }
        self.enter(directory, name, inode);
        Ok(())
    }

    /// Returns the directory that a path means, if there is one.
    fn existing(&mut self, path: &[&'i [u8]]) -> Result<Option<InodeId>> {
        let steps = self.resolve(path)?;
        let inode = steps.last().map_or(Some(ROOT), |step| step.inode);
        Ok(inode.filter(|inode| self.directory(*inode).is_some()))
    }

    /// Returns the directory for a new entry, making what is missing of it, and marks the way to it as this layer's.
    fn parent_for(&mut self, path: &[&'i [u8]], parent: &[&'i [u8]]) -> Result<InodeId> {
        if let Some((recent, inode)) = &self.recent
            && recent == parent
        {
            return Ok(*inode);
        }
        let mut directory = ROOT;
        for step in self.resolve(parent)? {
            let next = match step.inode {
                Some(inode) if self.directory(inode).is_some() => inode,
                Some(_) => {
                    let what = crate::path::printable(step.name);
                    let why = format!("it lies below `{what}`, which is no directory");
                    return Err(refused(&path.join(&b'/'), why));
                }
                None => self.add_inode(IMPLIED_DIRECTORY, Body::Directory(Directory::default())),
            };
            self.enter(directory, step.name, next);
            directory = next;
        }
        self.recent = Some((parent.to_vec(), directory));
        Ok(directory)
    }

    fn enter(&mut self, directory: InodeId, name: &'i [u8], inode: InodeId) {
        let layer = self.layer;
        if let Some(directory) = self.directory_mut(directory) {
            directory.children.insert(name, Child { inode, layer });
        }
    }
}
