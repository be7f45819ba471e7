//! Removing what lower layers brought.

use super::{Body, InodeId, Tree};

impl<'i> Tree<'i> {
    /// Removes a name, unless its own layer brought it; of a directory that it did, what came from below.
    pub(super) fn white_out(&mut self, parent: InodeId, name: &[u8]) {
        let layer = self.layer;
        let Some(directory) = self.directory_mut(parent) else { return };
        let Some(child) = directory.children.get(name).copied() else { return };
        self.recent = None;
        if child.layer == layer {
            self.purge(child.inode);
        } else if let Some(directory) = self.directory_mut(parent) {
            directory.children.remove(name);
        }
    }

    /// Removes everything below a directory that the layer being applied has not brought.
    pub(super) fn purge(&mut self, top: InodeId) {
        self.recent = None;
        let layer = self.layer;
        let mut pending = vec![top];
        while let Some(id) = pending.pop() {
            let Body::Directory(directory) = &mut self.inodes[id as usize].body else { continue };
            // Without this a layer of a million whiteouts would walk a million children a million times.
            if directory.purged_in == Some(layer) {
                continue;
            }
            directory.purged_in = Some(layer);
            directory.children.retain(|_, child| child.layer == layer);
            pending.extend(directory.children.values().map(|child| child.inode));
        }
    }
}
