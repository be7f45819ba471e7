//! Layers whose bytes are not what was promised, or that are what was promised and still no layer.

use boxlite_testkit::images::{BLOCK_BYTES, Compression, Entry, Layer, sha256, tar};
use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NoSpace, NotFound, ResourceExhausted};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene, case};

const GZIP: Compression = Compression::Gzip;
const ZSTD: Compression = Compression::Zstd;

/// An image with these entries as the layer on top.
fn entries(scene: &Scene, entries: impl IntoIterator<Item = Entry>) -> Bad {
    scene.serve(&scene.with(Layer::from_entries(entries))).naming_layer()
}

/// The same, for what is wrong only with regard to the layers below, and found when they are merged.
fn merged(scene: &Scene, entries: impl IntoIterator<Item = Entry>) -> Bad {
    scene.serve(&scene.with(Layer::from_entries(entries)))
}

/// An image with these bytes as the tar on top; digest and DiffID are true.
fn tarred(scene: &Scene, tar: &[u8]) -> Bad {
    scene.serve(&scene.with(Layer::from_tar(tar, GZIP))).naming_layer()
}

/// An image with these bytes as the blob on top; its digest is true, and the DiffID is that of `tar`.
fn packed(scene: &Scene, blob: Vec<u8>, tar: &[u8], compression: Compression) -> Bad {
    scene.serve(&scene.with(Layer::from_blob(blob, sha256(tar), compression))).naming_layer()
}

/// An honest image, with a fault in the answer for the layer on top.
fn served(scene: &Scene, fault: Fault) -> Bad {
    scene.registry.script(Rule::on(Target::Blob(scene.top.digest())).with(fault));
    scene.serve(&scene.image()).naming_layer()
}

/// An honest image but for this change to its manifest.
fn described(scene: &Scene, edit: fn(&mut Value)) -> Bad {
    scene.serve(&scene.image().edit_manifest(edit))
}

/// A plain tar of one file.
fn plain() -> Vec<u8> {
    tar(&[Entry::file("etc/file", boxlite_testkit::images::library_like(30_000, 5))])
}

/// `plain`, packed, then changed.
fn damaged(compression: Compression, damage: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut blob = compression.pack(&plain());
    damage(&mut blob);
    blob
}

/// Cuts off the last bytes.
fn shorten(blob: &mut Vec<u8>, bytes: usize) {
    blob.truncate(blob.len() - bytes);
}

/// Gzip or zstd of so many zero bytes, made without holding them.
fn bomb(compression: Compression, mebibytes: usize) -> Vec<u8> {
    compression.pack(&vec![0; mebibytes << 20])
}

/// A size field in base 256 (GNU): the high bit, then big-endian two's complement.
fn base_256(value: i64) -> [u8; 12] {
    let mut field = [if value < 0 { 0xff } else { 0 }; 12];
    field[4..].copy_from_slice(&value.to_be_bytes());
    field[0] |= 0x80;
    field
}

