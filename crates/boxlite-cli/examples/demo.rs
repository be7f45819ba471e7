//! `make demo`: the main job, for real, in front of your eyes.
//!
//! A registry is started on loopback and given an image. The library pulls it and boots a box from it, twice, and every
//! stage is measured; then the `boxlite` command does the same the way a person would. Everything lies in one temporary
//! home, and nothing is left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boxlite::{
    BoxHandle, BoxSpec, EngineOptions, Error, ErrorCode, Event, ExecSpec, Options, PullEvent, PullOptions,
    Resources, Result, Runtime, StartStage,
};
use boxlite_testkit::external::DockerRegistry;
use boxlite_testkit::images::busybox;

fn main() -> ExitCode {
    let demo = || -> Result<()> {
        let directory = tempfile::tempdir().map_err(failed)?;
        let home = directory.path().join("home");
        let registry = DockerRegistry::start().map_err(failed)?;
        registry.push("demo/busybox", "latest", &busybox().build()).map_err(failed)?;
        let reference = registry.reference("demo/busybox:latest");
        say(&format!("a registry on loopback holds `{reference}`"));

        let executor = tokio::runtime::Runtime::new().expect("threads can be started");
        executor.block_on(with_the_library(&home, &reference))?;
        with_the_command(&home, &reference)
    };
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.hint_text().into_iter().for_each(|hint| eprintln!("hint: {hint}"));
            ExitCode::FAILURE
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Config, format!("cannot set the demo up: {error}"))
        .hint("`make setup` installs what it needs")
}

async fn with_the_library(home: &Path, reference: &str) -> Result<()> {
    let engine = EngineOptions { spare_machine: true, ..EngineOptions::default() };
    let runtime =
        Runtime::open(Options { home: Some(home.to_owned()), engine, ..Options::default() }).await?;

    say("library: pull, verify and convert");
    let pulled_at = Instant::now();
    let progress = Arc::new(|event: PullEvent| println!("  {}", describe(&event)));
    let image = runtime
        .images()
        .pull(reference, PullOptions { progress: Some(progress), ..Default::default() })
        .await?;
    stage("pull, verify, convert, merge", pulled_at.elapsed());

    let spec = BoxSpec { image: image.reference, ..BoxSpec::default() };
    let work = runtime.create(spec).await?;
    say("library: first start (fetches a guest kernel, boots it once, keeps it as a template)");
    let first = start(&runtime, &work).await?;
    for (name, elapsed) in first {
        stage(&name, elapsed);
    }

    say("library: a command in the box");
    let command =
        ["sh", "-c", "echo \"hello from $(uname -sr), up $(cut -d' ' -f1 /proc/uptime) s\"; exit 7"];
    let spec = ExecSpec { argv: command.map(String::from).to_vec(), ..ExecSpec::default() };
    let executed_at = Instant::now();
    let output = work.exec(spec).await?.output().await?;
    stage("exec, with its output", executed_at.elapsed());
    print!("  | {}", String::from_utf8_lossy(&output.stdout));
    println!("  exit code {}", output.status.shell_code());

    say("library: the same box again, on a machine that was made ready meanwhile");
    work.stop(Duration::from_secs(10)).await?;
    runtime.prepare(&Resources::default(), None).await?;
    let second = start(&runtime, &work).await?;
    for (name, elapsed) in second {
        stage(&name, elapsed);
    }
    let executed_at = Instant::now();
    let spec = ExecSpec { argv: vec!["true".into()], ..ExecSpec::default() };
    work.exec(spec).await?.output().await?;
    stage("8 its first command", executed_at.elapsed());
    work.remove(true).await?;
    runtime.shutdown(Duration::from_secs(10)).await
}

/// Starts a box and returns its stages, the whole last.
async fn start(runtime: &Runtime, work: &BoxHandle) -> Result<Vec<(String, Duration)>> {
    let stages: Arc<Mutex<BTreeMap<String, Duration>>> = Arc::default();
    let mut events = runtime.events();
    let heard = stages.clone();
    let listener = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::BoxStage { stage, elapsed_us, .. } => {
                    let name = name(stage).to_owned();
                    heard.lock().expect("no listener panics").insert(name, Duration::from_micros(elapsed_us));
                }
                Event::BoxStarted { .. } => break,
                _ => {}
            }
        }
    });
    let started_at = Instant::now();
    work.start().await?;
    let whole = started_at.elapsed();
    let _ = listener.await;
    let mut all: Vec<_> =
        std::mem::take(&mut *stages.lock().expect("no listener panics")).into_iter().collect();
    all.push(("7 start, in all".into(), whole));
    Ok(all)
}

/// Names a stage so that the names sort in the order things happen.
fn name(stage: StartStage) -> &'static str {
    match stage {
        StartStage::Kernel => "1 guest kernel",
        StartStage::Accelerator => "2 accelerator, by running a guest",
        StartStage::Template => "3 template",
        StartStage::Shim => "4 shim",
        StartStage::Machine => "5 machine, to the agent's answer",
        StartStage::Root => "6 root filesystem mounted",
        _ => "6 something else",
    }
}

fn with_the_command(home: &Path, reference: &str) -> Result<()> {
    for words in [
        &["images"][..],
        &["run", "--rm", reference, "sh", "-c", "echo from the command line, on $(uname -m); exit 3"],
    ] {
        say(&format!("command: boxlite {}", words.join(" ")));
        let started_at = Instant::now();
        let status =
            Command::new(boxlite()).args(words).env("BOXLITE_HOME", home).status().map_err(|error| {
                Error::new(ErrorCode::Internal, format!("cannot run `{}`: {error}", boxlite().display()))
            })?;
        stage(&format!("exit code {}", status.code().unwrap_or(-1)), started_at.elapsed());
        let expected = if words[0] == "run" { 3 } else { 0 };
        if status.code() != Some(expected) {
            return Err(Error::new(
                ErrorCode::Internal,
                format!("`boxlite {}` ended with {status}", words[0]),
            ));
        }
    }
    Ok(())
}

/// The command this build made: examples lie one directory below it.
fn boxlite() -> PathBuf {
    let example = std::env::current_exe().expect("a running program has a path");
    example.ancestors().nth(2).expect("target/<profile>/examples/demo").join("boxlite")
}

fn describe(event: &PullEvent) -> String {
    match event {
        PullEvent::Resolving { reference } => format!("resolving {reference}"),
        PullEvent::Resolved { id, layer_count, total_bytes } => {
            format!("{id}: {layer_count} layers, {total_bytes} bytes")
        }
        PullEvent::LayerDownloading { digest, received_bytes, total_bytes } => {
            format!("{} {received_bytes} of {total_bytes} bytes", &digest.hex()[..12])
        }
        PullEvent::LayerDone { digest } => format!("{} verified and converted", &digest.hex()[..12]),
        PullEvent::LayerCached { digest } => format!("{} is held already", &digest.hex()[..12]),
        PullEvent::Merging => "merging the layers".into(),
        PullEvent::Done { elapsed_ms, .. } => format!("done after {elapsed_ms} ms"),
        other => format!("{other:?}"),
    }
}

fn say(what: &str) {
    println!("\n== {what}");
}

fn stage(name: &str, elapsed: Duration) {
    println!("  {name:<42} {:>9.1} ms", elapsed.as_secs_f64() * 1e3);
}
