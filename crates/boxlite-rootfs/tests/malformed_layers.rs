//! Tars that lie, break off or explode: each ends in its typed error, naming the entry, and nothing panics.

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use boxlite_rootfs::{LayerLimits, LayerSummary, LayerWriter};
use boxlite_testkit::images::{BLOCK_BYTES, Entry};
use boxlite_types::{Context, ErrorCode, Result};
use proptest::prelude::*;
use support::{Converted, layer};

fn convert(tar: &[u8], limits: &LayerLimits, slice: usize) -> Result<LayerSummary> {
    let directory = tempfile::tempdir().unwrap();
    convert_in(directory.path(), tar, limits, slice)
}

fn convert_in(directory: &Path, tar: &[u8], limits: &LayerLimits, slice: usize) -> Result<LayerSummary> {
    let mut writer = LayerWriter::create(directory, limits)?;
    for part in tar.chunks(slice) {
        writer.write(part)?;
    }
    writer.finish()
}

/// Each of these is refused while the layer streams.
#[track_caller]
fn check_refused(entries: &[Entry], code: ErrorCode, entry: &str, says: &str) {
    let error = convert(&layer(entries), &LayerLimits::default(), 1000).unwrap_err();
    assert_eq!(error.code(), code, "{error:?}");
    assert_eq!(error.context().get(&Context::Entry).map_or("", String::as_str), entry, "{error:?}");
    assert!(error.message().contains(says), "{error:?} does not say `{says}`");
    assert!(!error.is_retryable(), "{error:?}");
}

#[test]
fn entries_that_no_file_system_should_hold() {
    let name = "n".repeat(256);
    let check =
        |entry: Entry, context: &str, says: &str| check_refused(&[entry], ErrorCode::Image, context, says);
    check(
        Entry::file(format!("a/{name}"), ""),
        &format!("{}...", &format!("a/{name}")[..200]),
        "longer than 255",
    );
    check(Entry::new(b'0', "/"), "/", "root must be a directory");
    check(Entry::symlink("..", "x"), "/", "root must be a directory");
    check(Entry::symlink("s", ""), "s", "to nothing");
    check(Entry::symlink("s", "t".repeat(4096)), "s", "longer than 4095");
    check(Entry::new(b'V', "volume"), "volume", "type flag `V`");
    check(Entry::new(b'D', "dump"), "dump", "type flag `D`");
    check(Entry::character_device("d", 5000, 0), "d", "5000:0");
    check(Entry::file("f", "").owner(u64::from(u32::MAX), 0), "f", "owner 4294967295");
    check(Entry::file("f", "").pax("gid", "-1"), "f", "owner -1");
    check(Entry::new(b'0', "d/.wh."), "d/.wh.", "names nothing");
    check(Entry::new(b'0', "d/.wh..."), "d/.wh...", "names nothing");
    check(Entry::file("f", "").xattr("user.big", vec![b'v'; 70_000]), "f", "`user.big`");
    check(Entry::file("f", "").pax("size", "9223372036854775808"), "f", "out of range");
}

#[test]
fn headers_that_are_none() {
    let check = |entry: Entry, says: &str| {
        let error = convert(&layer(&[entry]), &LayerLimits::default(), 512).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Image);
        assert!(error.message().contains(says), "{error:?} does not say `{says}`");
    };
    check(Entry::file("f", "").checksum(*b"0000000\0"), "wrong checksum");
    check(Entry::file("f", "").checksum(*b"garbage!"), "no octal number");
    check(Entry::file("f", "").size_field(*b"what is this"), "no octal number");
    check(
        Entry::file("f", "").size_field(*b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
        "out of range",
    );
    check(Entry::file("f", "").pax("path", "a\0b"), "NUL");
    check(Entry::new(b'x', "h").data("not a record"), "malformed record");
    check(Entry::new(b'x', "h").data("30 path=too short\n"), "malformed record");
    check(Entry::new(b'x', "h").data("10 size=x\n"), "no decimal number");
    check(Entry::new(b'L', "h").data("a name for nothing"), "belongs to no entry");
}

