//! Files of the store that are not what was written: found, named, and never merged, laid out or exported.

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;

use boxlite_rootfs::{export, layout, merge, verify_layer, verify_merged};
use boxlite_testkit::images::Entry;
use boxlite_types::{Context, Error, ErrorCode};
use support::{Converted, layer};

fn image() -> Converted {
    let lower = layer(&[Entry::file("a", vec![1; 10_000]), Entry::file("short", "tail")]);
    let sparse =
        Entry::file("s", "abcdefgh").pax("GNU.sparse.map", "0,4,9000,4").pax("GNU.sparse.size", "9004");
    let upper = layer(&[Entry::file("b", vec![2; 5_000]), sparse]);
    Converted::of(&[lower, upper]).unwrap()
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[track_caller]
fn check_found<T: std::fmt::Debug>(result: Result<T, Error>, path: &Path, says: &str) {
    let error = result.expect_err("the damage is found");
    assert_eq!(error.code(), ErrorCode::Storage, "{error:?}");
    assert_eq!(error.context()[&Context::Path], path.display().to_string(), "{error:?}");
    assert!(error.message().contains(says), "{error:?} does not say `{says}`");
}

#[test]
fn a_flipped_bit_of_the_data_is_found_and_its_file_named() {
    let image = image();
    let [lower, upper] = image.layers() else { panic!("two layers") };
    flip(&lower.join("data"), 9_999);
    check_found(verify_layer(lower), &lower.join("data"), "`a`: wrong checksum");
    // `b` takes two blocks; the sparse file stores its first and its third.
    flip(&upper.join("data"), 3 * 4096 + 900);
    check_found(verify_layer(upper), &upper.join("data"), "`s`: wrong checksum");
}

#[test]
fn data_of_another_length_is_found() {
    let image = image();
    let lower = &image.layers()[0];
    let data = std::fs::OpenOptions::new().write(true).open(lower.join("data")).unwrap();
    data.set_len(8192).unwrap();
    check_found(verify_layer(lower), &lower.join("data"), "8192 bytes long instead of 12288");
    let out = lower.join("out");
    let exported = export(&image.metadata(), image.layers(), &out, || false);
    check_found(exported, &lower.join("data"), "shorter");
    assert!(!out.exists());
    std::fs::remove_file(lower.join("data")).unwrap();
    check_found(verify_layer(lower), &lower.join("data"), "cannot open");
}

#[test]
fn every_flipped_byte_of_an_index_is_found() {
    let image = image();
    let lower = &image.layers()[0];
    let index = lower.join("index");
    let whole = std::fs::read(&index).unwrap();
    for at in 0..whole.len() as u64 {
        flip(&index, at);
        check_found(verify_layer(lower), &index, "damaged layer index");
        let out = lower.join(format!("out{at}"));
        check_found(merge(image.layers(), &out), &index, "damaged layer index");
        assert!(!out.exists());
        flip(&index, at);
    }
    for length in [0, 63, 64, whole.len() - 1] {
        std::fs::write(&index, &whole[..length]).unwrap();
        check_found(verify_layer(lower), &index, "damaged layer index");
    }
}

#[test]
fn an_index_without_a_header_is_that_of_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let limits = boxlite_rootfs::LayerLimits::default();
    let mut writer = boxlite_rootfs::LayerWriter::create(directory.path(), &limits).unwrap();
    let many: Vec<_> = (0..5000).map(|number| Entry::file(format!("file{number}"), "x")).collect();
    writer.write(&layer(&many)).unwrap();
    drop(writer);
    check_found(verify_layer(directory.path()), &directory.path().join("index"), "no layer index");
}

#[test]
fn every_flipped_byte_of_merged_metadata_is_found() {
    let image = image();
    let metadata = image.metadata();
    let length = std::fs::metadata(&metadata).unwrap().len();
    for at in (0..length).step_by(7).chain(0..64) {
        flip(&metadata, at);
        check_found(verify_merged(&metadata), &metadata, "damaged root filesystem");
        flip(&metadata, at);
    }
    verify_merged(&metadata).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&metadata).unwrap();
    file.set_len(length + 4096).unwrap();
    check_found(verify_merged(&metadata), &metadata, "another length");
}

#[test]
fn layers_of_another_image_are_not_laid_out() {
    let (image, other) = (image(), image());
    layout(&image.metadata(), other.layers()).expect("the same layers elsewhere are the same layers");
    let swapped: Vec<_> = image.layers().iter().rev().cloned().collect();
    for wrong in [&image.layers()[..1], &swapped, &[]] {
        check_found(layout(&image.metadata(), wrong), &image.metadata(), "other layers");
    }
}

#[test]
fn an_image_larger_than_the_disk_of_a_box_is_refused() {
    // A file of 16 TiB is stored in chunks of 256 MiB: 160 of them, each a byte and zeros, fill 40 GiB of the disk.
    let (chunks, chunk, size) = (160_u64, 256 << 20, 1_u64 << 44);
    let map: Vec<String> = (0..chunks).map(|number| format!("{},1", number * chunk)).collect();
    let entry = Entry::file("s", vec![b'x'; chunks as usize])
        .pax("GNU.sparse.map", map.join(","))
        .pax("GNU.sparse.size", size.to_string());
    let tar = layer(&[entry]);
    let image = {
        let directory = tempfile::tempdir().unwrap();
        let mut writer =
            boxlite_rootfs::LayerWriter::create(directory.path(), &boxlite_rootfs::LayerLimits::default())
                .unwrap();
        writer.write(&tar).unwrap();
        writer.finish().unwrap();
        directory
    };
    let layers = [image.path().to_path_buf(), image.path().to_path_buf()];
    let metadata = image.path().join("merged");
    merge(&layers, &metadata).unwrap();
    let error = layout(&metadata, &layers).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ResourceExhausted);
    assert!(error.message().contains("image too large"), "{error:?}");
    let alone = image.path().join("alone");
    merge(&layers[..1], &alone).unwrap();
    layout(&alone, &layers[..1]).expect("one of them fits");
}
