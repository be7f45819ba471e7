//! The driver can fail: an adapter that is wrong in one way is found out, and for the right reason.

mod support;

use std::process::Command;
use std::time::Duration;

use boxlite_conformance::driver::Plan;
use boxlite_conformance::scenario::{self, Scenario};
use support::{plan, run};

/// Scenarios that touch on everything an adapter can lie about.
const SCENARIO: &str = r#"
about: What lies are told about
scenarios:
- name: one of each
  given: {images: {"app:1": {layers: [{filler_bytes: 20000}]}}, box: created}
  steps:
  - {call: images.pull, with: {reference: "${app:1}"}, ok: {cached: false}}
  - {call: images.list, ok: !has {reference: "${app:1}", size_bytes: "${app:1#size_bytes}"}}
  - {call: images.get, with: {reference: "registry.test/none:1"}, error: NotFound}
  - {call: runtime.list, ok: !has {id: "${box}"}}
  - {call: runtime.shutdown}
  - {home: released}
  - {home: deleted}
  - {call: images.list, error: Stopped}
  - {home: absent}
- name: a pull in flight
  given:
    images: {"app:1": {layers: [{filler_bytes: 20000}]}}
    rules: [{on: blobs, faults: [{hold_after: [100, held]}]}]
  steps:
  - {call: images.pull, with: {reference: "${app:1}"}, background: pull}
  - {gate: held, reached: 1}
  - {call: runtime.shutdown}
  - {await: pull, error: Stopped}
"#;

/// Put in place of `given`, makes a scenario one that nothing can run.
const NEEDS: &str = "  needs: [wings]\n  given:";

fn lying(lie: &str) -> Plan {
    let mut plan = plan("fake", &["lying", "--lie", lie]);
    plan.step_limit = Duration::from_secs(5);
    plan
}

fn scenario() -> Vec<Scenario> {
    scenario::parse("lies", SCENARIO).unwrap()
}

fn check(lie: &str, reason: &str) {
    let report = run(&lying(lie), scenario());
    assert!(!report.good(), "`{lie}` was not found out");
    let found = report.failed.iter().any(|(_, told)| told.contains(reason));
    assert!(found, "`{lie}` was found out, but because {:?}", report.failed);
}

#[test]
fn an_honest_adapter_passes() {
    let report = run(&lying("none"), scenario());
    assert!(report.good(), "{:?}", report.failed);
}

#[test]
fn wrong_answers_are_found_out() {
    check("wrong-code", "NotFound");
    check("wrong-value", "`.cached` false, got true");
    check("wrong-number", "an item like");
    check("no-errors", "expected the error");
    check("hides-box", "an item like");
}

#[test]
fn a_broken_protocol_is_found_out() {
    check("twice", "a second one");
    check("garbage", "printed `listing...`");
    check("crash", "ended before it answered");
    check("silent", "no answer within 5 s");
}

#[test]
fn a_home_that_is_not_let_go_of_is_found_out() {
    check("keeps-file", "still open");
    check("keeps-lock", "still open");
    check("makes-home", "made the home again");
}

#[test]
fn a_shutdown_that_does_not_wait_is_found_out() {
    check("late", "after the shutdown of its runtime had returned");
}

#[test]
fn an_adapter_that_can_what_nobody_knows_is_refused() {
    let executor = tokio::runtime::Runtime::new().unwrap();
    let error = executor
        .block_on(boxlite_conformance::driver::run(&lying("boasts"), scenario(), |_, _| ()))
        .unwrap_err();
    assert!(error.to_string().contains("no capability `flying`"), "{error}");
}

#[test]
fn an_adapter_of_another_surface_is_refused() {
    let mut plan = plan("fake", &["lying", "--lie", "none"]);
    plan.surface = "go".into();
    let executor = tokio::runtime::Runtime::new().unwrap();
    let error =
        executor.block_on(boxlite_conformance::driver::run(&plan, scenario(), |_, _| ())).unwrap_err();
    assert!(error.to_string().contains("not of `go`"), "{error}");
}

#[test]
fn a_run_in_which_everything_is_skipped_is_no_success() {
    let report = run(&lying("none"), scenario::parse("lies", &SCENARIO.replace("  given:", NEEDS)).unwrap());
    assert_eq!((report.passed, report.failed.len(), report.skipped.len()), (0, 0, 2));
    assert!(!report.good());
}

#[test]
fn more_scenarios_skipped_than_may_be_are_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let text = SCENARIO.replacen("  given:", NEEDS, 1);
    std::fs::write(directory.path().join("lies.yaml"), text).unwrap();
    for (most, good) in [("0", false), ("1", true)] {
        let mut driver = Command::new(env!("CARGO_BIN_EXE_boxlite-conformance"));
        driver
            .args(["run", "--surface", "fake", "--most-skipped", most, "--scenarios"])
            .arg(directory.path());
        driver.arg("--test-home").arg(directory.path().join("home"));
        let run = driver.arg("--").args(lying("none").command).output().unwrap();
        assert_eq!(run.status.success(), good, "{}", String::from_utf8_lossy(&run.stdout));
    }
}
