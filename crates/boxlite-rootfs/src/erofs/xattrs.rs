//! Extended attributes: behind their inode, or once for all inodes that have the same.

use std::collections::HashMap;

use crate::layer::Metadata;

/// Size of the header of the attributes of one inode, in bytes.
const BODY_HEADER_BYTES: usize = 12;

/// The header counts shared attributes in one byte.
const MAX_SHARED: usize = 255;

/// Returns the number of a name's namespace and the rest of the name; `None` if EROFS cannot store it.
pub(crate) fn namespace(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        b"system.posix_acl_access" => Some((2, b"")),
        b"system.posix_acl_default" => Some((3, b"")),
        _ => [(1, &b"user."[..]), (4, b"trusted."), (6, b"security.")].into_iter().find_map(
            |(number, prefix)| {
                name.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(|rest| (number, rest))
            },
        ),
    }
}

/// The attributes that at least two inodes have.
#[derive(Default)]
pub(super) struct SharedXattrs<'i> {
    /// Place of each in the area, in units of four bytes.
    places: HashMap<(&'i [u8], &'i [u8]), u32>,
    /// The area itself.
    pub area: Vec<u8>,
}

impl<'i> SharedXattrs<'i> {
    /// Finds what is shared, in the order in which it first appears.
    pub(super) fn find<'m>(inodes: impl Iterator<Item = &'m Metadata<'i>> + Clone) -> Self
    where
        'i: 'm,
    {
        let all = || inodes.clone().flat_map(|metadata| metadata.xattrs.iter().copied());
        let mut counts: HashMap<(&[u8], &[u8]), u32> = HashMap::new();
        for xattr in all() {
            *counts.entry(xattr).or_default() += 1;
        }
        let mut shared = SharedXattrs::default();
        for xattr in all() {
            if counts[&xattr] > 1 && !shared.places.contains_key(&xattr) {
                shared.places.insert(xattr, (shared.area.len() / 4) as u32);
                put_entry(xattr, &mut shared.area);
            }
        }
        shared
    }

    /// Encodes the attributes of one inode; nothing if it has none.
    pub(super) fn encode(&self, metadata: &Metadata<'i>, out: &mut Vec<u8>) {
        out.clear();
        if metadata.xattrs.is_empty() {
            return;
        }
        let place = |xattr| self.places.get(xattr);
        let shared = metadata.xattrs.iter().filter(|xattr| place(xattr).is_some()).count().min(MAX_SHARED);
        out.resize(BODY_HEADER_BYTES, 0);
        out[4] = shared as u8;
        for place in metadata.xattrs.iter().filter_map(place).take(shared) {
            out.extend_from_slice(&place.to_le_bytes());
        }
        let mut seen = 0;
        for xattr in &metadata.xattrs {
            if place(xattr).is_some() && seen < shared {
                seen += 1;
            } else {
                put_entry(*xattr, out);
            }
        }
    }
}

/// Returns the value of `i_xattr_icount` for attributes that take that many bytes.
pub(super) fn count_field(body_bytes: usize) -> usize {
    if body_bytes == 0 { 0 } else { (body_bytes - BODY_HEADER_BYTES) / 4 + 1 }
}

fn put_entry((name, value): (&[u8], &[u8]), out: &mut Vec<u8>) {
    // The layer was refused or the attribute dropped if it does not fit; see `layer::xattrs`.
    let Some((namespace, suffix)) = namespace(name) else { return };
    out.extend_from_slice(&[suffix.len() as u8, namespace]);
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(suffix);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}
