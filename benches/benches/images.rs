//! Pulling: to a ready root filesystem, against skopeo (which only downloads), podman and umoci (which unpack), on the same
//! image from the same registry in the same run; then what a derived image, a second tag and a long list cost.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boxlite::{Options, PullEvent, PullOptions, Runtime};
use boxlite_benches::{Report, Samples, boxlite, in_turn, peak_memory_bytes, rounds, run};
use boxlite_testkit::external::DockerRegistry;
use boxlite_testkit::images::{Entry, Layer, Synthetic, library_like};

/// Makes a process of this benchmark one that pulls, and says how often at once; then the home, and the reference.
const PULLS: &str = "BOXLITE_BENCH_PULLS";

/// How many more tags of the image there are, to pull when its layers are held.
const MORE_TAGS: u32 = 10;

fn main() -> ExitCode {
    if let Ok(pulls) = std::env::var(PULLS) {
        let [home, reference] = [1, 2].map(|at| std::env::args().nth(at).expect("a home and a reference"));
        println!("{}", pull_at_once(pulls.parse().expect("a number"), home.into(), &reference));
        return ExitCode::SUCCESS;
    }
    let scratch = tempfile::Builder::new().prefix("boxlite-bench-").tempdir().expect("a temporary directory");
    let registry = DockerRegistry::start().expect("docker-registry can be started");
    println!("making the image: 5 gzip layers, 741 MB, 16,500 files");
    let base = Synthetic::default().build();
    let image = base.build();
    for tag in 1..=MORE_TAGS + 1 {
        registry.push("bench/base", &tag.to_string(), &image).expect("pushed");
    }
    let small = Layer::from_entries([Entry::file("opt/new", library_like(1 << 20, 7))]);
    registry.push("bench/derived", "1", &base.clone().layer(small).build()).expect("pushed");

    let mut report = Report::new("Images");
    let pulled = against_peers(&mut report, scratch.path(), &registry);
    at_once(&mut report, scratch.path(), &registry);
    on_top(&mut report, &pulled, &registry);
    report.finish()
}

/// Measures 48 pulls of one image by 4 processes that share a home, beside one pull by one process.
fn at_once(report: &mut Report, scratch: &Path, registry: &DockerRegistry) {
    let reference = registry.reference("bench/base:1");
    let pulled_by = |what: &str, processes: usize, pulls: usize, round: usize| {
        let home = scratch.join(format!("{what}-{round}"));
        let process = || {
            let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
            let fetched = run(command.arg(&home).arg(&reference).env(PULLS, pulls.to_string())).stdout;
            fetched.trim().parse::<u64>().expect("a number of bytes")
        };
        let start = Instant::now();
        let fetched: u64 = std::thread::scope(|scope| {
            let running: Vec<_> = (0..processes).map(|_| scope.spawn(process)).collect();
            running.into_iter().map(|thread| thread.join().expect("pulled")).sum()
        });
        (start.elapsed(), fetched)
    };
    let (mut one_bytes, mut many_bytes) = (0, 0);
    let [one, many] = in_turn(
        rounds(3),
        [
            &mut |round| {
                let (elapsed, fetched) = pulled_by("one", 1, 1, round);
                one_bytes = fetched;
                elapsed
            },
            &mut |round| {
                let (elapsed, fetched) = pulled_by("many", 4, 12, round);
                many_bytes = fetched;
                elapsed
            },
        ],
    );
    report.time("48 pulls of one image by 4 processes at once", &many);
    report.at_most("48 pulls / one pull", many.median(), one.median(), 1.5);
    // Each asks for the manifest, which is no blob that can be shared.
    report.hold("bytes fetched by 48 pulls / by one", many_bytes as f64 / one_bytes as f64, 1.01);
}

/// Pulls `reference` that often at once, and returns the bytes that took from the registry.
fn pull_at_once(pulls: usize, home: PathBuf, reference: &str) -> u64 {
    let executor = tokio::runtime::Runtime::new().expect("threads can be started");
    executor.block_on(async {
        let runtime =
            Runtime::open(Options { home: Some(home), ..Default::default() }).await.expect("opened");
        let images = runtime.images();
        let pulled = (0..pulls).map(|_| images.pull(reference, PullOptions::default()));
        let pulled = futures::future::try_join_all(pulled).await.expect("pulled");
        runtime.shutdown(Duration::from_secs(5)).await.expect("shut down");
        pulled.iter().map(|pulled| pulled.bytes_fetched).sum()
    })
}