#[test]
fn sparse_maps_that_lie() {
    let sparse = |map: &str, size: &str, data: &str| {
        Entry::file("s", data).pax("GNU.sparse.map", map).pax("GNU.sparse.size", size)
    };
    let check = |entry: Entry, says: &str| check_refused(&[entry], ErrorCode::Image, "", says);
    check(sparse("0,4,2,4", "10", "abcdefgh"), "overlaps");
    check(sparse("0,4,8,4", "10", "abcdefgh"), "overlaps or leaves");
    check(sparse("0,4", "10", "abcdefgh"), "another number of bytes");
    check(sparse("0,4,5", "10", "abcd"), "odd number");
    check(sparse("0,18446744073709551615", "10", "abcd"), "overlaps or leaves");
    check_refused(&[sparse("0,4", "99999999999999", "abcd")], ErrorCode::ResourceExhausted, "s", "16 TiB");
    let map_first = |data: &str| {
        Entry::file("s", data)
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.realsize", "10")
    };
    check_refused(&[map_first("")], ErrorCode::Image, "s", "does not end");
    check(map_first(&format!("{:\0<512}", "x\n")), "no decimal number");
    check(map_first(&format!("{:\0<512}", "99999999\n")), "too long");
    check(map_first(&"1\n".repeat(256)[..512].replace("1\n1\n1\n", "3\n1\n1\n")), "");
}

#[test]
fn a_tar_cut_off_anywhere_is_incomplete() {
    let entries = [
        Entry::directory("d"),
        Entry::file("d/f", "content").xattr("user.a", "b"),
        Entry::file("d/".to_owned() + &"long".repeat(60), "x").gnu_long_names(),
        Entry::file("last", vec![1; 1000]),
    ];
    let tar = layer(&entries);
    let end = tar.len() - BLOCK_BYTES;
    for cut in (0..end).step_by(97).chain([0, 1, 511, 512, 513, end - 1]) {
        let error = convert(&tar[..cut], &LayerLimits::default(), 300).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Image, "cut at {cut}: {error:?}");
    }
    convert(&tar[..end], &LayerLimits::default(), 300).unwrap();
}

#[test]
fn budgets_hold_before_anything_is_written() {
    let check = |change: fn(&mut LayerLimits), entries: &[Entry], says: &str| {
        let mut limits = LayerLimits::default();
        change(&mut limits);
        let directory = tempfile::tempdir().unwrap();
        let error = convert_in(directory.path(), &layer(entries), &limits, 10_000).unwrap_err();
        let code = if says.contains("path") { ErrorCode::Image } else { ErrorCode::ResourceExhausted };
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.message().contains(says), "{error:?} does not say `{says}`");
        let data = std::fs::metadata(directory.path().join("data")).unwrap().blocks() * 512;
        assert!(data < 100_000, "{says}: {data} bytes were written");
    };
    let some: Vec<Entry> = (0..20).map(|number| Entry::file(format!("f{number}"), "x")).collect();
    check(|limits| limits.max_entries = 19, &some, "more than 19 entries");
    check(|limits| limits.max_tar_bytes = 10_000, &some, "longer than 10000 bytes");
    let huge = Entry::file("huge", "").declared_size(1 << 40);
    check(|limits| limits.max_tar_bytes = u64::MAX, &[huge], "fill more than");
    check(|limits| limits.max_path_bytes = 10, &[Entry::file("a/b/c/d/e/f/g", "")], "path is longer than 10");
    let sparse = |name: &str| {
        Entry::file(name, "x")
            .pax("GNU.sparse.map", "4398046511103,1")
            .pax("GNU.sparse.size", "4398046511104")
    };
    check(
        |limits| limits.max_index_bytes = 1 << 20,
        &[1, 2, 3, 4, 5].map(|n| sparse(&n.to_string())),
        "metadata",
    );
    let xattr = Entry::file("f", "").xattr("user.a", vec![b'x'; 3000]);
    check(|limits| limits.max_xattr_bytes = 2000, &[xattr], "attributes");
    check(|limits| limits.max_header_bytes = 100, &[Entry::file("f".repeat(150), "")], "extension header");
    check(|limits| limits.max_index_bytes = 300, &some, "metadata");
}

