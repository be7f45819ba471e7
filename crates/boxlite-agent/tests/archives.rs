//! Files into and out of a box, through a session, as tar streams.

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use boxlite_engine::Session;
use boxlite_protocol::{AgentRequest, Answer, GetArchive, PutArchive};
use boxlite_types::{Error, ErrorCode, Result};
use common::start;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The request's own error behind an I/O error of a stream.
fn own_error(error: std::io::Error) -> Error {
    *error.into_inner().expect("carries an error").downcast::<Error>().expect("of ours")
}

async fn get(session: &Session, path: &Path, follow_symlinks: bool) -> Result<Vec<u8>> {
    let mut source = session.get_archive(GetArchive { path: bytes(path), follow_symlinks }).await?;
    let mut archive = Vec::new();
    source.read_to_end(&mut archive).await.map_err(own_error)?;
    Ok(archive)
}

async fn put_as(session: &Session, path: &Path, overwrite: bool, archive: &[u8]) -> Result<()> {
    let request = PutArchive { path: bytes(path), overwrite, owner: None };
    let mut sink = session.put_archive(request).await?;
    // A failure is told by `finish` in full.
    let _ = sink.write_all(archive).await;
    sink.finish().await
}

async fn put(session: &Session, path: &Path, archive: &[u8]) -> Result<()> {
    put_as(session, path, true, archive).await
}

/// What a tree consists of, as sorted lines: type and permissions, owner, size, time, name, target or content.
fn describe(root: &Path) -> Vec<String> {
    let (mut lines, mut pending) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                bytes(&std::fs::read_link(&path).unwrap())
            } else if metadata.is_file() {
                std::fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            lines.push(format!(
                "{} {:o} {}:{} {}.{:09} {} {}",
                path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii(),
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.nlink() - if metadata.is_dir() { metadata.nlink() } else { 0 },
                content[..content.len().min(100)].escape_ascii()
            ));
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// A tree with everything in it that an ordinary user can make.
fn make_tree(root: &Path) {
    let file = |name: &[u8], content: &[u8], mode: u32| {
        let path = root.join(OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file(b"plain", b"content", 0o644);
    file(b"set-id", b"#!/bin/sh\n", 0o4755);
    file(b"empty", b"", 0o600);
    file(b"a/b/c/deep", &[7; 100_000], 0o640);
    file(b"not utf-8: \xff\xfe\n", b"x", 0o644);
    file(&[&b"long/"[..], &[b'n'; 200]].concat(), b"y", 0o644);
    symlink("plain", root.join("link")).unwrap();
    symlink("/nowhere/at//all/", root.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(&[b't'; 300]), root.join("a/long target")).unwrap();
    std::fs::hard_link(root.join("plain"), root.join("a/second name")).unwrap();
    std::fs::create_dir(root.join("empty directory")).unwrap();
    std::fs::set_permissions(root.join("empty directory"), std::fs::Permissions::from_mode(0o1750)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o622),
        0,
    )
    .unwrap();
}

#[tokio::test]
async fn a_tree_comes_out_and_goes_in_again_as_it_was() {
    let fixture = start().await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = from.path().join("tree");
    make_tree(&tree);
    let archive = get(&fixture.session, &tree, false).await.unwrap();
    put(&fixture.session, to.path(), &archive).await.unwrap();
    assert_eq!(describe(to.path()), describe(from.path()));
    let (first, second) = (to.path().join("tree/plain"), to.path().join("tree/a/second name"));
    assert_eq!(first.metadata().unwrap().ino(), second.metadata().unwrap().ino());
    // Once more over itself: nothing is in the way, nothing changes.
    put(&fixture.session, to.path(), &archive).await.unwrap();
    assert_eq!(describe(to.path()), describe(from.path()));
}

#[tokio::test]
async fn archives_agree_with_the_systems_tar() {
    let fixture = start().await;
    let (from, ours, theirs) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(&from.path().join("tree"));
    let packed = get(&fixture.session, &from.path().join("tree"), false).await.unwrap();
    let file = ours.path().join("packed");
    std::fs::write(&file, packed).unwrap();
    let tar = |arguments: &[&OsStr]| {
        let output = std::process::Command::new("tar").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let into = theirs.path().as_os_str();
    tar(&[
        "--same-permissions".as_ref(),
        "--same-owner".as_ref(),
        "-C".as_ref(),
        into,
        "-xf".as_ref(),
        file.as_os_str(),
    ]);
    assert_eq!(describe(theirs.path()), describe(from.path()));
    for format in ["--format=pax", "--format=gnu"] {
        let to = tempfile::tempdir().unwrap();
        let archive = tar(&[
            OsStr::new(format),
            "-C".as_ref(),
            from.path().as_os_str(),
            "-c".as_ref(),
            "tree".as_ref(),
        ]);
        put(&fixture.session, to.path(), &archive).await.unwrap();
        let strip = |lines: Vec<String>| -> Vec<String> {
            // GNU's own format has whole seconds only.
            lines
                .into_iter()
                .map(|line| if format.ends_with("gnu") { drop_fraction(&line) } else { line })
                .collect()
        };
        assert_eq!(strip(describe(to.path())), strip(describe(from.path())), "{format}");
    }
}

fn drop_fraction(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let cut = |word: &str| match word.split_once('.') {
        Some((seconds, rest)) if rest.len() == 9 && rest.bytes().all(|b| b.is_ascii_digit()) => {
            seconds.to_owned()
        }
        _ => word.to_owned(),
    };
    words.into_iter().map(cut).collect::<Vec<_>>().join(" ")
}

/// An archive of files with this name and content.
fn archive_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn link_entry(name: &str, target: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o777);
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[tokio::test]
async fn existing_files_are_replaced_only_when_that_is_asked_for() {
    let fixture = start().await;
    let to = tempfile::tempdir().unwrap();
    let path = to.path().join("d/file");
    std::fs::create_dir(to.path().join("d")).unwrap();
    std::fs::write(&path, "old").unwrap();
    std::fs::hard_link(&path, to.path().join("other")).unwrap();
    let archive = archive_of(&[("d/file", "new")]);
    let error = put_as(&fixture.session, to.path(), false, &archive).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::AlreadyExists, "`d/file` exists already"));
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    put_as(&fixture.session, to.path(), true, &archive).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::read(to.path().join("other")).unwrap(), b"old");
    let over_directory = archive_of(&[("d", "file now")]);
    let error = put(&fixture.session, to.path(), &over_directory).await.unwrap_err();
    assert_eq!(error.message(), "`d` is a directory and is not replaced");
}

