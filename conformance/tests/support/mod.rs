//! What the tests share: where the checkout is, and how a run is planned.

#![allow(dead_code, reason = "each test uses its part of it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use boxlite_conformance::driver::{self, Plan, Report};
use boxlite_conformance::scenario::{self, Scenario};
use boxlite_conformance::table::Table;

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the checkout")
}

/// Every scenario there is.
pub fn scenarios() -> Vec<Scenario> {
    scenario::load(&root().join("api/scenarios")).expect("the scenarios")
}

/// The table of operations.
pub fn table() -> Table {
    Table::load(&root().join("api/operations.toml")).expect("the table")
}

/// Plans a run through an adapter of the program under test.
pub fn plan(surface: &str, adapter: &[&str]) -> Plan {
    let mut command = vec![env!("CARGO_BIN_EXE_boxlite-conformance").to_owned(), "adapter".to_owned()];
    command.extend(adapter.iter().map(|&word| word.to_owned()));
    let home = std::env::var_os("BOXLITE_TEST_HOME")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-home"), PathBuf::from);
    std::fs::create_dir_all(&home).expect("the test home");
    Plan {
        surface: surface.to_owned(),
        command,
        table: table(),
        shared_home: home,
        jobs: 3,
        step_limit: Duration::from_secs(60),
        scenario_limit: Duration::from_secs(180),
    }
}

/// Runs scenarios to the end, telling each verdict.
pub fn run(plan: &Plan, scenarios: Vec<Scenario>) -> Report {
    let executor = tokio::runtime::Runtime::new().expect("an executor");
    let told = |scenario: &Scenario, verdict: &driver::Verdict| println!("{}", verdict.tell(scenario));
    let report = executor.block_on(driver::run(plan, scenarios, told)).expect("the adapter starts");
    println!("{report}");
    report
}
