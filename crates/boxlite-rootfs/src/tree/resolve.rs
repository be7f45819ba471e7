//! Finding the directory of a path, through symbolic links, inside the root.
//!
//! Links are expanded where they stand, an absolute target starts at the root, `..` never rises above it. What does not
//! exist is taken as a name, so that a dangling link to a directory leads to where that directory would be
//! (filepath-securejoin, `SecureJoin`, which umoci uses).

use boxlite_types::{Error, ErrorCode, Result};

use super::{Body, InodeId, ROOT, Tree};
use crate::path::refused;

/// As many links as umoci follows for one path.
const MAX_LINKS: u32 = 255;

/// Longest path that a kernel takes (`PATH_MAX`), in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// One component of a resolved path.
pub(super) struct Step<'i> {
    pub name: &'i [u8],
    /// The inode, if there is one.
    pub inode: Option<InodeId>,
}

impl<'i> Tree<'i> {
    /// Returns the components that lead from the root to what `path` means; none of them is a symbolic link.
    pub(super) fn resolve(&mut self, path: &[&'i [u8]]) -> Result<Vec<Step<'i>>> {
        let mut steps: Vec<Step<'i>> = Vec::with_capacity(path.len());
        // What is still to be walked, in reverse: targets of links go on top.
        let mut ahead: Vec<&'i [u8]> = path.iter().rev().copied().collect();
        let (mut links, mut bytes) = (0, 0);
        while let Some(name) = ahead.pop() {
            if links > 0 {
                self.steps_left = self.steps_left.checked_sub(1).ok_or_else(too_many_steps)?;
            }
            match name {
                b"" | b"." => continue,
                b".." => {
                    bytes -= steps.pop().map_or(0, |step| step.name.len() + 1);
                    continue;
                }
                _ => {}
            }
            let parent = steps.last().map_or(Some(ROOT), |step| step.inode);
            let inode = parent.and_then(|parent| self.child(parent, name));
            if let Some(Body::SymbolicLink(target)) = inode.map(|id| &self.inodes[id as usize].body) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(refused(&path.join(&b'/'), "too many symbolic links in its path"));
                }
                if target.starts_with(b"/") {
                    steps.clear();
                    bytes = 0;
                }
                ahead.extend(target.split(|&byte| byte == b'/').rev());
                continue;
            }
            bytes += name.len() + 1;
            if bytes > MAX_PATH_BYTES {
                return Err(refused(&path.join(&b'/'), "symbolic links make its path too long"));
            }
            steps.push(Step { name, inode });
        }
        Ok(steps)
    }
}

fn too_many_steps() -> Error {
    Error::new(
        ErrorCode::ResourceExhausted,
        "image too large: its symbolic links take too many steps to follow",
    )
    .retryable(false)
}
