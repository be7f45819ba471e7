use std::io::Write;

use boxlite_types::ErrorCode;
use proptest::prelude::*;

use super::{release, uncompressed_kernel};

/// A 64-bit x86 ELF file with one segment of notes.
fn elf(notes: &[(&[u8], u32)]) -> Vec<u8> {
    let mut segment = Vec::new();
    for (name, kind) in notes {
        for word in [name.len() as u32, 8, *kind] {
            segment.extend_from_slice(&word.to_le_bytes());
        }
        segment.extend_from_slice(name);
        segment.resize(segment.len().next_multiple_of(4), 0);
        segment.extend_from_slice(&[0; 8]);
    }
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = 62;
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = 4;
    bytes[64 + 8] = 120;
    bytes[64 + 32..64 + 40].copy_from_slice(&(segment.len() as u64).to_le_bytes());
    bytes.extend(segment);
    bytes
}

fn good_kernel() -> Vec<u8> {
    let mut kernel = elf(&[(b"GNU\0", 3), (b"Xen\0", 18)]);
    kernel.extend_from_slice(b"Linux version %s (%s)\0Linux version 6.1.0-56-cloud-amd64 (builder)");
    kernel
}

fn boot_image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024 + 0x10];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    image[0x248] = 0x10;
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend_from_slice(payload);
    image.extend_from_slice(b"what follows is not the payload");
    image
}

/// An LZ4 legacy frame of literals only.
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0xf0];
    let mut left = bytes.len() - 15;
    while left >= 255 {
        block.push(255);
        left -= 255;
    }
    block.push(left as u8);
    block.extend_from_slice(bytes);
    let mut frame = vec![0x02, 0x21, 0x4c, 0x18];
    frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
    frame.extend(block);
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame
}

#[test]
fn the_kernel_comes_out_of_its_image_however_it_is_compressed() {
    let kernel = good_kernel();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&kernel).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&kernel).unwrap();
    // The kernel's build appends the decoded length to every format but gzip.
    let with_length = |mut bytes: Vec<u8>| {
        bytes.extend_from_slice(&(kernel.len() as u32).to_le_bytes());
        bytes
    };
    let payloads = [
        gzip.finish().unwrap(),
        with_length(xz.finish().unwrap()),
        with_length(zstd::bulk::compress(&kernel, 1).unwrap()),
        lz4(&kernel),
    ];
    for payload in payloads {
        assert_eq!(uncompressed_kernel(boot_image(&payload)).unwrap(), kernel, "{:x?}", &payload[..4]);
    }
    assert_eq!(uncompressed_kernel(kernel.clone()).unwrap(), kernel);
    assert_eq!(release(&kernel).as_deref(), Some("6.1.0-56-cloud-amd64"));
}

#[test]
fn what_qemu_could_not_start_is_refused_with_the_reason() {
    let check = |image: Vec<u8>, expect: &str| {
        let error = uncompressed_kernel(image).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().contains(expect), "{error:?}");
    };
    check(elf(&[(b"GNU\0", 18)]), "CONFIG_PVH");
    check(b"#!/bin/sh\n".to_vec(), "neither a boot image");
    check(boot_image(b"BZh9 and so on"), "compressed in a way");
    check(boot_image(&lz4(&good_kernel())[..40]), "broken");
    check(boot_image(&lz4(b"sixteen bytes and no kernel")), "no x86-64 ELF");
    let mut short = boot_image(&lz4(&good_kernel()));
    short.truncate(1100);
    check(short, "cut short");
    let mut huge = boot_image(b"");
    huge[0x248..0x250].fill(0xff);
    check(huge, "cut short");
    let mut old = boot_image(&lz4(&good_kernel()));
    old[0x206] = 2;
    check(old, "neither a boot image");
}

proptest! {
    #[test]
    fn no_change_of_bytes_makes_the_parser_panic(at in 0usize..1700, value in any::<u8>(), length in 0usize..1700) {
        for mut bytes in [boot_image(&lz4(&good_kernel())), good_kernel()] {
            let at = at.min(bytes.len() - 1);
            bytes[at] = value;
            bytes.truncate(length.max(1));
            let _ = release(&bytes);
            let _ = uncompressed_kernel(bytes);
        }
    }
}
