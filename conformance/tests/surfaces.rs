//! Every scenario, through Rust and through the command line. The other languages run the same ones from their own tests.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{plan, run, scenarios};

/// Scenarios that a surface may leave out, at most; a driver that skips everything would pass everything.
fn check(surface: &str, adapter: &[&str], most_skipped: usize) {
    let scenarios = scenarios();
    let report = run(&plan(surface, adapter), scenarios);
    assert!(report.good(), "{report}: {:#?}", report.failed);
    assert!(report.skipped.len() <= most_skipped, "{report}: {:#?}", report.skipped);
}

#[test]
fn there_are_scenarios_for_everything_the_contract_names() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 60, "{}", scenarios.len());
    for part in ["images", "boxes", "shutdown", "handles", "cancellation", "errors"] {
        assert!(scenarios.iter().any(|scenario| scenario.file.starts_with(part)), "none about {part}");
    }
}

#[test]
fn the_library_passes_on_the_fake_engine() {
    check("fake", &["fake"], 20);
}

#[test]
fn the_library_passes_on_machines() {
    check("rust", &["rust"], 15);
}

#[test]
fn the_command_line_passes() {
    let program = built("boxlite-cli", "boxlite");
    check("cli", &["cli", "--program", program.to_str().expect("a path of text")], 110);
}

/// Builds a program of the workspace into the directory of this one.
fn built(package: &str, name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_boxlite-conformance")).parent().expect("a directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", name]).current_dir(support::root());
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo can be started").success(), "`{name}` does not build");
    directory.join(name)
}
