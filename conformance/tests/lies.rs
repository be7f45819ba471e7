//! The driver can fail: an adapter that is wrong in one way is found out, and for the right reason.

mod support;

use std::time::Duration;

use boxlite_conformance::driver::Plan;
use boxlite_conformance::scenario::{self, Scenario};
use support::{plan, run};

/// One scenario that touches on everything an adapter can lie about.
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
"#;

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
    let (_, told) = &report.failed[0];
    assert!(told.contains(reason), "`{lie}` was found out, but because {told}");
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
    let text = SCENARIO.replace("- name: one of each", "- name: one of each\n  needs: [wings]");
    let report = run(&lying("none"), scenario::parse("lies", &text).unwrap());
    assert_eq!((report.passed, report.failed.len(), report.skipped.len()), (0, 0, 1));
    assert!(!report.good());
}
