//! Files in and out, as `docker cp` has them, and a box that lies.

use std::os::unix::fs::PermissionsExt;

use boxlite::{CopyOptions, ErrorCode};
use boxlite_testkit::images::{Entry, tar};
use tokio::io::AsyncReadExt;

use crate::world::{World, code, soon, stdout};

#[tokio::test]
async fn files_and_directories_land_where_docker_puts_them() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let host = tempfile::tempdir().unwrap();
    let path = |name: &str| host.path().join(name);
    std::fs::create_dir_all(path("tree/sub")).unwrap();
    std::fs::write(path("file"), "content").unwrap();
    std::fs::write(path("tree/sub/leaf"), "leaf").unwrap();
    std::os::unix::fs::symlink("sub/leaf", path("tree/link")).unwrap();
    let options = CopyOptions::default;

    made.copy_in(path("file"), "/tmp", options()).await.unwrap();
    made.copy_in(path("file"), "/tmp/renamed", options()).await.unwrap();
    made.copy_in(path("tree"), "/tmp", options()).await.unwrap();
    made.copy_in(path("tree"), "/srv/new", options()).await.unwrap();
    made.copy_in(path("tree/."), "/etc", options()).await.unwrap();
    for (file, content) in [
        ("/tmp/file", "content"),
        ("/tmp/renamed", "content"),
        ("/tmp/tree/sub/leaf", "leaf"),
        ("/srv/new/sub/leaf", "leaf"),
        ("/etc/sub/leaf", "leaf"),
    ] {
        assert_eq!(stdout(&made, &format!("cat {file}")).await, content, "{file}");
    }
    assert_eq!(made.stat("/tmp/tree/link", false).await.unwrap().link_target.unwrap(), b"sub/leaf");
    assert_eq!((made.stat("/tmp/file", true).await.unwrap().uid), 0);
    let owner = CopyOptions { owner: Some((7, 8)), ..options() };
    made.copy_in(path("file"), "/tmp/owned", owner).await.unwrap();
    let stat = made.stat("/tmp/owned", true).await.unwrap();
    assert_eq!((stat.uid, stat.gid, stat.size_bytes), (7, 8, 7));

    made.copy_out("/tmp/tree", path("out"), options()).await.unwrap();
    assert_eq!(std::fs::read_to_string(path("out/link")).unwrap(), "leaf");
    std::fs::create_dir(path("into")).unwrap();
    made.copy_out("/tmp/file", path("into"), options()).await.unwrap();
    made.copy_out("/tmp/tree/.", path("into"), options()).await.unwrap();
    assert_eq!(std::fs::read_to_string(path("into/file")).unwrap(), "content");
    assert_eq!(std::fs::read_to_string(path("into/sub/leaf")).unwrap(), "leaf");
    assert_eq!(path("into/sub").metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_with_the_reason() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let host = tempfile::tempdir().unwrap();
    let file = host.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let options = CopyOptions::default;
    let nothing = host.path().join("nothing");
    assert_eq!(code(made.copy_in(&nothing, "/tmp", options()).await), ErrorCode::NotFound);
    assert_eq!(code(made.copy_out("/nothing", &nothing, options()).await), ErrorCode::NotFound);
    assert_eq!(code(made.copy_in(&file, "tmp", options()).await), ErrorCode::InvalidArgument);
    assert_eq!(code(made.copy_in(&file, "/missing/", options()).await), ErrorCode::InvalidArgument);
    assert_eq!(code(made.copy_in(&file, "/missing/file", options()).await), ErrorCode::NotFound);
    made.copy_in(&file, "/tmp/file", options()).await.unwrap();
    assert_eq!(code(made.copy_in(host.path(), "/tmp/file", options()).await), ErrorCode::InvalidArgument);
    let keep = CopyOptions { overwrite: false, ..options() };
    assert_eq!(code(made.copy_in(&file, "/tmp/file", keep.clone()).await), ErrorCode::AlreadyExists);
    assert_eq!(code(made.copy_out("/tmp/file", &file, keep).await), ErrorCode::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "content");
}

#[tokio::test]
async fn archives_stream_both_ways() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let large = vec![5; 1_000_000];
    let archive = tar(&[Entry::directory("d"), Entry::file("d/large", &large)]);
    made.put_archive("/tmp", std::io::Cursor::new(archive), CopyOptions::default()).await.unwrap();
    let mut received = Vec::new();
    let mut reader = made.get_archive("/tmp/d", CopyOptions::default()).await.unwrap();
    soon(reader.read_to_end(&mut received)).await.unwrap();
    assert!(received.windows(large.len()).any(|window| window == large));
    let missing = made.put_archive("/nothing", tokio::io::empty(), CopyOptions::default()).await;
    assert_eq!(code(missing), ErrorCode::NotFound);
    let broken = made.put_archive("/tmp", Broken, CopyOptions::default()).await;
    assert!(crate::world::error(broken).message().contains("the reader is broken"));
}

struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("the reader is broken")))
    }
}

#[tokio::test]
async fn a_box_that_sends_a_hostile_archive_writes_nothing_outside() {
    let world = World::new();
    let runtime = world.open_with_image().await;
    let made = world.running(&runtime).await;
    let host = tempfile::tempdir().unwrap();
    let (inside, outside) = (host.path().join("inside"), host.path().join("outside"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    for archive in [
        tar(&[Entry::file("../outside/x", "x")]),
        tar(&[Entry::file(outside.join("x").to_str().unwrap(), "x")]),
        tar(&[Entry::directory("etc"), Entry::symlink("etc/l", target), Entry::file("etc/l/x", "x")]),
        tar(&[Entry::symlink("etc", target), Entry::file("etc/x", "x")]),
        tar(&[Entry::directory("etc"), Entry::file("elsewhere", "x")]),
    ] {
        world.engine.send_archive(archive);
        let refused = made.copy_out("/etc", &inside, CopyOptions::default()).await;
        assert_eq!(code(refused), ErrorCode::Engine);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let _ = std::fs::remove_file(inside.join("etc"));
        let _ = std::fs::remove_dir_all(inside.join("etc"));
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
    }
}
