//! CRC-32C over zeros without reading them: a sparse file of a few bytes can have terabytes of them.
//!
//! Appending zeros is a linear map of the 32 bits of the checksum's register, so that appending 2^k of them is the k-th
//! square of the map for one: 32 words each, made once.

use std::sync::OnceLock;

/// The images of the 32 bits of the register.
type Map = [u32; 32];

/// Returns the checksum of something with so many zeros behind it.
pub(super) fn with_zeros(checksum: u32, count: u64) -> u32 {
    static MAPS: OnceLock<[Map; 64]> = OnceLock::new();
    let maps = MAPS.get_or_init(|| {
        // The register is the inverted checksum.
        let mut map: Map = std::array::from_fn(|bit| !crc32c::crc32c_append(!(1 << bit), &[0]));
        std::array::from_fn(|_| {
            let current = map;
            map = current.map(|image| apply(&current, image));
            current
        })
    });
    let set_bits = (0..64).filter(|bit| count >> bit & 1 == 1);
    !set_bits.fold(!checksum, |register, bit| apply(&maps[bit], register))
}

fn apply(map: &Map, register: u32) -> u32 {
    (0..32).filter(|bit| register >> bit & 1 == 1).fold(0, |sum, bit| sum ^ map[bit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_count_as_if_they_had_been_read() {
        let read = crc32c::crc32c(b"data");
        for count in [0_usize, 1, 2, 3, 4095, 4096, 1_000_003] {
            let expect = crc32c::crc32c_append(read, &vec![0; count]);
            assert_eq!(with_zeros(read, count as u64), expect, "{count} zeros");
        }
        let twice = with_zeros(with_zeros(read, 3 << 40), 5);
        assert_eq!(with_zeros(read, (3 << 40) + 5), twice);
    }
}
