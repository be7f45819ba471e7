//! `docs/rust.md`, executed: every block of the page is part of this file, word for word, and this file runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use boxlite::{
    BoxSpec, CancellationToken, CopyOptions, ErrorCode, ExecSpec, Options, PullOptions, PullPolicy,
    Resources, Runtime,
};
use boxlite_testkit::images::busybox;
use boxlite_testkit::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_page_does_what_it_says() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::start();
    registry.push("busybox", "guide", &busybox().build());
    let reference = registry.reference("busybox:guide");
    let resources = Resources { memory_mib: 256, ..Resources::default() };
    let scratch = tempfile::tempdir()?;
    let script = scratch.path().join("work.sh");
    std::fs::write(&script, "echo work\n")?;
    // Kernel and template are in the home that the tests of machines share.
    let home = std::env::var_os("BOXLITE_TEST_HOME")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm-home"), PathBuf::from);

    let runtime = Runtime::open(Options { home: Some(home.to_owned()), ..Options::default() }).await?;

    let images = runtime.images();
    let pulled = images.pull(&reference, PullOptions::default()).await?;
    println!("{} is {} ({} layers)", pulled.reference, pulled.id, pulled.layer_count);

    let progress = PullOptions {
        policy: PullPolicy::Missing,
        progress: Some(Arc::new(|event| println!("{event:?}"))),
        ..PullOptions::default()
    };
    let again = images.pull(&reference, progress).await?;
    assert!(again.cached && again.bytes_fetched == 0);

    for image in images.list().await? {
        println!("{} {} {} bytes", image.reference, image.platform, image.size_bytes);
    }
    images.tag(&reference, "localhost/guide:latest").await?;
    let details = images.inspect("localhost/guide:latest", None).await?;
    assert_eq!(details.info.id, pulled.id);
    images.remove("localhost/guide:latest", false).await?;

    let spec = BoxSpec { image: pulled.reference, resources, ..BoxSpec::default() };
    let machine = runtime.create(spec).await?;
    machine.start().await?;

    let hello = ExecSpec { argv: vec!["echo".into(), "hello".into()], ..ExecSpec::default() };
    let output = machine.exec(hello).await?.output().await?;
    assert_eq!((output.stdout.as_slice(), output.status.code), (&b"hello\n"[..], Some(0)));

    let upper =
        ExecSpec { argv: vec!["tr".into(), "a-z".into(), "A-Z".into()], stdin: true, ..ExecSpec::default() };
    let mut upper = machine.exec(upper).await?;
    let (mut stdin, mut stdout) = (upper.take_stdin().unwrap(), upper.take_stdout().unwrap());
    stdin.write_all(b"shout").await?;
    stdin.shutdown().await?;
    let mut shouted = String::new();
    stdout.read_to_string(&mut shouted).await?;
    assert_eq!(shouted, "SHOUT");
    assert!(upper.wait().await?.success());

    machine.copy_in(&script, "/work.sh", CopyOptions::default()).await?;
    machine.copy_out("/etc/hostname", &script.with_extension("out"), CopyOptions::default()).await?;
    assert_eq!(std::fs::read_to_string(script.with_extension("out"))?.trim(), machine.id().as_str());

    machine.stop(Duration::from_secs(10)).await?;
    machine.remove(false).await?;

    let error = images.get("localhost/never-pulled:1", None).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    eprintln!("{error}\nhint: {}", error.hint_text().unwrap_or_default());

    let cancel = CancellationToken::new();
    let pull = boxlite::cancelled_by(cancel.clone(), images.pull(&reference, PullOptions::default()));
    cancel.cancel();
    assert_eq!(pull.await.unwrap_err().code(), ErrorCode::Cancelled);

    images.remove(&reference, false).await?;
    let held = runtime.images().clone();
    runtime.shutdown(Duration::from_secs(10)).await?;
    assert_eq!(held.list().await.unwrap_err().code(), ErrorCode::Stopped);
    Ok(())
}

/// Without indentation and line breaks: how the formatter lays code out here is not how it reads best on the page.
fn words(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn every_block_of_the_page_is_executed_here() {
    let page = include_str!("../../../docs/rust.md");
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 10, "the blocks of the page were not found");
    let executed = words(include_str!("guide.rs"));
    for block in blocks {
        assert!(executed.contains(&words(block)), "not executed:\n{block}");
    }
}
