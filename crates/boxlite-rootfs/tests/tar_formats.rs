//! Tars as real programs write them: every format GNU tar has, and what of the formats GNU tar cannot write.
//!
//! The tree packed is the tree expected; no root is needed, since the result is read without mounting.

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use boxlite_testkit::images::{BLOCK_BYTES, Entry};
use support::{Converted, Snapshot, is_root, layer, umoci};

/// A tree with long and odd names, links and, if asked, a file that is mostly holes.
fn tree(long_names: bool, sparse: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let deep = if long_names { "d/".repeat(120) + &"n".repeat(200) } else { "d/e/f".into() };
    std::fs::create_dir_all(root.join(&deep)).unwrap();
    std::fs::write(root.join(&deep).join("file"), "content").unwrap();
    std::fs::write(root.join("plain"), vec![7; 10_000]).unwrap();
    std::fs::hard_link(root.join("plain"), root.join("plainer")).unwrap();
    std::os::unix::fs::symlink("plain", root.join("link")).unwrap();
    if long_names {
        std::os::unix::fs::symlink("t".repeat(300), root.join("long link")).unwrap();
    }
    if sparse {
        let file = std::fs::File::create(root.join("sparse")).unwrap();
        for (at, content) in [(0, "first"), (50_000, "middle"), (1 << 20, "block"), (5_000_000, "late")] {
            file.write_all_at(content.as_bytes(), at).unwrap();
        }
        file.set_len(6_000_123).unwrap();
        let many = std::fs::File::create(root.join("many holes")).unwrap();
        for number in 0..200 {
            many.write_all_at(b"x", number * 64 * 1024).unwrap();
        }
        let hole = std::fs::File::create(root.join("only a hole")).unwrap();
        hole.set_len(30_000_000).unwrap();
    }
    // Times without a fraction, which only PAX could keep, and not of today, which a snapshot leaves out.
    let touched = Command::new("find")
        .arg(root)
        .args(["-exec", "touch", "-h", "-d", "@1234567890", "{}", "+"])
        .status();
    assert!(touched.unwrap().success());
    directory
}

