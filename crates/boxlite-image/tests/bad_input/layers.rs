//! Layers whose bytes are not what was promised, or that are what was promised and still no layer.

use boxlite_testkit::images::{BLOCK_BYTES, Compression, Entry, Layer, sha256, tar};
use boxlite_testkit::registry::{Fault, Rule, Target};
use boxlite_types::ErrorCode::{DigestMismatch, Image, NoSpace, NotFound, ResourceExhausted};
use serde_json::{Value, json};

use crate::scene::{Bad, Case, Scene};

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

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // What is served is not what the manifest says.
    Case { name: "one byte of a layer changed", expect: DigestMismatch, says: &["digest"], setup: |scene| served(scene, Fault::Corrupt(500)) },
    Case { name: "the last byte of a layer changed", expect: DigestMismatch, says: &["digest"], setup: |scene| { let last = scene.top.blob.len() as u64 - 1; served(scene, Fault::Corrupt(last)) } },
    Case { name: "another layer altogether", expect: DigestMismatch, says: &[], setup: |scene| { let other = scene.base.blob.clone(); served(scene, Fault::Body(other)) } },
    Case { name: "an empty body for a layer", expect: DigestMismatch, says: &[], setup: |scene| served(scene, Fault::Body("".into())) },
    Case { name: "a layer that is not there", expect: NotFound, says: &["does not exist"], setup: |scene| served(scene, Fault::Status(404)) },
    Case { name: "a layer longer than its manifest says", expect: DigestMismatch, says: &["100"], setup: |scene| described(scene, |manifest| manifest["layers"][1]["size"] = 100.into()).naming_layer() },
    Case { name: "a layer longer than its manifest says, without a length", expect: DigestMismatch, says: &["100"], setup: |scene| { scene.registry.script(Rule::on(Target::Blobs).with(Fault::Chunked)); described(scene, |manifest| manifest["layers"][1]["size"] = 100.into()).naming_layer() } },
    Case { name: "a layer shorter than its manifest says", expect: DigestMismatch, says: &["900000"], setup: |scene| described(scene, |manifest| manifest["layers"][1]["size"] = 900_000.into()).naming_layer() },
    Case { name: "a layer shorter than its manifest says, without a length", expect: DigestMismatch, says: &["900000"], setup: |scene| { scene.registry.script(Rule::on(Target::Blobs).with(Fault::Chunked)); described(scene, |manifest| manifest["layers"][1]["size"] = 900_000.into()).naming_layer() } },
    Case { name: "a layer of size 0, it is said", expect: DigestMismatch, says: &[], setup: |scene| described(scene, |manifest| manifest["layers"][1]["size"] = 0.into()).naming_layer() },
    Case { name: "a layer of a terabyte, it is said", expect: NoSpace, says: &[], setup: |scene| described(scene, |manifest| manifest["layers"][1]["size"] = (1u64 << 43).into()) },
    Case { name: "one blob for two DiffIDs", expect: DigestMismatch, says: &[], setup: |scene| { let other = sha256(b"another").to_string(); scene.serve(&scene.image().layer(scene.top.clone()).edit_config(move |config| config["rootfs"]["diff_ids"][2] = other.as_str().into())).naming_layer() } },
    Case { name: "the blob of one layer and the DiffID of another that is held", expect: DigestMismatch, says: &[], setup: |scene| { let held = scene.base.diff_id.to_string(); scene.serve(&scene.image().edit_config(move |config| config["rootfs"]["diff_ids"] = json!([held, held]))).naming_layer() } },
    Case { name: "a held DiffID under a digest that nobody has", expect: NotFound, says: &["sha256:3434"], setup: |scene| described(scene, |manifest| manifest["layers"][0]["digest"] = format!("sha256:{}", "34".repeat(32)).into()) },
    Case { name: "a held layer with a wrong size", expect: DigestMismatch, says: &["77"], setup: |scene| described(scene, |manifest| manifest["layers"][0]["size"] = 77.into()) },

    // The blob is what its digest says, and cannot be unpacked.
    Case { name: "an empty gzip layer", expect: Image, says: &[], setup: |scene| packed(scene, vec![], b"", GZIP) },
    Case { name: "a gzip layer that is none", expect: Image, says: &["gzip"], setup: |scene| packed(scene, b"hello, this is no gzip at all".to_vec(), b"", GZIP) },
    Case { name: "a plain tar served as gzip", expect: Image, says: &["gzip"], setup: |scene| packed(scene, plain(), &plain(), GZIP) },
    Case { name: "a zstd layer served as gzip", expect: Image, says: &["gzip"], setup: |scene| packed(scene, ZSTD.pack(&plain()), &plain(), GZIP) },
    Case { name: "a gzip layer served as zstd", expect: Image, says: &["zstd"], setup: |scene| packed(scene, GZIP.pack(&plain()), &plain(), ZSTD) },
    Case { name: "a gzip layer served as a plain tar", expect: Image, says: &[], setup: |scene| packed(scene, GZIP.pack(&plain()), &plain(), Compression::None) },
    Case { name: "a gzip layer cut in the middle", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob.truncate(blob.len() / 2)), &plain(), GZIP) },
    Case { name: "a gzip layer cut in its checksum", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| shorten(blob, 5)), &plain(), GZIP) },
    Case { name: "a gzip header alone", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob.truncate(10)), &plain(), GZIP) },
    Case { name: "a gzip name without an end", expect: Image, says: &["gzip"], setup: |scene| packed(scene, [vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255], vec![b'x'; 4 << 20]].concat(), b"", GZIP) },
    Case { name: "a gzip of an unknown method", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob[2] = 7), &plain(), GZIP) },
    Case { name: "a gzip with reserved flags", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob[3] = 0xe0), &plain(), GZIP) },
    Case { name: "a gzip layer with a wrong checksum", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| { let place = blob.len() - 8; blob[place] ^= 1; }), &plain(), GZIP) },
    Case { name: "a gzip layer with a wrong length", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| { let place = blob.len() - 1; blob[place] ^= 1; }), &plain(), GZIP) },
    Case { name: "a gzip layer with bits flipped", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob[100..200].iter_mut().for_each(|byte| *byte ^= 0x55)), &plain(), GZIP) },
    Case { name: "garbage after a gzip layer", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob.extend(b"garbage")), &plain(), GZIP) },
    Case { name: "half a gzip member after a gzip layer", expect: Image, says: &["gzip"], setup: |scene| packed(scene, damaged(GZIP, |blob| blob.extend([0x1f, 0x8b, 8, 0])), &plain(), GZIP) },
    Case { name: "a second tar in a second gzip member", expect: DigestMismatch, says: &[], setup: |scene| packed(scene, damaged(GZIP, |blob| blob.extend(GZIP.pack(&plain()))), &plain(), GZIP) },
    Case { name: "an empty zstd layer", expect: Image, says: &[], setup: |scene| packed(scene, vec![], b"", ZSTD) },
    Case { name: "a zstd layer cut in the middle", expect: Image, says: &["zstd"], setup: |scene| packed(scene, damaged(ZSTD, |blob| blob.truncate(blob.len() / 2)), &plain(), ZSTD) },
    Case { name: "a zstd layer with bits flipped", expect: Image, says: &[], setup: |scene| packed(scene, damaged(ZSTD, |blob| blob[4..60].iter_mut().for_each(|byte| *byte ^= 0x55)), &plain(), ZSTD) },
    Case { name: "garbage after a zstd layer", expect: Image, says: &["zstd"], setup: |scene| packed(scene, damaged(ZSTD, |blob| blob.extend(b"garbage")), &plain(), ZSTD) },
    // Magic, a frame header that asks for a window of 2^41 bytes (RFC 8878, 3.1.1.1.2), an empty last block.
    Case { name: "a zstd frame that wants two terabytes of memory", expect: Image, says: &["zstd"], setup: |scene| packed(scene, vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00], b"", ZSTD) },
    Case { name: "a gzip bomb", expect: ResourceExhausted, says: &["33554432"], setup: |scene| { let blob = bomb(GZIP, 64); packed(scene, blob, b"", GZIP) } },
    Case { name: "a zstd bomb", expect: ResourceExhausted, says: &["33554432"], setup: |scene| { let blob = bomb(ZSTD, 64); packed(scene, blob, b"", ZSTD) } },

    // The tar is what its DiffID says, and no tar.
    Case { name: "an empty tar", expect: Image, says: &["incomplete"], setup: |scene| tarred(scene, b"") },
    Case { name: "a tar of one byte", expect: Image, says: &["incomplete"], setup: |scene| tarred(scene, b"x") },
    Case { name: "a tar of garbage", expect: Image, says: &["malformed layer"], setup: |scene| tarred(scene, &boxlite_testkit::images::library_like(10_240, 3)) },
    Case { name: "a tar cut in a header", expect: Image, says: &["incomplete"], setup: |scene| tarred(scene, &plain()[..300]) },
    Case { name: "a tar cut in a file", expect: Image, says: &["incomplete"], setup: |scene| tarred(scene, &plain()[..10_000]) },
    Case { name: "a tar cut between two files", expect: Image, says: &["incomplete"], setup: |scene| { let whole = plain(); tarred(scene, &whole[..whole.len() - 2 * BLOCK_BYTES]) } },
    Case { name: "a header with a wrong checksum", expect: Image, says: &["checksum"], setup: |scene| entries(scene, [Entry::file("a", "1"), Entry::file("b", "2").checksum(*b"000000\0 ")]) },
    Case { name: "a checksum that is no number", expect: Image, says: &["malformed layer"], setup: |scene| entries(scene, [Entry::file("a", "1").checksum(*b"checksum")]) },
    Case { name: "a size that is no number", expect: Image, says: &["octal"], setup: |scene| entries(scene, [Entry::file("a", "1").size_field(*b"hello world\0")]) },
    Case { name: "a negative size", expect: Image, says: &["malformed layer"], setup: |scene| entries(scene, [Entry::file("a", "1").size_field(base_256(-512))]) },
    Case { name: "a file of 8 EiB", expect: ResourceExhausted, says: &["`a`"], setup: |scene| entries(scene, [Entry::file("a", "1").size_field(base_256(i64::MAX))]) },
    Case { name: "a file longer than its layer", expect: Image, says: &["incomplete"], setup: |scene| entries(scene, [Entry::file("a", "1").declared_size(1 << 20)]) },
    Case { name: "a file larger than the budget", expect: ResourceExhausted, says: &["25165824"], setup: |scene| entries(scene, [Entry::file("a", "1").declared_size(1 << 30)]) },
    Case { name: "a sparse file larger than everything", expect: ResourceExhausted, says: &["`a`"], setup: |scene| entries(scene, [Entry::file("a", "").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.name", "a").pax("GNU.sparse.realsize", "9000000000000000000").data([b"0\n".as_slice(), &[0; 510]].concat())]) },
    Case { name: "a sparse map that is no list of numbers", expect: Image, says: &["malformed layer"], setup: |scene| entries(scene, [Entry::file("a", "").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.name", "a").pax("GNU.sparse.realsize", "10").data([b"many\n".as_slice(), &[0; 507]].concat())]) },
    Case { name: "more entries than the budget", expect: ResourceExhausted, says: &["20000"], setup: |scene| entries(scene, (0..20_001).map(|number| Entry::file(format!("bomb/{number}"), ""))) },
    Case { name: "a name of 256 bytes", expect: Image, says: &["256", "255"], setup: |scene| entries(scene, [Entry::file("x".repeat(256), "")]) },
    Case { name: "a path of 5,000 bytes", expect: Image, says: &["4095"], setup: |scene| entries(scene, [Entry::file("d/".repeat(2500) + "f", "")]) },
    Case { name: "a NUL in a name", expect: Image, says: &["NUL"], setup: |scene| entries(scene, [Entry::file("a", "").pax("path", b"a\0b")]) },
    Case { name: "a terminal escape in a bad name", expect: Image, says: &["\\x1b[31m"], setup: |scene| entries(scene, [Entry::file(format!("\u{1b}[31m{}", "x".repeat(300)), "")]) },
    Case { name: "a symbolic link to nothing", expect: Image, says: &["`a`"], setup: |scene| entries(scene, [Entry::symlink("a", "")]) },
    Case { name: "a symbolic link of 5,000 bytes", expect: Image, says: &["4095"], setup: |scene| entries(scene, [Entry::symlink("a", "x/".repeat(2500))]) },
    Case { name: "a hard link to what is not there", expect: Image, says: &["`nowhere`"], setup: |scene| merged(scene, [Entry::hard_link("a", "nowhere")]) },
    Case { name: "a hard link to itself", expect: Image, says: &["`a`"], setup: |scene| merged(scene, [Entry::hard_link("a", "a")]) },
    Case { name: "a hard link to a directory", expect: Image, says: &["`etc`"], setup: |scene| merged(scene, [Entry::hard_link("a", "etc")]) },
    Case { name: "a hard link to the host's file", expect: Image, says: &["etc/shadow"], setup: |scene| merged(scene, [Entry::hard_link("a", "../../../../etc/shadow")]) },
    Case { name: "a file below a file", expect: Image, says: &["`etc/os-release/x`"], setup: |scene| merged(scene, [Entry::file("etc/os-release/x", "1")]) },
    Case { name: "a path through a loop of links", expect: Image, says: &["symbolic links"], setup: |scene| merged(scene, [Entry::symlink("a", "b"), Entry::symlink("b", "a"), Entry::file("a/f", "1")]) },
    Case { name: "a root that is a file", expect: Image, says: &["root"], setup: |scene| entries(scene, [Entry::file("./", "1")]) },
    Case { name: "a root that is a link", expect: Image, says: &["root"], setup: |scene| entries(scene, [Entry::symlink("/", "/etc")]) },
    Case { name: "a whiteout of nothing", expect: Image, says: &["whiteout"], setup: |scene| entries(scene, [Entry::file("etc/.wh.", "")]) },
    Case { name: "a whiteout of the parent", expect: Image, says: &["whiteout"], setup: |scene| entries(scene, [Entry::file("etc/.wh...", "")]) },
    Case { name: "a device number out of range", expect: Image, says: &["device number"], setup: |scene| entries(scene, [Entry::character_device("dev/x", 5000, 1)]) },
    Case { name: "an owner out of range", expect: Image, says: &["owner"], setup: |scene| entries(scene, [Entry::file("a", "").owner(1 << 40, 0)]) },
    Case { name: "a pax record without a length", expect: Image, says: &["PAX"], setup: |scene| entries(scene, [Entry::new(b'x', "h").data("path=a\n"), Entry::file("a", "")]) },
    Case { name: "a pax record longer than its header", expect: Image, says: &["PAX"], setup: |scene| entries(scene, [Entry::new(b'x', "h").data("999 path=a\n"), Entry::file("a", "")]) },
    Case { name: "a pax size that is no number", expect: Image, says: &["malformed layer"], setup: |scene| entries(scene, [Entry::file("a", "1").pax("size", "big")]) },
    Case { name: "a pax header of 2 MiB", expect: ResourceExhausted, says: &["1048576"], setup: |scene| entries(scene, [Entry::file("a", "1").pax("comment", "x".repeat(2 << 20))]) },
    Case { name: "a pax header at the end of the layer", expect: Image, says: &["extension header"], setup: |scene| entries(scene, [Entry::new(b'x', "h").data("10 path=a\n")]) },
    Case { name: "extended attributes beyond the budget", expect: ResourceExhausted, says: &["`a`"], setup: |scene| entries(scene, [Entry::file("a", "1").xattr("user.a", "x".repeat(60_000)).xattr("user.b", "x".repeat(60_000)).xattr("user.c", "x".repeat(60_000))]) },
];
