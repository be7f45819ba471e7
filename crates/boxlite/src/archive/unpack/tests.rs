use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tar::{Builder, EntryType, Header};

use super::super::pack::pack;
use super::*;

/// One entry of a hand-made archive: path exactly as given, type, target or content.
fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = Header::new_gnu();
        // The library itself would refuse `..`; a hostile box would not.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6755);
        header.set_mtime(1_000_000);
        header.set_uid(12345);
        header.set_gid(12345);
        let link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if link {
            header.set_link_name_literal(text).unwrap();
        }
        let content = if link { "" } else { *text };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A directory to unpack in, beside one that must stay as it is.
fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (inside, outside) = (root.path().join("inside"), root.path().join("outside"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    (root, inside, outside)
}

#[test]
fn an_archive_that_leads_out_is_refused_and_nothing_outside_changes() {
    use EntryType::{Directory, Link, Regular, Symlink};
    let check = |entries: &[(&str, EntryType, &str)]| {
        let (_root, inside, outside) = directories();
        std::os::unix::fs::symlink(&outside, inside.join("already")).unwrap();
        let error = unpack(&archive(entries)[..], &inside, Some("d"), true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Engine, "{entries:?}: {error}");
        let left: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["secret"], "{entries:?}");
        let secret = outside.join("secret");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret", "{entries:?}");
        assert_eq!(secret.metadata().unwrap().nlink(), 1, "{entries:?}");
    };
    check(&[("d/", Directory, ""), ("d/../../outside/x", Regular, "x")]);
    check(&[("d/", Directory, ""), ("../outside/x", Regular, "x")]);
    check(&[("d/", Directory, ""), ("/outside/x", Regular, "x")]);
    check(&[("d/", Directory, ""), ("e/x", Regular, "x")]);
    check(&[("d", Symlink, "../outside"), ("d/x", Regular, "x")]);
    check(&[("d/", Directory, ""), ("d/l", Symlink, "../../outside"), ("d/l/x", Regular, "x")]);
    check(&[("d/", Directory, ""), ("d/l", Symlink, "../../outside"), ("d/l/x/", Directory, "")]);
    check(&[("d/", Directory, ""), ("d/h", Link, "../outside/secret")]);
    check(&[("d/", Directory, ""), ("d/l", Symlink, "../../outside"), ("d/h", Link, "d/l/secret")]);
}

#[test]
fn a_symbolic_link_that_is_there_already_is_replaced_or_refused_never_followed() {
    use EntryType::{Directory, Regular};
    let (_root, inside, outside) = directories();
    std::os::unix::fs::symlink(outside.join("secret"), inside.join("f")).unwrap();
    unpack(&archive(&[("x", Regular, "new")])[..], &inside, Some("f"), true).unwrap();
    assert_eq!(std::fs::read_to_string(inside.join("f")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "secret");

    std::os::unix::fs::symlink(&outside, inside.join("d")).unwrap();
    let error =
        unpack(&archive(&[("x/", Directory, ""), ("x/f", Regular, "")])[..], &inside, Some("d"), true);
    assert_eq!(error.unwrap_err().code(), ErrorCode::AlreadyExists);
    assert!(!outside.join("f").exists());
}

#[test]
fn privileged_bits_owners_and_devices_do_not_arrive() {
    let (_root, inside, _) = directories();
    unpack(&archive(&[("x", EntryType::Regular, "1")])[..], &inside, Some("f"), true).unwrap();
    let metadata = inside.join("f").metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
    assert_eq!(metadata.uid(), rustix::process::getuid().as_raw());
    assert_eq!(metadata.mtime(), 1_000_000);
    for kind in [EntryType::Char, EntryType::Block] {
        let error = unpack(&archive(&[("x", kind, "")])[..], &inside, Some("dev"), true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported);
        assert!(!inside.join("dev").exists());
    }
}

#[test]
fn what_exists_is_kept_unless_it_may_be_replaced() {
    let (_root, inside, _) = directories();
    let file = archive(&[("x", EntryType::Regular, "new")]);
    std::fs::write(inside.join("f"), "old").unwrap();
    let error = unpack(&file[..], &inside, Some("f"), false).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyExists);
    assert_eq!(std::fs::read_to_string(inside.join("f")).unwrap(), "old");
    std::fs::create_dir(inside.join("d")).unwrap();
    let error = unpack(&file[..], &inside, Some("d"), true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::AlreadyExists);
}

#[test]
fn a_tree_survives_packing_and_unpacking() {
    let (_root, inside, outside) = directories();
    let tree = outside.join("tree");
    std::fs::create_dir_all(tree.join("locked")).unwrap();
    std::fs::write(tree.join("locked/file"), vec![7; 200_000]).unwrap();
    std::fs::set_permissions(tree.join("locked"), PermissionsExt::from_mode(0o500)).unwrap();
    std::fs::write(tree.join("a-name-longer-than-a-tar-header-has-room-for-".repeat(5)), "long").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.join("link")).unwrap();
    std::fs::write(tree.join("empty"), "").unwrap();

    let mut bytes = Vec::new();
    pack(&tree, Some("sent"), &mut bytes).unwrap();
    unpack(&bytes[..], &inside, Some("got"), true).unwrap();
    let got = inside.join("got");
    assert_eq!(std::fs::read(got.join("locked/file")).unwrap(), vec![7; 200_000]);
    assert_eq!(got.join("locked").metadata().unwrap().permissions().mode() & 0o777, 0o500);
    assert_eq!(std::fs::read_link(got.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(std::fs::read_dir(&got).unwrap().count(), 4);

    let mut bytes = Vec::new();
    pack(&tree, None, &mut bytes).unwrap();
    let target = inside.join("contents");
    std::fs::create_dir(&target).unwrap();
    unpack(&bytes[..], &target, None, true).unwrap();
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 4);
    for locked in [tree.join("locked"), got.join("locked"), target.join("locked")] {
        std::fs::set_permissions(locked, PermissionsExt::from_mode(0o700)).unwrap();
    }
}

#[test]
fn an_archive_that_breaks_off_is_an_error() {
    let (_root, inside, _) = directories();
    let whole = archive(&[("x", EntryType::Regular, "0123456789")]);
    for length in [1, 100, 511, 515] {
        unpack(&whole[..length], &inside, Some("f"), true).unwrap_err();
    }
}

#[test]
fn what_would_fill_memory_or_disk_with_a_few_bytes_is_malformed() {
    let endless = |kind: EntryType, size: u64| {
        let mut header = Header::new_gnu();
        header.set_path("d").unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let (_root, inside, _) = directories();
        let mut archive = io::Cursor::new(endless(kind, 1 << 40)).chain(io::repeat(b'a').take(64 << 20));
        let error = unpack(&mut archive, &inside, Some("d"), true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Engine, "{kind:?}: {error}");
        let left = archive.into_inner().1.limit();
        assert!(left >= (64 << 20) - MOST_HEADER_BYTES, "{kind:?}: {left}");
    }
    let (_root, inside, _) = directories();
    let mut sparse = Header::new_gnu();
    sparse.set_path("d").unwrap();
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_size(0);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 50);
    sparse.set_cksum();
    let error =
        unpack(sparse.as_bytes().as_slice().chain(&[0; 1024][..]), &inside, Some("d"), true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Engine, "{error}");
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
}