#[test]
fn a_sparse_file_of_terabytes_costs_next_to_nothing() {
    let entry = Entry::file("s", "x")
        .pax("GNU.sparse.map", "4398046511103,1")
        .pax("GNU.sparse.size", "4398046511104");
    let converted = Converted::of(&[layer(&[entry])]).unwrap();
    let data = std::fs::metadata(converted.layers()[0].join("data")).unwrap();
    assert!(data.blocks() * 512 < 100_000, "{} bytes on disk", data.blocks() * 512);
    assert!(std::fs::metadata(converted.metadata()).unwrap().len() < 600_000);
}

#[test]
fn a_failed_writer_stays_failed() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = LayerWriter::create(directory.path(), &LayerLimits::default()).unwrap();
    writer.write(&[1; 512]).unwrap_err();
    assert_eq!(writer.write(&[0; 1024]).unwrap_err().code(), ErrorCode::InvalidState);
    assert_eq!(writer.finish().unwrap_err().code(), ErrorCode::InvalidState);
}

#[test]
fn layers_that_make_no_tree() {
    let check = |layers: &[&[Entry]], says: &str| {
        let tars: Vec<_> = layers.iter().map(|entries| layer(*entries)).collect();
        let error = Converted::of(&tars).err().expect("an error");
        assert_eq!(error.code(), ErrorCode::Image);
        assert!(error.message().contains(says), "{error:?} does not say `{says}`");
        assert!(error.context().contains_key(&Context::Entry));
    };
    let link = |to: &str| Entry::hard_link("l", to);
    check(&[&[link("nothing")]], "does not exist");
    check(&[&[Entry::directory("d")], &[link("d")]], "is a directory");
    check(&[&[link("/")]], "is the root");
    check(&[&[Entry::file("f", ""), Entry::hard_link("f", "f")]], "does not exist");
    check(&[&[Entry::file("f", "")], &[Entry::file("f/x", "")]], "`f`, which is no directory");
    check(&[&[Entry::symlink("s", "s"), Entry::file("s/x", "")]], "too many symbolic links");
    check(&[&[Entry::file("gone", "")], &[Entry::whiteout("gone"), link("gone")]], "does not exist");
    let deep = "d/".repeat(1500);
    check(
        &[&[Entry::directory(&deep), Entry::symlink("s", &deep), Entry::directory("s/".to_owned() + &deep)]],
        "too long",
    );
}

/// Some of everything, to be damaged.
fn specimen() -> Vec<u8> {
    layer(&[
        Entry::directory("d").xattr("user.a", "b"),
        Entry::file("d/f", vec![b'c'; 5000]).pax("mtime", "1.5"),
        Entry::file("s", "abcdefgh").pax("GNU.sparse.map", "0,4,9000,4").pax("GNU.sparse.size", "9004"),
        Entry::file("n".repeat(150), "x").gnu_long_names(),
        Entry::symlink("l", "d"),
        Entry::hard_link("h", "l/f"),
        Entry::character_device("c", 1, 3),
        Entry::whiteout("d/gone"),
    ])
}

/// Any outcome but a panic or an untyped error.
fn check_survives(tar: &[u8]) -> Result<(), TestCaseError> {
    if let Err(error) = Converted::of(&[tar]) {
        let expected = matches!(error.code(), ErrorCode::Image | ErrorCode::ResourceExhausted);
        prop_assert!(expected, "{:?}", error);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        check_survives(&bytes)?;
    }

    #[test]
    fn damage_is_survived(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        mend in any::<bool>(),
    ) {
        let mut tar = specimen();
        for (at, byte) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            if mend {
                mend_checksum(&mut tar, at);
            }
        }
        check_survives(&tar)?;
    }

    #[test]
    fn slicing_does_not_matter(slice in 1_usize..3000) {
        let whole = convert(&specimen(), &LayerLimits::default(), usize::MAX).unwrap();
        prop_assert_eq!(convert(&specimen(), &LayerLimits::default(), slice).unwrap(), whole);
    }
}

/// Makes the block at `at` a header with a right checksum again, if it ever was one: damage then gets further.
fn mend_checksum(tar: &mut [u8], at: usize) {
    let start = at / BLOCK_BYTES * BLOCK_BYTES;
    let block = &mut tar[start..start + BLOCK_BYTES];
    if &block[257..262] == b"ustar" {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}
