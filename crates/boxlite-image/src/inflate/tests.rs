use std::io::Write;

use super::*;

/// Decompresses `input`, handed over in pieces of `piece` bytes, into buffers of `room` bytes.
fn inflate(compression: Compression, input: &[u8], piece: usize, room: usize) -> Result<Vec<u8>> {
    let mut stream = Inflate::new(compression)?;
    let (mut output, mut buffer) = (Vec::new(), vec![0; room]);
    for mut piece in input.chunks(piece) {
        loop {
            let (consumed, produced) = stream.step(piece, &mut buffer)?;
            output.extend_from_slice(&buffer[..produced]);
            piece = &piece[consumed..];
            if piece.is_empty() && produced < room {
                break;
            }
        }
    }
    stream.finish()?;
    Ok(output)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn plain() -> Vec<u8> {
    (0..200_000u32).flat_map(|number| (number.wrapping_mul(number) / 7).to_le_bytes()).collect()
}

fn check(compression: Compression, input: &[u8], expect: &[u8]) {
    for (piece, room) in [(usize::MAX, 1 << 20), (1000, 4096), (1, 100_000), (7, 3)] {
        // A byte at a time takes too long for the large ones.
        if piece >= 1000 || input.len() < 40_000 {
            let output = inflate(compression, input, piece, room).unwrap();
            assert!(output == expect, "{compression:?} in pieces of {piece} to {room}");
        }
    }
}

fn check_refused(compression: Compression, input: &[u8], says: &str) {
    for piece in [1, 5, usize::MAX] {
        let error = inflate(compression, input, piece, 4096).expect_err(says);
        assert_eq!(error.code(), ErrorCode::Image);
        assert!(error.message().contains(says), "`{}` does not say `{says}`", error.message());
    }
}

#[test]
fn every_kind_comes_out_as_it_went_in() {
    for bytes in [Vec::new(), vec![0], plain()] {
        check(Compression::None, &bytes, &bytes);
        check(Compression::Gzip, &gzip(&bytes), &bytes);
        check(Compression::Zstd, &zstd(&bytes), &bytes);
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    let both = [gzip(b"first "), gzip(b""), gzip(b"second")].concat();
    check(Compression::Gzip, &both, b"first second");
    // A skippable frame (RFC 8878, section 3.1.2) in the middle and one at the end, as zstd:chunked has it.
    let skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &3_u32.to_le_bytes()[..], b"xyz"].concat();
    let frames = [zstd(b"first "), skippable.clone(), zstd(b"second"), skippable].concat();
    check(Compression::Zstd, &frames, b"first second");
}

#[test]
fn optional_parts_of_a_gzip_header_are_read() {
    let mut writer = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(vec![7; 300])
        .write(Vec::new(), flate2::Compression::fast());
    writer.write_all(b"x").unwrap();
    check(Compression::Gzip, &writer.finish().unwrap(), b"x");
}

#[test]
fn a_cut_is_noticed_at_every_byte() {
    let compressed = gzip(b"some content");
    (0..compressed.len())
        .for_each(|length| check_refused(Compression::Gzip, &compressed[..length], "cut off"));
    let compressed = zstd(b"some content");
    (0..compressed.len())
        .for_each(|length| check_refused(Compression::Zstd, &compressed[..length], "cut off"));
}

#[test]
fn garbage_behind_the_end_is_refused() {
    check_refused(Compression::Gzip, &[gzip(b"x"), vec![0; 20]].concat(), "no gzip member");
    check_refused(Compression::Gzip, &[gzip(b"x"), b"x".to_vec()].concat(), "no gzip member");
    check_refused(Compression::Zstd, &[zstd(b"x"), b"garbage!".to_vec()].concat(), "corrupt");
    check_refused(Compression::Zstd, &[zstd(b"x"), vec![0]].concat(), "");
}

#[test]
fn a_wrong_checksum_or_length_is_refused() {
    let good = gzip(b"content");
    for place in 1..=8 {
        let mut bad = good.clone();
        let at = bad.len() - place;
        bad[at] ^= 1;
        check_refused(Compression::Gzip, &bad, "checksum");
    }
}

#[test]
fn one_kind_is_not_taken_for_another() {
    check_refused(Compression::Gzip, &zstd(b"x"), "no gzip member");
    check_refused(Compression::Zstd, &gzip(b"x"), "corrupt");
    check_refused(Compression::Gzip, &[0x1f, 0x8b, 8, 0xe0], "unknown kind");
}

#[test]
fn a_window_that_would_take_all_memory_is_refused() {
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    writer.window_log(27).unwrap();
    writer.write_all(&plain()).unwrap();
    check_refused(Compression::Zstd, &writer.finish().unwrap(), "window");
}

proptest::proptest! {
    #[test]
    fn no_input_makes_it_panic_or_hang(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let with_magic = [&[0x1f, 0x8b, 8, bytes.first().copied().unwrap_or(0) & 0x1f][..], &bytes].concat();
        let _ = inflate(Compression::Gzip, &with_magic, 7, 16);
        let _ = inflate(Compression::Zstd, &bytes, 7, 16);
    }
}