fn pack(root: &Path, options: &[&str]) -> Vec<u8> {
    let run = Command::new("tar")
        .args(["--create", "--sort=name", "--numeric-owner", "--directory"])
        .arg(root)
        .args(options)
        .arg(".")
        .output()
        .expect("tar");
    assert!(run.status.success(), "tar {options:?}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

#[track_caller]
fn check(options: &[&str], long_names: bool, sparse: bool) {
    let tree = tree(long_names, sparse);
    let converted =
        Converted::of(&[pack(tree.path(), options)]).unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
    let (ours, packed) = (Snapshot::of_erofs(&converted.export()), Snapshot::of(tree.path()));
    assert_eq!(ours.differences(&packed), [""; 0], "{options:?}: ours (-), what was packed (+)");
    if sparse {
        let data = std::fs::metadata(converted.layers()[0].join("data")).unwrap().len();
        assert!(data < 3_000_000, "{options:?}: holes are not stored, but data has {data} bytes");
    }
}

#[test]
fn every_format_of_gnu_tar_is_read() {
    check(&["--format=v7"], false, false);
    check(&["--format=oldgnu"], true, false);
    check(&["--format=gnu"], true, false);
    check(&["--format=ustar"], false, false);
    check(&["--format=posix"], true, false);
}

#[test]
fn every_spelling_of_sparse_files_is_read() {
    check(&["--format=gnu", "--sparse"], false, true);
    check(&["--format=posix", "--sparse", "--sparse-version=0.0"], true, true);
    check(&["--format=posix", "--sparse", "--sparse-version=0.1"], true, true);
    check(&["--format=posix", "--sparse", "--sparse-version=1.0"], true, true);
}

#[test]
fn the_kernel_and_umoci_agree_on_sparse_files() {
    if !is_root("sparse files in the kernel") {
        return;
    }
    let tree = tree(false, true);
    let tar = pack(tree.path(), &["--format=posix", "--sparse", "--sparse-version=1.0"]);
    let ours = Converted::of(&[&tar]).unwrap().snapshot();
    assert_eq!(ours.differences(&umoci(&[&tar]).unwrap()), [""; 0]);
}

/// A header block of another kind than the fixtures write.
fn block(path: &[u8], type_flag: u8, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = [0; BLOCK_BYTES];
    block[..path.len()].copy_from_slice(path);
    block[100..108].copy_from_slice(b"0000644\0");
    block[156] = type_flag;
    for (at, bytes) in fields {
        block[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.to_vec()
}

fn ended(blocks: &[Vec<u8>]) -> Vec<u8> {
    [blocks.concat(), vec![0; 2 * BLOCK_BYTES]].concat()
}

#[track_caller]
fn tree_of(tar: &[u8]) -> Snapshot {
    Snapshot::of_erofs(&Converted::of(&[tar]).unwrap().export())
}

#[test]
fn a_v7_file_with_a_slash_at_its_end_is_a_directory() {
    let tree = tree_of(&ended(&[block(b"old/", 0, &[]), block(b"old/file", 0, &[])]));
    assert_eq!(tree.nodes[std::ffi::OsStr::new("old")].mode, 0o040_644);
    assert_eq!(tree.nodes[std::ffi::OsStr::new("old/file")].mode, 0o100_644);
}

#[test]
fn ustar_and_star_prefixes_and_base_256_are_understood() {
    let large: &[u8] = b"\x80\0\0\0\0\x01\0\x02";
    let before_1970: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let tree = tree_of(&ended(&[
        block(b"name", b'0', &[(257, b"ustar\x0000"), (345, b"some/prefix")]),
        block(
            b"name",
            b'0',
            &[(257, b"ustar\x0000"), (345, b"star"), (476, b"00000000001"), (508, b"tar\0")],
        ),
        block(
            b"big",
            b'0',
            &[(257, b"ustar  \0"), (108, large), (136, before_1970), (345, b"00000000001\0")],
        ),
        block(b"contiguous", b'7', &[(257, b"ustar\x0000")]),
    ]));
    let names: Vec<_> = tree.nodes.keys().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(
        names,
        ["", "big", "contiguous", "some", "some/prefix", "some/prefix/name", "star", "star/name"]
    );
    let big = &tree.nodes[std::ffi::OsStr::new("big")];
    assert_eq!((big.owner.0, big.mtime), (0x1_0002, Some((-1, 0))));
}

#[test]
fn extension_headers_belong_to_the_next_entry_and_no_other() {
    let named = |name: &str| Entry::file("short", "x").pax("path", name).modified(1);
    let global = Entry::new(b'g', "pax_global_header").data(b"12 mtime=99\n");
    let with_size = Entry::new(b'x', "PaxHeaders").data(b"10 size=4\n");
    let long_name = Entry::new(b'L', "././@LongLink").data(b"long/name\0\0\0");
    let tree = tree_of(&layer(&[
        global,
        named("renamed"),
        Entry::file("untouched", "y").modified(2),
        // A size in PAX is that of the file, not of the GNU header between.
        with_size,
        long_name,
        Entry::file("ignored", "four").size_field(*b"00000000000\0"),
        Entry::file("last", "z"),
    ]));
    let names: Vec<_> = tree.nodes.keys().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(names, ["", "last", "long", "long/name", "renamed", "untouched"]);
    assert_eq!(tree.nodes[std::ffi::OsStr::new("renamed")].mtime, Some((1, 0)), "global headers are ignored");
    assert_eq!(tree.nodes[std::ffi::OsStr::new("long/name")].size, 4);
}

#[test]
fn what_follows_the_end_is_ignored() {
    let whole = layer(&[Entry::file("a", "x")]);
    let one_zero_block = &whole[..whole.len() - BLOCK_BYTES];
    let garbage = [&whole[..], b"garbage", &[1; 3000]].concat();
    for tar in [&whole[..], one_zero_block, &garbage] {
        assert_eq!(tree_of(tar).nodes.len(), 2);
    }
}

/// Where umoci 0.4.7 is not followed, and why. One more: it takes a tar without an end marker for whole, which cannot be
/// told from one that was cut off; here that is an error (`malformed_layers`, `a_tar_cut_off_anywhere_is_incomplete`).
#[test]
fn deviations() {
    let names = |entries: &[Entry]| -> Vec<String> {
        tree_of(&layer(entries)).nodes.into_keys().map(|name| name.into_string().unwrap()).collect()
    };
    // AUFS's own files are no part of the image: docker and containerd skip them; umoci unpacks what lies below them.
    assert_eq!(names(&[Entry::file(".wh..wh.plnk/1.2", "x"), Entry::file(".wh..wh.aufs", "")]), [""]);

    // bsdtar's spelling of attributes, if it is the only one; Go knows only the other.
    let xattr = Entry::file("f", "").pax("LIBARCHIVE.xattr.user.a", "dmFsdWU");
    // What overlayfs would take for its own, and namespaces no Linux file system has, are dropped.
    let xattr = xattr.xattr("trusted.overlay.opaque", "y").xattr("com.apple.quarantine", "x");
    // umoci leaves SELinux labels out; they are as much part of the image as capabilities.
    let xattr = xattr.xattr("security.selinux", "label");
    let tree = tree_of(&layer(&[xattr]));
    let xattrs = &tree.nodes[std::ffi::OsStr::new("f")].xattrs;
    let kept: Vec<_> = xattrs.iter().map(|(name, value)| (name.to_str().unwrap(), &value[..])).collect();
    assert_eq!(kept, [("security.selinux", &b"label"[..]), ("user.a", b"value")]);

    // umoci answers this with EPERM of the host; the kernel never shows such an attribute.
    assert_eq!(names(&[Entry::symlink("l", "t").xattr("user.a", "x")]), ["", "l"]);
}
