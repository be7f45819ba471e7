//! Boxes: how long they take to start, what an exec costs, how fast bytes flow, what an idle one weighs, many at once. Beside
//! it, in turn, what a machine with nothing of BoxLite around it takes: the emulator's own share.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use boxlite::{
    BoxHandle, BoxSpec, EngineOptions, Event, ExecSpec, Options, PullOptions, Resources, Runtime, StartStage,
};
use boxlite_benches::{
    BareMachine, Report, Samples, boxlite, forget_templates, proportional_memory_bytes, rounds, run,
};
use boxlite_engine::vm::mounted::STARTS_BEFORE;
use boxlite_testkit::external::DockerRegistry;
use boxlite_testkit::images::busybox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const STREAM_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let scratch = tempfile::Builder::new().prefix("boxlite-bench-").tempdir().expect("a temporary directory");
    let home = scratch.path().join("home");
    let registry = DockerRegistry::start().expect("docker-registry can be started");
    registry.push("bench/busybox", "1", &busybox().build()).expect("pushed");
    let reference = registry.reference("bench/busybox:1");

    let mut report = Report::new("Boxes");
    let executor = tokio::runtime::Runtime::new().expect("threads can be started");
    executor.block_on(async {
        let runtime =
            Runtime::open(Options { home: Some(home.clone()), ..Options::default() }).await.expect("opened");
        runtime.images().pull(&reference, PullOptions::default()).await.expect("pulled");
        let start = Instant::now();
        runtime.prepare(&Resources::default(), None).await.expect("prepared");
        report.figure(
            "kernel, accelerator and template, once",
            format!("{:.1} s", start.elapsed().as_secs_f64()),
        );
        let spec = BoxSpec { image: reference.clone(), ..BoxSpec::default() };
        let bare = BareMachine::of_home(&home, scratch.path());
        let ended = starts(&mut report, &runtime, &spec, &bare).await;
        starts_on_a_spare(&mut report, &home, &spec, &ended).await;
        one_box(&mut report, &runtime, &spec, &bare).await;
        cold_starts(&mut report, &runtime, &spec, &bare).await;
        many(&mut report, &runtime, &spec, 20).await;
        runtime.shutdown(Duration::from_secs(20)).await.expect("shut down");
    });

    let whole: Samples = (0..rounds(15))
        .map(|_| run(boxlite().args(["run", "--rm", &reference, "true"]).env("BOXLITE_HOME", &home)).elapsed)
        .collect();
    report.time("`boxlite run --rm IMAGE true`, whole process", &whole);
    report.finish()
}

/// From the call to the agent's answer, to a mounted root, and on to the end of `true`; returns the last.
async fn starts(report: &mut Report, runtime: &Runtime, spec: &BoxSpec, bare: &BareMachine) -> Samples {
    for number in 0..=STARTS_BEFORE {
        let start = Instant::now();
        let work = runtime.create(spec.clone()).await.expect("created");
        work.start().await.expect("started");
        let what = if number < STARTS_BEFORE { "" } else { ", which first gets a template of its own" };
        report.figure(
            &format!("box {} of an image{what}, to a mounted root", number + 1),
            format!("{} ms", start.elapsed().as_millis()),
        );
        work.remove(true).await.expect("removed");
    }
    let (mut restored, mut answered) = (Samples::default(), Samples::default());
    let (mut mounted, mut ended) = (Samples::default(), Samples::default());
    for _ in 0..rounds(15) {
        restored.push(bare.restore());
        let mut events = runtime.events();
        let start = Instant::now();
        let work = runtime.create(spec.clone()).await.expect("created");
        let answer = async {
            while let Some(event) = events.next().await {
                if matches!(event, Event::BoxStage { stage: StartStage::Machine, .. }) {
                    return start.elapsed();
                }
            }
            panic!("the runtime was shut down");
        };
        let (answer, result) = tokio::join!(answer, work.start());
        result.expect("started");
        mounted.push(start.elapsed());
        answered.push(answer);
        shell(&work, "true").await;
        ended.push(start.elapsed());
        work.remove(true).await.expect("removed");
    }
    report.time(
        "bare restore of the same template, no jail and no shim: spawn to the agent's answer",
        &restored,
    );
    report.time("create and start from the image's template, to the agent's answer", &answered);
    report.time("the same, to a mounted root", &mounted);
    report.time("the same, to the end of `true`", &ended);
    report.at_most("start to the agent's answer / bare restore", answered.median(), restored.median(), 1.6);
    ended
}

/// One box again and again, on the machine that was made ready after each start; `without` is what a start takes otherwise.
async fn starts_on_a_spare(report: &mut Report, home: &Path, spec: &BoxSpec, without: &Samples) {
    let engine = EngineOptions { spare_machine: true, ..EngineOptions::default() };
    let options = Options { home: Some(home.to_owned()), engine, ..Options::default() };
    let runtime = Runtime::open(options).await.expect("opened");
    let work = runtime.create(spec.clone()).await.expect("created");
    work.start().await.expect("started");
    let (mut ready, mut mounted, mut ended) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..rounds(15) {
        let start = Instant::now();
        runtime.prepare(&Resources::default(), None).await.expect("prepared");
        ready.push(start.elapsed());
        work.stop(Duration::from_secs(10)).await.expect("stopped");
        let start = Instant::now();
        work.start().await.expect("started");
        mounted.push(start.elapsed());
        shell(&work, "true").await;
        ended.push(start.elapsed());
    }
    let weight = work.metrics().await.expect("metrics").host_memory_bytes;
    runtime.shutdown(Duration::from_secs(20)).await.expect("shut down");
    report.figure("host memory of a box on it, one waiting beside it (PSS)", format!("{} MiB", weight >> 20));
    report.time("until the next spare machine is ready, from the end of the first command", &ready);
    report.time("the same box again, on the spare machine, to a mounted root", &mounted);
    report.time("the same, to the end of `true`", &ended);
    report.at_most(
        "to the end of `true`, with a spare machine / without",
        ended.median(),
        without.median(),
        0.8,
    );
}

