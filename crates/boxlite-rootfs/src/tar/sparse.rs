//! Sparse files in the four spellings of GNU tar: old GNU headers, and PAX formats 0.0, 0.1 and 1.0.
//!
//! All of them give, before the content, the list of ranges that hold data; the content is those ranges one after the
//! other. (GNU tar manual, "Storing Sparse Files".)

use boxlite_types::Result;

use super::header::{BLOCK_BYTES, Block, malformed, number};
use super::pax::unsigned;

/// Part of a sparse file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataRange {
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Turns alternating offsets and lengths into ranges.
pub(super) fn ranges(numbers: &[u64]) -> Result<Vec<DataRange>> {
    if !numbers.len().is_multiple_of(2) {
        return Err(malformed("the map of a sparse file has an odd number of values"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| DataRange { offset: pair[0], length: pair[1] }).collect())
}

/// Verifies that the ranges ascend inside the file and add up to the content stored, and drops empty ones.
pub(super) fn verified(mut ranges: Vec<DataRange>, size: u64, stored: u64) -> Result<Vec<DataRange>> {
    let (mut end, mut total) = (0u64, 0u64);
    for range in &ranges {
        let range_end = range.offset.checked_add(range.length);
        match range_end {
            Some(range_end) if range.offset >= end && range_end <= size => end = range_end,
            _ => return Err(malformed("the map of a sparse file overlaps or leaves the file")),
        }
        total += range.length;
    }
    if total != stored {
        return Err(malformed("a sparse file stores another number of bytes than its map says"));
    }
    ranges.retain(|range| range.length > 0);
    Ok(ranges)
}

/// Reads the pairs of an old GNU header or extension block; returns whether another extension block follows.
pub(super) fn old_gnu(block: &Block, in_header: bool, map: &mut Vec<u64>) -> Result<bool> {
    let (pairs, extended) =
        if in_header { (&block[386..482], block[482]) } else { (&block[..504], block[504]) };
    for pair in pairs.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        for field in [&pair[..12], &pair[12..]] {
            let value = u64::try_from(number(field)?)
                .map_err(|_| malformed("the map of a sparse file has a negative value"))?;
            map.push(value);
        }
    }
    Ok(extended != 0)
}

/// Collects the map that PAX format 1.0 puts before the content: decimal lines, padded to a block.
#[derive(Default, Debug)]
pub(super) struct LeadingMap {
    expected: Option<u64>,
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl LeadingMap {
    /// Takes the next block; returns the values once the map is complete.
    pub(super) fn take(&mut self, block: &Block, max_bytes: u64) -> Result<Option<Vec<u64>>> {
        for &byte in &block[..BLOCK_BYTES] {
            if self.is_complete() {
                break;
            }
            if byte != b'\n' {
                self.line.push(byte);
                // Twenty digits hold every number there is.
                if self.line.len() > 20 {
                    return Err(malformed("the map of a sparse file is no list of numbers"));
                }
                continue;
            }
            let value = unsigned(&self.line)?;
            self.line.clear();
            match self.expected {
                None if value > max_bytes / 16 => {
                    return Err(malformed("the map of a sparse file is too long"));
                }
                None => self.expected = Some(value * 2),
                Some(_) => self.numbers.push(value),
            }
        }
        Ok(self.is_complete().then(|| std::mem::take(&mut self.numbers)))
    }

    fn is_complete(&self) -> bool {
        self.expected == Some(self.numbers.len() as u64)
    }
}
