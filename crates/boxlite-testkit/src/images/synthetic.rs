//! Large images for benchmarks: as many layers, files and bytes as asked, about as compressible as system libraries.
//!
//! The bytes are those of no real program, but a stream of instructions drawn from a small skewed vocabulary between runs
//! of zeros and tables of words, which gzip -6 brings to a little over a third, as it does `/usr/lib`.

use super::entry::Entry;
use super::image::Image;
use super::layer::{Compression, Layer};

/// What a synthetic image is to be like.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Layers.
    pub layers: usize,
    /// Bytes of all files of all layers together.
    pub total_bytes: u64,
    /// Files of all layers together.
    pub files: usize,
    /// How each layer is packed.
    pub compression: Compression,
    /// Two images of different seeds share nothing.
    pub seed: u64,
}

impl Default for Synthetic {
    /// Five gzip layers, 741 MB in 16,500 files: the image the targets were set with.
    fn default() -> Self {
        Synthetic {
            layers: 5,
            total_bytes: 741_000_000,
            files: 16_500,
            compression: Compression::Gzip,
            seed: 1,
        }
    }
}

impl Synthetic {
    /// Builds the image, one thread for each processor. Compressing takes most of the time: some 20 s per GB and core.
    ///
    /// # Panics
    /// If a thread cannot be started.
    pub fn build(&self) -> Image {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let numbers: Vec<usize> = (0..self.layers).collect();
        let mut layers = Vec::with_capacity(self.layers);
        for batch in numbers.chunks(workers) {
            std::thread::scope(|scope| {
                let running: Vec<_> =
                    batch.iter().map(|number| scope.spawn(move || self.layer(*number))).collect();
                layers.extend(running.into_iter().map(|thread| thread.join().expect("a layer")));
            });
        }
        Image::new(layers)
    }

    fn layer(&self, number: usize) -> Layer {
        let files = (self.files / self.layers.max(1)).max(1);
        let mean = self.total_bytes / (files * self.layers.max(1)) as u64;
        let mut random = Random(self.seed << 32 | number as u64 | 1 << 63);
        let mut entries = vec![Entry::directory("usr"), Entry::directory(format!("usr/lib{number}"))];
        let mut left = mean * files as u64;
        for file in 0..files {
            if file % 64 == 0 {
                entries.push(Entry::directory(format!("usr/lib{number}/part{}", file / 64)));
            }
            // Most files of a system are small and a few hold most of the bytes.
            let size = match file + 1 == files {
                true => left,
                false => (mean * [1, 1, 2, 2, 4, 8, 20, 42][random.below(8)] / 10).min(left),
            };
            left -= size;
            let name = format!("usr/lib{number}/part{}/library{file}.so", file / 64);
            entries.push(Entry::file(name, library_like(size as usize, random.next())).mode(0o755));
        }
        Layer::packed(entries, self.compression)
    }
}

/// Makes `size` bytes that compress about like a shared library.
pub fn library_like(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    let mut data = Vec::with_capacity(size + 64);
    while data.len() < size {
        match random.below(64) {
            0 => data.resize(data.len() + 16 + random.below(128), 0),
            1..=6 => {
                // A piece that occurred before: padding, prologues, repeated strings.
                let length = (8 + random.below(40)).min(data.len());
                let start = random.below(data.len().saturating_sub(length).min(30_000) + 1);
                let start = data.len().saturating_sub(length + start);
                data.extend_from_within(start..start + length);
            }
            7..=10 => data.extend(format!("_ZN{}E", WORDS[random.below(WORDS.len())]).bytes()),
            _ => {
                // An opcode of a skewed few, a small operand, now and then an address.
                let opcode = OPCODES[random.below(OPCODES.len()).min(random.below(OPCODES.len()))];
                data.extend([0x48, opcode, (random.next() & 0x3f) as u8]);
                if random.below(4) == 0 {
                    data.extend((random.next() as u32 & 0xfffff).to_le_bytes());
                }
            }
        }
    }
    data.truncate(size);
    data
}

const OPCODES: [u8; 24] = [
    0x89, 0x8b, 0x8d, 0x83, 0xe8, 0x85, 0x74, 0x75, 0x0f, 0xc7, 0x31, 0x39, 0xff, 0x5d, 0x55, 0xeb, 0xc3,
    0x01, 0x29, 0xf7, 0xc1, 0xd3, 0x63, 0x99,
];

const WORDS: [&str; 12] = [
    "allocate",
    "buffer",
    "context",
    "descriptor",
    "element",
    "function",
    "iterator",
    "library",
    "message",
    "number",
    "object",
    "string",
];

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators): small, seedable, good enough.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_compresses_about_as_libraries_do() {
        let data = library_like(4 << 20, 7);
        let packed = Compression::Gzip.pack(&data).len();
        let ratio = data.len() as f64 / packed as f64;
        assert!((2.6..2.9).contains(&ratio), "ratio {ratio}");
    }

    #[test]
    fn it_has_the_layers_and_bytes_asked_for() {
        let wanted = Synthetic { layers: 3, total_bytes: 3_000_000, files: 30, ..Synthetic::default() };
        let image = wanted.build();
        assert_eq!(image.layers().len(), 3);
        let compressed: usize = image.layers().iter().map(|layer| layer.blob.len()).sum();
        assert!((900_000..1_800_000).contains(&compressed), "{compressed}");
        assert_eq!(image.build(), wanted.build().build());
    }
}