/// Measures the whole pull and leaves one finished home.
fn against_peers(report: &mut Report, scratch: &Path, registry: &DockerRegistry) -> std::path::PathBuf {
    let reference = registry.reference("bench/base:1");
    let source = format!("docker://{reference}");
    let fresh = |what: &str, round: usize| scratch.join(format!("{what}-{round}"));
    let ours = |round: usize| {
        run(boxlite().args(["--quiet", "pull", &reference]).env("BOXLITE_HOME", fresh("home", round))).elapsed
    };
    let layout = |round: usize| format!("oci:{}:latest", fresh("layout", round).display());
    let skopeo = |round: usize| {
        run(Command::new("skopeo").args([
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &source,
            &layout(round),
        ]))
        .elapsed
    };
    let umoci = |round: usize| {
        let image = format!("{}:latest", fresh("layout", round).display());
        run(Command::new("umoci").args(["unpack", "--image", &image]).arg(fresh("bundle", round))).elapsed
    };
    let podman = |round: usize| {
        let storage = fresh("podman", round);
        let mut command = Command::new("podman");
        command.arg("--root").arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
        command.args(["--storage-driver", "overlay", "pull", "--quiet", "--tls-verify=false", &reference]);
        run(&mut command).elapsed
    };
    let [ours, skopeo, umoci, podman] =
        in_turn(rounds(3), [&mut { ours }, &mut { skopeo }, &mut { umoci }, &mut { podman }]);
    report.time("`boxlite pull`, to a ready root filesystem", &ours);
    report.time("`skopeo copy` to a layout, nothing unpacked", &skopeo);
    report.time("`umoci unpack` of that layout", &umoci);
    report.time("`podman pull`", &podman);
    // There is no fetching without converting: both happen in one pass over the bytes.
    let beside_fetching = ours.median().as_secs_f64() / skopeo.median().as_secs_f64();
    report.figure(
        "pull, which also inflates, converts and merges / `skopeo copy`, which only fetches and verifies",
        format!("{beside_fetching:.2}"),
    );
    report.at_most("pull / podman pull", ours.median(), podman.median(), 0.2);
    report.at_most(
        "pull / (skopeo copy + umoci unpack)",
        ours.median(),
        skopeo.median() + umoci.median(),
        0.25,
    );

    let home = fresh("home-memory", 0);
    let peak = peak_memory_bytes(boxlite().args(["--quiet", "pull", &reference]).env("BOXLITE_HOME", &home));
    let idle = peak_memory_bytes(boxlite().args(["--quiet", "images"]).env("BOXLITE_HOME", &home));
    let over = peak.saturating_sub(idle) as f64 / f64::from(1 << 20);
    report.figure("peak memory of a pull over that of a listing", format!("{over:.0} MiB"));
    report.hold("peak memory over idle, MiB", over, 64.0);
    home
}

/// Measures what a home that holds the base pays for more.
fn on_top(report: &mut Report, home: &Path, registry: &DockerRegistry) {
    let executor = tokio::runtime::Runtime::new().expect("threads can be started");
    let open =
        || executor.block_on(Runtime::open(Options { home: Some(home.to_owned()), ..Default::default() }));
    let opens: Samples = (0..20)
        .map(|_| {
            let start = Instant::now();
            let runtime = open().expect("opened");
            let elapsed = start.elapsed();
            executor.block_on(runtime.shutdown(Duration::from_secs(5))).expect("shut down");
            elapsed
        })
        .collect();
    report.time("open a runtime", &opens);

    let runtime = open().expect("opened");
    let pull = |name: &str| {
        let fetched = Arc::new(AtomicU64::new(0));
        let layers = fetched.clone();
        let progress = Arc::new(move |event: PullEvent| {
            layers.fetch_add(u64::from(matches!(event, PullEvent::LayerDone { .. })), Ordering::Relaxed);
        });
        let start = Instant::now();
        let options = PullOptions { progress: Some(progress), ..Default::default() };
        let pulled =
            executor.block_on(runtime.images().pull(&registry.reference(name), options)).expect("pulled");
        (start.elapsed(), pulled.bytes_fetched, fetched.load(Ordering::Relaxed))
    };
    let disk = || {
        let usage = executor.block_on(runtime.usage()).expect("usage");
        usage.blob_bytes + usage.layer_bytes
    };
    let more: Samples = (2..=MORE_TAGS + 1)
        .map(|tag| {
            let (elapsed, _, converted) = pull(&format!("bench/base:{tag}"));
            assert_eq!(converted, 0, "all layers are held");
            elapsed
        })
        .collect();
    report.time("second tag, all layers held, none converted", &more);
    let before = disk();
    let (derived, bytes, converted) = pull("bench/derived:1");
    let grown = (disk() - before) as f64 / 1e6;
    report.figure(
        "derived image, one new layer of 1 MB",
        format!(
            "{:.1} ms, {bytes} bytes fetched, {converted} layers converted, {grown:.1} MB of disk",
            ms(derived)
        ),
    );
    report.hold("disk of a derived image with 1 MB of its own, MB", grown, 4.0);

    for number in 0..10_000 {
        let name = format!("localhost/many/image-{number}:1");
        executor.block_on(runtime.images().tag(&registry.reference("bench/base:1"), &name)).expect("tagged");
    }
    let lists: Samples = (0..20)
        .map(|_| {
            let start = Instant::now();
            let count = executor.block_on(runtime.images().list()).expect("listed").len();
            assert!(count > 10_000, "{count}");
            start.elapsed()
        })
        .collect();
    report.time("list of 10,000 references", &lists);
    executor.block_on(runtime.shutdown(Duration::from_secs(5))).expect("shut down");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
