//! Directory contents: blocks of fixed-size entries followed by their names.
//!
//! Entries are sorted by name through all blocks, `.` and `..` among the others, since the kernel searches by halving.
//! Each block begins with its entries; the offset of the first name says how many there are; a name ends where the next
//! begins, the last one at a NUL or at the end of the directory.

use super::BLOCK_BYTES;

/// Size of an entry without its name, in bytes.
const ENTRY_BYTES: u64 = 12;

/// An entry to be written.
pub(super) struct DirectoryEntry<'n> {
    pub name: &'n [u8],
    /// Inode number.
    pub number: u64,
    /// `FT_*`, as in `d_type`.
    pub file_type: u8,
}

/// Returns the size of a directory with those names, in their order, in bytes.
pub(super) fn size<'n>(names: impl Iterator<Item = &'n [u8]>) -> u64 {
    let (mut full_blocks, mut used) = (0, 0);
    for name in names {
        let needed = ENTRY_BYTES + name.len() as u64;
        if used + needed > BLOCK_BYTES {
            full_blocks += 1;
            used = 0;
        }
        used += needed;
    }
    full_blocks * BLOCK_BYTES + used
}

/// Encodes a directory; all blocks but the last are filled up with zeros.
pub(super) fn encode(entries: &[DirectoryEntry<'_>], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut used = 0;
        let fitting = rest
            .iter()
            .take_while(|entry| {
                used += ENTRY_BYTES + entry.name.len() as u64;
                used <= BLOCK_BYTES
            })
            .count();
        let (block, after) = rest.split_at(fitting);
        rest = after;
        let mut name_offset = block.len() * ENTRY_BYTES as usize;
        for entry in block {
            out.extend_from_slice(&entry.number.to_le_bytes());
            out.extend_from_slice(&(name_offset as u16).to_le_bytes());
            out.extend_from_slice(&[entry.file_type, 0]);
            name_offset += entry.name.len();
        }
        for entry in block {
            out.extend_from_slice(entry.name);
        }
        if !rest.is_empty() {
            out.resize(out.len().next_multiple_of(BLOCK_BYTES as usize), 0);
        }
    }
}

/// Returns the names of a directory in their order on disk: its children, sorted, with `.` and `..` in their places.
pub(super) fn with_dots<'n>(children: impl Iterator<Item = &'n [u8]>) -> impl Iterator<Item = &'n [u8]> {
    let mut children = children.peekable();
    let mut dots = [&b"."[..], b".."].into_iter().peekable();
    std::iter::from_fn(move || match (children.peek(), dots.peek()) {
        (Some(child), Some(dot)) if child < dot => children.next(),
        (_, Some(_)) => dots.next(),
        _ => children.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_foretold_is_the_size_written() {
        let names: Vec<Vec<u8>> = (0..1000)
            .map(|number| format!("{number:0>width$}", width = 4 + number % 200).into_bytes())
            .collect();
        for count in [0, 1, 2, 30, 31, 32, 100, 1000] {
            let mut sorted = names[..count].to_vec();
            sorted.sort();
            let names = || with_dots(sorted.iter().map(Vec::as_slice));
            let entries: Vec<_> =
                names().map(|name| DirectoryEntry { name, number: 1, file_type: 1 }).collect();
            let mut out = Vec::new();
            encode(&entries, &mut out);
            assert_eq!(out.len() as u64, size(names()), "{count} names");
        }
    }

    #[test]
    fn dots_stand_where_they_sort() {
        let children = [&b"!"[..], b"-x", b"..a", b".a", b"a"];
        let names: Vec<_> = with_dots(children.into_iter()).collect();
        assert_eq!(names, [&b"!"[..], b"-x", b".", b"..", b"..a", b".a", b"a"]);
    }
}