/// Without a template, which the library makes before it starts a box from it: kernel and accelerator are there.
async fn cold_starts(report: &mut Report, runtime: &Runtime, spec: &BoxSpec, bare: &BareMachine) {
    let (mut booted, mut started) = (Samples::default(), Samples::default());
    for _ in 0..rounds(3) {
        booted.push(bare.boot_cold());
        forget_templates(runtime.home());
        let start = Instant::now();
        let work = runtime.create(spec.clone()).await.expect("created");
        work.start().await.expect("started");
        started.push(start.elapsed());
        work.remove(true).await.expect("removed");
    }
    report.time("bare cold boot: spawn to the agent's answer", &booted);
    report.time("create and start with no template, which is made first, to a mounted root", &started);
}

/// What one running box does.
async fn one_box(report: &mut Report, runtime: &Runtime, spec: &BoxSpec, bare: &BareMachine) {
    let work = runtime.create(spec.clone()).await.expect("created");
    work.start().await.expect("started");
    let mut round_trips = Samples::default();
    for _ in 0..rounds(50) {
        let start = Instant::now();
        shell(&work, "true").await;
        round_trips.push(start.elapsed());
    }
    report.time("exec of `true`, start to exit", &round_trips);

    let count = STREAM_BYTES >> 16;
    let mut out = work
        .exec(command(&format!("dd if=/dev/zero bs=64k count={count} 2>/dev/null"), false))
        .await
        .unwrap();
    let mut stdout = out.take_stdout().expect("not taken yet");
    let start = Instant::now();
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0;
    loop {
        match stdout.read(&mut buffer).await.expect("read") {
            0 => break,
            length => received += length,
        }
    }
    assert_eq!(received, STREAM_BYTES);
    report.figure("stdout of a box", rate(start.elapsed()));
    report.figure(
        "bare virtio port, out of a guest that only writes to it",
        rate(bare.read_port(STREAM_BYTES)),
    );

    let mut into = work.exec(command("dd of=/dev/null bs=64k 2>&1", true)).await.expect("exec");
    let mut stdin = into.take_stdin().expect("asked for");
    let start = Instant::now();
    for _ in 0..count {
        stdin.write_all(&buffer).await.expect("written");
    }
    stdin.shutdown().await.expect("closed");
    drop(stdin);
    let counted = into.output().await.expect("output");
    let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
    assert!(counted.starts_with(&format!("{count}+0 records in")), "dd counted {counted}");
    report.figure("stdin of a box", rate(start.elapsed()));

    let metrics = work.metrics().await.expect("metrics");
    report
        .figure("host memory of a box after that (PSS)", format!("{} MiB", metrics.host_memory_bytes >> 20));
    work.remove(true).await.expect("removed");

    let idle = runtime.create(spec.clone()).await.expect("created");
    idle.start().await.expect("started");
    let machine = idle.metrics().await.expect("metrics").host_memory_bytes;
    let shim = idle.info().await.expect("info").pid.and_then(proportional_memory_bytes).unwrap_or(0);
    report.figure(
        "host memory of an idle box (PSS), its shim included",
        format!("{} MiB", (machine + shim) >> 20),
    );
    idle.remove(true).await.expect("removed");
}

/// Many boxes at once; all have to come up.
async fn many(report: &mut Report, runtime: &Runtime, spec: &BoxSpec, count: usize) {
    let start = Instant::now();
    let starting: Vec<_> = (0..count)
        .map(|_| {
            let (runtime, spec) = (runtime.clone(), spec.clone());
            tokio::spawn(async move {
                let work = runtime.create(spec).await?;
                work.start().await.map(|()| work)
            })
        })
        .collect();
    let mut boxes = Vec::new();
    for one in starting {
        boxes.push(one.await.expect("no panic").expect("started"));
    }
    report.figure(
        &format!("{count} boxes at once, until the last is up"),
        format!("{:.2} s", start.elapsed().as_secs_f64()),
    );
    let mut weight = 0;
    for work in &boxes {
        weight += work.metrics().await.expect("metrics").host_memory_bytes;
    }
    let each = weight as f64 / count as f64 / f64::from(1 << 20);
    report.figure("host memory of each of them (PSS)", format!("{each:.0} MiB"));
    report.hold("host memory of an idle box among many, MiB", each, 45.0);
    for work in boxes {
        work.remove(true).await.expect("removed");
    }
}

async fn shell(work: &BoxHandle, line: &str) {
    let output = work.exec(command(line, false)).await.expect("exec").output().await.expect("output");
    assert!(output.status.success(), "`{line}` ended with {:?}", output.status);
}

fn command(line: &str, stdin: bool) -> ExecSpec {
    let argv = ["sh", "-c", line].map(String::from).to_vec();
    ExecSpec { argv, stdin, ..ExecSpec::default() }
}

fn rate(elapsed: Duration) -> String {
    format!("{:.0} MB/s", STREAM_BYTES as f64 / 1e6 / elapsed.as_secs_f64())
}
