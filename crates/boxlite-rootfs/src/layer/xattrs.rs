//! Which extended attributes of a layer are kept.
//!
//! EROFS has room for the namespaces that Linux has rules for: `user`, `trusted`, `security` and POSIX access control
//! lists. Others are dropped, as unpacking on a file system without them would. `trusted.overlay.*` is dropped too: it
//! is how overlayfs marks *its* layers, and the root of a box is the lower layer of one.

use boxlite_types::Result;

use crate::erofs::xattr_namespace;
use crate::path::{exhausted, printable, refused};

type Xattr = (Vec<u8>, Vec<u8>);

/// Returns the attributes that are kept, sorted by name.
pub(super) fn kept(path: &[u8], xattrs: &[Xattr], max_bytes: usize) -> Result<Vec<Xattr>> {
    let mut kept = Vec::new();
    let mut bytes = 0;
    for (name, value) in xattrs {
        let Some((_, suffix)) = xattr_namespace(name) else { continue };
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        if suffix.len() > 255 || value.len() > usize::from(u16::MAX) {
            let why = format!("extended attribute `{}` is longer than a kernel takes", printable(name));
            return Err(refused(path, why));
        }
        bytes += name.len() + value.len();
        if bytes > max_bytes {
            return Err(exhausted(
                path,
                format_args!("its extended attributes are longer than {max_bytes} bytes"),
            ));
        }
        kept.push((name.clone(), value.clone()));
    }
    kept.sort();
    Ok(kept)
}
