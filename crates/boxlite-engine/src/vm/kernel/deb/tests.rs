use std::io::{self, Write};

use proptest::prelude::*;

use super::for_each_file;

fn member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100644, content.len()).into_bytes();
    bytes.extend_from_slice(content);
    if content.len() % 2 == 1 {
        bytes.push(b'\n');
    }
    bytes
}

fn package(data_name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    bytes.extend(member("debian-binary", b"2.0\n"));
    bytes.extend(member("control.tar.xz", b"odd"));
    bytes.extend(member(data_name, data));
    bytes
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        // Written as bytes: the builder refuses the paths that a hostile package would have.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files_of(package: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for_each_file(package, |path, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        files.push((path.display().to_string(), bytes));
        Ok(())
    })?;
    Ok(files)
}

#[test]
fn files_come_out_of_every_kind_of_package() {
    let tar = tar_of(&[("./boot/vmlinuz-1", b"kernel"), ("./lib/modules/1/a.ko", b"module")]);
    let expect = [
        ("boot/vmlinuz-1".to_owned(), b"kernel".to_vec()),
        ("lib/modules/1/a.ko".into(), b"module".to_vec()),
    ];
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&tar).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    for (name, data) in [
        ("data.tar.xz", xz.finish().unwrap()),
        ("data.tar.gz", gzip.finish().unwrap()),
        ("data.tar.zst", zstd::bulk::compress(&tar, 1).unwrap()),
        ("data.tar", tar.clone()),
        ("data.tar/", tar.clone()),
    ] {
        assert_eq!(files_of(&package(name, &data)).unwrap(), expect, "{name}");
    }
}

#[test]
fn paths_that_would_leave_the_package_are_passed_over() {
    let tar =
        tar_of(&[("../outside", b"x"), ("/absolute", b"x"), ("./in/../../out", b"x"), ("./good", b"y")]);
    assert_eq!(files_of(&package("data.tar", &tar)).unwrap(), [("good".to_owned(), b"y".to_vec())]);
}

#[test]
fn what_is_no_package_is_refused() {
    let tar = tar_of(&[("./a", b"content")]);
    let good = package("data.tar", &tar);
    let mut other = package("data.tar.lzma", &tar);
    for bad in [&b""[..], b"!<arch>\n", b"\x7fELF....", &good[..100], &good[..good.len() - 1600], &other] {
        assert!(files_of(bad).is_err());
    }
    other.truncate(20);
    assert!(files_of(&other).is_err());
}

proptest! {
    #[test]
    fn no_change_of_bytes_makes_the_reader_panic(at in 0usize..2500, value in any::<u8>(), length in 0usize..2500) {
        let mut bytes = package("data.tar", &tar_of(&[("./a", b"content"), ("./b/c", &[7; 600])]));
        let at = at.min(bytes.len() - 1);
        bytes[at] = value;
        bytes.truncate(length.max(1));
        let _ = files_of(&bytes);
    }
}