#[tokio::test]
async fn nothing_is_written_outside_the_directory() {
    let fixture = start().await;
    let around = tempfile::tempdir().unwrap();
    let (inside, outside) = (around.path().join("inside"), around.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    let check = async |archive: Vec<u8>, name: &str| {
        let _ = std::fs::remove_dir_all(&inside);
        std::fs::create_dir(&inside).unwrap();
        symlink(&outside, inside.join("there")).unwrap();
        let error = put(&fixture.session, &inside, &archive).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        assert!(error.message().starts_with(&format!("`{name}` leads out")), "{error}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    };
    check(archive_of(&[("../outside/x", "x")]), "../outside/x").await;
    check(archive_of(&[("there/x", "x")]), "there/x").await;
    let made = [link_entry("l", "../outside", tar::EntryType::Symlink), archive_of(&[("l/x", "x")])].concat();
    check(made, "l/x").await;
    let target = [link_entry("l", "../outside", tar::EntryType::Link), vec![0; 1024]].concat();
    check(target, "../outside").await;
    // A link in the place of the file itself is replaced, not followed.
    let victim = outside.join("victim");
    std::fs::write(&victim, "safe").unwrap();
    let _ = std::fs::remove_file(inside.join("there"));
    symlink(&victim, inside.join("file")).unwrap();
    put(&fixture.session, &inside, &archive_of(&[("file", "mine")])).await.unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"safe");
    assert_eq!(std::fs::read(inside.join("file")).unwrap(), b"mine");
}

#[tokio::test]
async fn links_inside_the_directory_are_followed_and_parents_made() {
    let fixture = start().await;
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("real")).unwrap();
    symlink("real", to.path().join("alias")).unwrap();
    put(&fixture.session, to.path(), &archive_of(&[("alias/x", "1"), ("/new/deep/y", "2")])).await.unwrap();
    assert_eq!(std::fs::read(to.path().join("real/x")).unwrap(), b"1");
    assert_eq!(std::fs::read(to.path().join("new/deep/y")).unwrap(), b"2");
}

#[tokio::test]
async fn what_cannot_be_transferred_says_what_and_why() {
    let fixture = start().await;
    let to = tempfile::tempdir().unwrap();
    let missing = to.path().join("missing");
    let error = get(&fixture.session, &missing, false).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(error.message().contains("missing"), "{error}");
    assert_eq!(put(&fixture.session, &missing, &[]).await.unwrap_err().code(), ErrorCode::NotFound);
    std::fs::write(to.path().join("file"), "").unwrap();
    let error = put(&fixture.session, &to.path().join("file"), &[]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    let good = archive_of(&[("a", "content"), ("b", "content")]);
    let error = put(&fixture.session, to.path(), &good[..1024 + 512 + 3]).await.unwrap_err();
    assert_eq!(error.message(), "the archive is malformed in `b`: it ends in the middle of a member");
    let error = put(&fixture.session, to.path(), &[b'x'; 2000]).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (ErrorCode::InvalidArgument, "the archive is malformed at its start: a header's checksum is wrong")
    );
    let relative = GetArchive { path: b"etc".to_vec(), follow_symlinks: false };
    assert_eq!(fixture.session.get_archive(relative).await.err().unwrap().code(), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn the_path_itself_is_followed_on_request() {
    let fixture = start().await;
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("real"), "content").unwrap();
    symlink("real", root.path().join("link")).unwrap();
    let check = async |follow: bool, expect: tar::EntryType| {
        let archive = get(&fixture.session, &root.path().join("link"), follow).await.unwrap();
        let mut archive = tar::Archive::new(&archive[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((&*entry.path_bytes(), entry.header().entry_type()), (&b"link"[..], expect));
    };
    check(false, tar::EntryType::Symlink).await;
    check(true, tar::EntryType::Regular).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_both_ways_in_flat_memory() {
    let fixture = start().await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let size = 300 * 1024 * 1024;
    let file = std::fs::File::create(from.path().join("large")).unwrap();
    file.set_len(size).unwrap();
    let before = fixture.agent.memory_bytes();
    let request = GetArchive { path: bytes(&from.path().join("large")), follow_symlinks: false };
    let mut source = fixture.session.get_archive(request).await.unwrap();
    let request = PutArchive { path: bytes(to.path()), overwrite: false, owner: None };
    let mut sink = fixture.session.put_archive(request).await.unwrap();
    let started = std::time::Instant::now();
    let copied = tokio::io::copy(&mut source, &mut sink).await.unwrap();
    sink.finish().await.unwrap();
    println!("archive both ways: {:.0} MB/s", copied as f64 / 1e6 / started.elapsed().as_secs_f64());
    assert_eq!(std::fs::metadata(to.path().join("large")).unwrap().len(), size);
    let after = fixture.agent.memory_bytes();
    assert!(after < before + 8 * 1024 * 1024, "the agent grew from {before} to {after} bytes");
}

#[tokio::test]
async fn dropping_a_transfer_gives_it_up_and_frees_its_place() {
    let fixture = start().await;
    let to = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(to.path().join("large")).unwrap();
    file.set_len(1 << 30).unwrap();
    // More than may run at a time: each gives its place back.
    for _ in 0..100 {
        let request = GetArchive { path: bytes(to.path()), follow_symlinks: false };
        let mut source = fixture.session.get_archive(request).await.unwrap();
        source.read_exact(&mut [0; 10]).await.unwrap();
        drop(source);
        let request = PutArchive { path: bytes(to.path()), overwrite: true, owner: None };
        let mut sink = fixture.session.put_archive(request).await.unwrap();
        sink.write_all(&[0; 10]).await.unwrap();
        drop(sink);
    }
}

#[tokio::test]
async fn a_path_is_looked_up() {
    let fixture = start().await;
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("file"), "12345").unwrap();
    symlink("file", root.path().join("link")).unwrap();
    let stat = async |name: &str, follow| {
        let path = bytes(&root.path().join(name));
        fixture.session.request(AgentRequest::Stat { path, follow }).await
    };
    let Answer::Stat(seen) = stat("link", false).await.unwrap() else { panic!() };
    assert_eq!((seen.mode & 0o170_000, seen.link_target), (0o120_000, Some(b"file".to_vec())));
    let Answer::Stat(seen) = stat("link", true).await.unwrap() else { panic!() };
    assert_eq!((seen.mode & 0o170_000, seen.size_bytes, seen.link_target), (0o100_000, 5, None));
    assert_eq!(stat("none", true).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn the_machine_is_measured() {
    let fixture = start().await;
    let Answer::Metrics(metrics) = fixture.session.request(AgentRequest::Metrics).await.unwrap() else {
        panic!()
    };
    assert!(metrics.cpu_usec > 0 && metrics.processes > 1, "{metrics:?}");
    assert!(
        0 < metrics.memory_used_bytes && metrics.memory_used_bytes < metrics.memory_total_bytes,
        "{metrics:?}"
    );
    assert!(0 < metrics.disk_used_bytes && metrics.disk_used_bytes < metrics.disk_total_bytes, "{metrics:?}");
}
