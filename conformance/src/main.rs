//! `boxlite-conformance`: runs the scenarios of `api/scenarios/` through the adapter of a surface.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use boxlite_conformance::adapters::{CliSurface, Lie, LyingSurface, RustSurface, serve};
use boxlite_conformance::driver::{self, Plan};
use boxlite_conformance::scenario;
use boxlite_conformance::table::Table;
use clap::{Parser, Subcommand, ValueEnum};

/// Runs one table of behaviour through every language
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Runs scenarios through an adapter; exits with 1 if one fails
    Run(RunArguments),
    /// Lists the scenarios
    List {
        /// Directory of the scenarios
        #[arg(long, default_value_os_t = api("scenarios"))]
        scenarios: PathBuf,
    },
    /// Is an adapter (conformance/PROTOCOL.md) on stdin and stdout
    Adapter {
        /// Which
        kind: AdapterKind,
        /// The program `boxlite`, for `cli`
        #[arg(long, default_value = "boxlite")]
        program: PathBuf,
        /// What is wrong with it, for `lying`
        #[arg(long, value_enum, default_value_t = Lie::None)]
        lie: Lie,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Surface, as its adapter calls itself: `rust`, `fake`, `cli`, `c`, `go`, `python`, `node`
    #[arg(long)]
    surface: String,
    /// Only scenarios whose title has this in it; may be repeated
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Directory of the scenarios
    #[arg(long, default_value_os_t = api("scenarios"))]
    scenarios: PathBuf,
    /// The table of operations
    #[arg(long, default_value_os_t = api("operations.toml"))]
    operations: PathBuf,
    /// Home of scenarios with boxes, which keeps kernel and template
    #[arg(long, env = "BOXLITE_TEST_HOME", default_value_os_t = test_home())]
    test_home: PathBuf,
    /// Scenarios run at a time
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Longest time for one answer, in seconds
    #[arg(long, default_value_t = 60)]
    step_limit: u64,
    /// Longest time for one scenario, in seconds
    #[arg(long, default_value_t = 180)]
    scenario_limit: u64,
    /// Fails if more scenarios than this are skipped; any number may be without it
    #[arg(long, value_name = "NUMBER")]
    most_skipped: Option<usize>,
    /// The adapter and its arguments
    #[arg(last = true, required = true)]
    adapter: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AdapterKind {
    /// Crate `boxlite`, with machines.
    Rust,
    /// Crate `boxlite`, with the fake engine.
    Fake,
    /// The program `boxlite`.
    Cli,
    /// The one with the fake engine, wrong on purpose.
    Lying,
}

/// Returns a path below `api/` of the checkout this was built from.
fn api(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../api").join(name)
}

fn test_home() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("test-home")
}

fn main() -> ExitCode {
    match act(Arguments::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    match action {
        Action::Run(arguments) => {
            let executor =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            executor.block_on(run(arguments))
        }
        Action::List { scenarios } => {
            for scenario in scenario::load(&scenarios)? {
                println!("{}", scenario.title());
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Adapter { kind, program, lie } => {
            let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let input = tokio::io::BufReader::new(tokio::io::stdin());
            let output = std::io::stdout();
            match kind {
                AdapterKind::Rust => executor.block_on(serve(RustSurface::with_machines(), input, output))?,
                AdapterKind::Fake => {
                    executor.block_on(serve(RustSurface::with_fake_engine(), input, output))?
                }
                AdapterKind::Lying => executor.block_on(serve(LyingSurface::new(lie), input, output))?,
                AdapterKind::Cli => executor.block_on(serve(CliSurface::new(program), input, output))?,
            }
            // Reading stdin occupies a thread that does not end by itself; nothing is closed, as with any program that
            // forgets to.
            std::process::exit(0)
        }
    }
}

async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let mut scenarios = scenario::load(&arguments.scenarios)?;
    if !arguments.filter.is_empty() {
        scenarios.retain(|scenario| arguments.filter.iter().any(|text| scenario.title().contains(text)));
    }
    if scenarios.is_empty() {
        bail!("no scenario is called like that");
    }
    std::fs::create_dir_all(&arguments.test_home).context("the test home")?;
    let plan = Plan {
        surface: arguments.surface,
        command: arguments.adapter,
        table: Table::load(&arguments.operations)?,
        shared_home: std::path::absolute(&arguments.test_home)?,
        jobs: arguments.jobs,
        step_limit: Duration::from_secs(arguments.step_limit),
        scenario_limit: Duration::from_secs(arguments.scenario_limit),
    };
    let report =
        driver::run(&plan, scenarios, |scenario, verdict| println!("{}", verdict.tell(scenario))).await?;
    if !report.skipped.is_empty() {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, reason) in &report.skipped {
            *reasons.entry(reason).or_default() += 1;
        }
        println!("\nskipped:");
        for (reason, count) in reasons {
            println!("  {count:3}  {reason}");
        }
    }
    if !report.failed.is_empty() {
        println!("\nfailed:");
        for (title, reason) in &report.failed {
            println!("  {title}: {}", reason.lines().next().unwrap_or_default());
        }
    }
    println!("\n{report}");
    let most = arguments.most_skipped.unwrap_or(usize::MAX);
    if report.skipped.len() > most {
        println!("{} scenarios were skipped, {most} at most may be", report.skipped.len());
    }
    let good = report.good() && report.skipped.len() <= most;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