/// A sparse file `a` in GNU's form 1.0, whose map stands before the data.
fn sparse(real_size: &str, map: &str) -> Entry {
    let mut data = map.as_bytes().to_vec();
    data.resize(BLOCK_BYTES, 0);
    let fields = [("major", "1"), ("minor", "0"), ("name", "a"), ("realsize", real_size)];
    let entry = Entry::file("a", data);
    fields.into_iter().fold(entry, |entry, (key, value)| entry.pax(format!("GNU.sparse.{key}"), value))
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // What is served is not what the manifest says.
    case("one byte of a layer changed", DigestMismatch, &["digest"], |scene| served(scene, Fault::Corrupt(500))),
    case("the last byte of a layer changed", DigestMismatch, &["digest"], |scene| {
        let last = scene.top.blob.len() as u64 - 1;
        served(scene, Fault::Corrupt(last))
    }),
    case("another layer altogether", DigestMismatch, &[], |scene| { let other = scene.base.blob.clone(); served(scene, Fault::Body(other)) }),
    case("an empty body for a layer", DigestMismatch, &[], |scene| served(scene, Fault::Body("".into()))),
    case("a layer that is not there", NotFound, &["does not exist"], |scene| served(scene, Fault::Status(404))),
    case("a layer longer than its manifest says", DigestMismatch, &["100"], |scene| {
        described(scene, |manifest| manifest["layers"][1]["size"] = 100.into()).naming_layer()
    }),
    case("a layer longer than its manifest says, without a length", DigestMismatch, &["100"], |scene| {
        scene.registry.script(Rule::on(Target::Blobs).with(Fault::Chunked));
        described(scene, |manifest| manifest["layers"][1]["size"] = 100.into()).naming_layer()
    }),
    case("a layer shorter than its manifest says", DigestMismatch, &["900000"], |scene| {
        described(scene, |manifest| manifest["layers"][1]["size"] = 900_000.into()).naming_layer()
    }),
    case("a layer shorter than its manifest says, without a length", DigestMismatch, &["900000"], |scene| {
        scene.registry.script(Rule::on(Target::Blobs).with(Fault::Chunked));
        described(scene, |manifest| manifest["layers"][1]["size"] = 900_000.into()).naming_layer()
    }),
    case("a layer of size 0, it is said", DigestMismatch, &[], |scene| {
        described(scene, |manifest| manifest["layers"][1]["size"] = 0.into()).naming_layer()
    }),
    case("a layer of a terabyte, it is said", NoSpace, &[], |scene| described(scene, |manifest| manifest["layers"][1]["size"] = (1u64 << 43).into())),
    case("one blob for two DiffIDs", DigestMismatch, &[], |scene| {
        let other = sha256(b"another").to_string();
        scene.serve(&scene.image().layer(scene.top.clone()).edit_config(move |config| config["rootfs"]["diff_ids"][2] = other.as_str().into())).naming_layer()
    }),
    case("the blob of one layer and the DiffID of another that is held", DigestMismatch, &[], |scene| {
        let held = scene.base.diff_id.to_string();
        scene.serve(&scene.image().edit_config(move |config| config["rootfs"]["diff_ids"] = json!([held, held]))).naming_layer()
    }),
    case("a held DiffID under a digest that nobody has", NotFound, &["sha256:3434"], |scene| {
        described(scene, |manifest| manifest["layers"][0]["digest"] = format!("sha256:{}", "34".repeat(32)).into())
    }),
    case("a held layer with a wrong size", DigestMismatch, &["77"], |scene| described(scene, |manifest| manifest["layers"][0]["size"] = 77.into())),

    // The blob is what its digest says, and cannot be unpacked.
    case("an empty gzip layer", Image, &[], |scene| packed(scene, vec![], b"", GZIP)),
    case("a gzip layer that is none", Image, &["gzip"], |scene| packed(scene, b"hello, this is no gzip at all".to_vec(), b"", GZIP)),
    case("a plain tar served as gzip", Image, &["gzip"], |scene| packed(scene, plain(), &plain(), GZIP)),
    case("a zstd layer served as gzip", Image, &["gzip"], |scene| packed(scene, ZSTD.pack(&plain()), &plain(), GZIP)),
    case("a gzip layer served as zstd", Image, &["zstd"], |scene| packed(scene, GZIP.pack(&plain()), &plain(), ZSTD)),
    case("a gzip layer served as a plain tar", Image, &[], |scene| packed(scene, GZIP.pack(&plain()), &plain(), Compression::None)),
    case("a gzip layer cut in the middle", Image, &["gzip"], |scene| {
        packed(scene, damaged(GZIP, |blob| blob.truncate(blob.len() / 2)), &plain(), GZIP)
    }),
    case("a gzip layer cut in its checksum", Image, &["gzip"], |scene| packed(scene, damaged(GZIP, |blob| shorten(blob, 5)), &plain(), GZIP)),
    case("a gzip header alone", Image, &["gzip"], |scene| packed(scene, damaged(GZIP, |blob| blob.truncate(10)), &plain(), GZIP)),
    case("a gzip name without an end", Image, &["gzip"], |scene| {
        packed(scene, [vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255], vec![b'x'; 4 << 20]].concat(), b"", GZIP)
    }),
    case("a gzip of an unknown method", Image, &["gzip"], |scene| packed(scene, damaged(GZIP, |blob| blob[2] = 7), &plain(), GZIP)),
    case("a gzip with reserved flags", Image, &["gzip"], |scene| packed(scene, damaged(GZIP, |blob| blob[3] = 0xe0), &plain(), GZIP)),
    case("a gzip layer with a wrong checksum", Image, &["gzip"], |scene| {
        packed(scene, damaged(GZIP, |blob| { let place = blob.len() - 8; blob[place] ^= 1; }), &plain(), GZIP)
    }),
    case("a gzip layer with a wrong length", Image, &["gzip"], |scene| {
        packed(scene, damaged(GZIP, |blob| { let place = blob.len() - 1; blob[place] ^= 1; }), &plain(), GZIP)
    }),
    case("a gzip layer with bits flipped", Image, &["gzip"], |scene| {
        packed(scene, damaged(GZIP, |blob| blob[100..200].iter_mut().for_each(|byte| *byte ^= 0x55)), &plain(), GZIP)
    }),
    case("garbage after a gzip layer", Image, &["gzip"], |scene| packed(scene, damaged(GZIP, |blob| blob.extend(b"garbage")), &plain(), GZIP)),
    case("half a gzip member after a gzip layer", Image, &["gzip"], |scene| {
        packed(scene, damaged(GZIP, |blob| blob.extend([0x1f, 0x8b, 8, 0])), &plain(), GZIP)
    }),
    case("a second tar in a second gzip member", DigestMismatch, &[], |scene| {
        packed(scene, damaged(GZIP, |blob| blob.extend(GZIP.pack(&plain()))), &plain(), GZIP)
    }),
    case("an empty zstd layer", Image, &[], |scene| packed(scene, vec![], b"", ZSTD)),
    case("a zstd layer cut in the middle", Image, &["zstd"], |scene| {
        packed(scene, damaged(ZSTD, |blob| blob.truncate(blob.len() / 2)), &plain(), ZSTD)
    }),
    case("a zstd layer with bits flipped", Image, &[], |scene| {
        packed(scene, damaged(ZSTD, |blob| blob[4..60].iter_mut().for_each(|byte| *byte ^= 0x55)), &plain(), ZSTD)
    }),
    case("garbage after a zstd layer", Image, &["zstd"], |scene| packed(scene, damaged(ZSTD, |blob| blob.extend(b"garbage")), &plain(), ZSTD)),
    // Magic, a frame header that asks for a window of 2^41 bytes (RFC 8878, 3.1.1.1.2), an empty last block.
    case("a zstd frame that wants two terabytes of memory", Image, &["zstd"], |scene| {
        packed(scene, vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00], b"", ZSTD)
    }),
    case("a gzip bomb", ResourceExhausted, &["33554432"], |scene| { let blob = bomb(GZIP, 64); packed(scene, blob, b"", GZIP) }),
    case("a zstd bomb", ResourceExhausted, &["33554432"], |scene| { let blob = bomb(ZSTD, 64); packed(scene, blob, b"", ZSTD) }),

    // The tar is what its DiffID says, and no tar.
    case("an empty tar", Image, &["incomplete"], |scene| tarred(scene, b"")),
    case("a tar of one byte", Image, &["incomplete"], |scene| tarred(scene, b"x")),
    case("a tar of garbage", Image, &["malformed layer"], |scene| tarred(scene, &boxlite_testkit::images::library_like(10_240, 3))),
    case("a tar cut in a header", Image, &["incomplete"], |scene| tarred(scene, &plain()[..300])),
    case("a tar cut in a file", Image, &["incomplete"], |scene| tarred(scene, &plain()[..10_000])),
    case("a tar cut between two files", Image, &["incomplete"], |scene| {
        let whole = plain();
        tarred(scene, &whole[..whole.len() - 2 * BLOCK_BYTES])
    }),
    case("a header with a wrong checksum", Image, &["checksum"], |scene| {
        entries(scene, [Entry::file("a", "1"), Entry::file("b", "2").checksum(*b"000000\0 ")])
    }),
    case("a checksum that is no number", Image, &["malformed layer"], |scene| entries(scene, [Entry::file("a", "1").checksum(*b"checksum")])),
    case("a size that is no number", Image, &["octal"], |scene| entries(scene, [Entry::file("a", "1").size_field(*b"hello world\0")])),
    case("a negative size", Image, &["malformed layer"], |scene| entries(scene, [Entry::file("a", "1").size_field(base_256(-512))])),
    case("a file of 8 EiB", ResourceExhausted, &["`a`"], |scene| entries(scene, [Entry::file("a", "1").size_field(base_256(i64::MAX))])),
    case("a file longer than its layer", Image, &["incomplete"], |scene| entries(scene, [Entry::file("a", "1").declared_size(1 << 20)])),
    case("a file larger than the budget", ResourceExhausted, &["25165824"], |scene| entries(scene, [Entry::file("a", "1").declared_size(1 << 30)])),
    case("a sparse file larger than everything", ResourceExhausted, &["`a`"], |scene| {
        entries(scene, [sparse("9000000000000000000", "0\n")])
    }),
    case("a sparse map that is no list of numbers", Image, &["malformed layer"], |scene| {
        entries(scene, [sparse("10", "many\n")])
    }),
    case("more entries than the budget", ResourceExhausted, &["20000"], |scene| {
        entries(scene, (0..20_001).map(|number| Entry::file(format!("bomb/{number}"), "")))
    }),
    case("a name of 256 bytes", Image, &["256", "255"], |scene| entries(scene, [Entry::file("x".repeat(256), "")])),
    case("a path of 5,000 bytes", Image, &["4095"], |scene| entries(scene, [Entry::file("d/".repeat(2500) + "f", "")])),
    case("a NUL in a name", Image, &["NUL"], |scene| entries(scene, [Entry::file("a", "").pax("path", b"a\0b")])),
    case("a terminal escape in a bad name", Image, &["\\x1b[31m"], |scene| {
        entries(scene, [Entry::file(format!("\u{1b}[31m{}", "x".repeat(300)), "")])
    }),
    case("a symbolic link to nothing", Image, &["`a`"], |scene| entries(scene, [Entry::symlink("a", "")])),
    case("a symbolic link of 5,000 bytes", Image, &["4095"], |scene| entries(scene, [Entry::symlink("a", "x/".repeat(2500))])),
    case("a hard link to what is not there", Image, &["`nowhere`"], |scene| merged(scene, [Entry::hard_link("a", "nowhere")])),
    case("a hard link to itself", Image, &["`a`"], |scene| merged(scene, [Entry::hard_link("a", "a")])),
    case("a hard link to a directory", Image, &["`etc`"], |scene| merged(scene, [Entry::hard_link("a", "etc")])),
    case("a hard link to the host's file", Image, &["etc/shadow"], |scene| merged(scene, [Entry::hard_link("a", "../../../../etc/shadow")])),
    case("a file below a file", Image, &["`etc/os-release/x`"], |scene| merged(scene, [Entry::file("etc/os-release/x", "1")])),
    case("a path through a loop of links", Image, &["symbolic links"], |scene| {
        merged(scene, [Entry::symlink("a", "b"), Entry::symlink("b", "a"), Entry::file("a/f", "1")])
    }),
    case("a root that is a file", Image, &["root"], |scene| entries(scene, [Entry::file("./", "1")])),
    case("a root that is a link", Image, &["root"], |scene| entries(scene, [Entry::symlink("/", "/etc")])),
    case("a whiteout of nothing", Image, &["whiteout"], |scene| entries(scene, [Entry::file("etc/.wh.", "")])),
    case("a whiteout of the parent", Image, &["whiteout"], |scene| entries(scene, [Entry::file("etc/.wh...", "")])),
    case("a device number out of range", Image, &["device number"], |scene| entries(scene, [Entry::character_device("dev/x", 5000, 1)])),
    case("an owner out of range", Image, &["owner"], |scene| entries(scene, [Entry::file("a", "").owner(1 << 40, 0)])),
    case("a pax record without a length", Image, &["PAX"], |scene| entries(scene, [Entry::new(b'x', "h").data("path=a\n"), Entry::file("a", "")])),
    case("a pax record longer than its header", Image, &["PAX"], |scene| {
        entries(scene, [Entry::new(b'x', "h").data("999 path=a\n"), Entry::file("a", "")])
    }),
    case("a pax size that is no number", Image, &["malformed layer"], |scene| entries(scene, [Entry::file("a", "1").pax("size", "big")])),
    case("a pax header of 2 MiB", ResourceExhausted, &["1048576"], |scene| {
        entries(scene, [Entry::file("a", "1").pax("comment", "x".repeat(2 << 20))])
    }),
    case("a pax header at the end of the layer", Image, &["extension header"], |scene| entries(scene, [Entry::new(b'x', "h").data("10 path=a\n")])),
    case("extended attributes beyond the budget", ResourceExhausted, &["`a`"], |scene| {
        entries(scene, [Entry::file("a", "1").xattr("user.a", "x".repeat(60_000)).xattr("user.b", "x".repeat(60_000)).xattr("user.c", "x".repeat(60_000))])
    }),
];
