//! The one seam between compressed and plain bytes: feed input, take output, in buffers of the caller's.
//!
//! Which library inflates is decided here and in [`crate::gzip`] alone. Streams may have several members or frames;
//! whatever is cut off or has anything else behind it is refused.

use boxlite_types::{Error, ErrorCode, Result};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::gzip::Gzip;
use crate::media::Compression;

/// Largest zstd window accepted, as a power of two: 32 MiB. It bounds the memory a layer can ask for; only
/// `--ultra -21` and above and `--long` make larger ones.
const ZSTD_WINDOW_LOG: u32 = 25;

/// A stream being decompressed.
pub(crate) enum Inflate {
    /// Plain bytes.
    Plain,
    /// Gzip.
    Gzip(Gzip),
    /// Zstd, with whether it stands between two frames, and whether it had one.
    Zstd {
        /// The library's decoder.
        decoder: Decoder<'static>,
        /// Nothing is outstanding.
        between_frames: bool,
        /// Something has been read.
        begun: bool,
    },
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorCode::Image, format!("zstd stream {why}"))
}

impl Inflate {
    pub(crate) fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::None => Inflate::Plain,
            Compression::Gzip => Inflate::Gzip(Gzip::new()),
            Compression::Zstd => {
                let decoder = Decoder::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                    Ok(decoder)
                });
                let decoder = decoder.map_err(|error| {
                    Error::new(ErrorCode::ResourceExhausted, format!("no memory to decompress: {error}"))
                })?;
                Inflate::Zstd { decoder, between_frames: true, begun: false }
            }
        })
    }

    /// Reads from `input` into `output`; returns how much of each was used. With input left and room in `output` it
    /// always makes progress; without input it may still have output to give.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize)> {
        match self {
            Inflate::Plain => {
                let length = input.len().min(output.len());
                output[..length].copy_from_slice(&input[..length]);
                Ok((length, length))
            }
            Inflate::Gzip(gzip) => gzip.step(input, output),
            Inflate::Zstd { decoder, between_frames, begun } => {
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around(output);
                let hint = decoder.run(&mut source, &mut target).map_err(|error| {
                    let why = error.to_string();
                    if why.contains("too much memory") {
                        return malformed("needs a window of more than 32 MiB");
                    }
                    malformed(&format!("is corrupt: {why}"))
                })?;
                let used = (source.pos(), target.pos());
                if used != (0, 0) {
                    *between_frames = hint == 0;
                    *begun = true;
                }
                Ok(used)
            }
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Image` if it is cut off.
    pub(crate) fn finish(&self) -> Result<()> {
        match self {
            Inflate::Plain => Ok(()),
            Inflate::Gzip(gzip) => gzip.finish(),
            Inflate::Zstd { between_frames: true, begun: true, .. } => Ok(()),
            Inflate::Zstd { .. } => Err(malformed("is cut off")),
        }
    }
}

#[cfg(test)]
mod tests;
