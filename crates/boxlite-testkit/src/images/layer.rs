//! Layers: a tar, the way it is compressed, and what a manifest says of it.
//!
//! A [`Layer`] is plain data and always says the truth about itself; lies are told in the manifest and config of the
//! [`Image`](super::Image) that uses it, or by taking the raw [`Layer::from_blob`]. Compression is deterministic: no times, no
//! names.

use std::io::Write;

use boxlite_types::{DiffId, Digest};
use bytes::Bytes;

use super::entry::{Entry, tar};
use super::sha256;

/// How the tar of a layer is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// One gzip member.
    #[default]
    Gzip,
    /// This many gzip members one after the other (RFC 1952, 2.2), as parallel compressors and eStargz write.
    GzipMembers(usize),
    /// One zstd frame.
    Zstd,
    /// This many zstd frames, with a skippable frame after each (RFC 8878, 3.1.2), as `zstd:chunked` has.
    ZstdFrames(usize),
    /// Not at all.
    None,
}

impl Compression {
    /// Compresses `data`.
    pub fn pack(self, data: &[u8]) -> Vec<u8> {
        match self {
            Compression::Gzip => gzip(data),
            Compression::GzipMembers(count) => chunks(data, count).flat_map(gzip).collect(),
            Compression::Zstd => zstd_frame(data),
            Compression::ZstdFrames(count) => chunks(data, count)
                .flat_map(|chunk| {
                    let mut frame = zstd_frame(chunk);
                    frame.extend(0x184D_2A50u32.to_le_bytes());
                    frame.extend(4u32.to_le_bytes());
                    frame.extend(b"skip");
                    frame
                })
                .collect(),
            Compression::None => data.to_vec(),
        }
    }

    /// Returns the OCI media type of a layer packed this way.
    pub fn oci_media_type(self) -> &'static str {
        match self {
            Compression::Gzip | Compression::GzipMembers(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd | Compression::ZstdFrames(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
        }
    }

    /// Returns the Docker media type of a layer packed this way.
    pub fn docker_media_type(self) -> &'static str {
        match self {
            Compression::Gzip | Compression::GzipMembers(_) => {
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
            }
            Compression::Zstd | Compression::ZstdFrames(_) => {
                "application/vnd.docker.image.rootfs.diff.tar.zstd"
            }
            Compression::None => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }
}

/// One layer, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the tar before compression.
    pub diff_id: DiffId,
    /// The bytes a registry serves.
    pub blob: Bytes,
    /// Which media type names them.
    pub compression: Compression,
}

impl Layer {
    /// Makes a gzip layer of entries.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        Layer::from_tar(&Layer::tar_of(entries), Compression::Gzip)
    }

    /// Makes a layer of entries, packed as asked.
    pub fn packed(entries: impl IntoIterator<Item = Entry>, compression: Compression) -> Self {
        Layer::from_tar(&Layer::tar_of(entries), compression)
    }

    /// Makes a layer of any bytes taken for a tar, packed as asked.
    pub fn from_tar(tar: &[u8], compression: Compression) -> Self {
        Layer { diff_id: sha256(tar), blob: compression.pack(tar).into(), compression }
    }

    /// Makes a layer of any bytes taken for its blob. `diff_id` is what the config will say.
    pub fn from_blob(blob: impl Into<Bytes>, diff_id: DiffId, compression: Compression) -> Self {
        Layer { diff_id, blob: blob.into(), compression }
    }

    /// Returns the digest of the blob.
    pub fn digest(&self) -> Digest {
        sha256(&self.blob)
    }

    fn tar_of(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
        tar(&entries.into_iter().collect::<Vec<_>>())
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("writing to memory")
}

fn zstd_frame(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).expect("writing to memory")
}

/// Cuts `data` into at most `count` pieces; the odd byte more keeps most of them off tar's block boundaries.
fn chunks(data: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    data.chunks(data.len() / count.max(1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_compression_unpacks_to_the_same_tar_and_is_deterministic() {
        let data: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for compression in [Compression::Gzip, Compression::GzipMembers(3), Compression::GzipMembers(50)] {
            let packed = compression.pack(&data);
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == data && packed == compression.pack(&data), "{compression:?}");
        }
        for compression in [Compression::Zstd, Compression::ZstdFrames(4)] {
            let packed = compression.pack(&data);
            assert!(zstd::decode_all(packed.as_slice()).unwrap() == data, "{compression:?}");
        }
    }
}
