//! What a surface has to have for a scenario to make sense there: operations by the table, capabilities by its own word.

use std::collections::BTreeSet;

use serde_norway::Value as Yaml;

use super::{BoxGiven, Scenario, Step, StreamKind};
use crate::table::{Presence, Table};

/// What a scenario needs.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Operations, by their names in the table.
    pub operations: BTreeSet<String>,
    /// Capabilities, by their names in the protocol.
    pub capabilities: BTreeSet<String>,
}

/// What an adapter may say that its surface can do besides operations.
pub const CAPABILITIES: [&str; 10] =
    ["progress", "cancel", "close_handle", "identity", "gc", "fork", "main", "tty", "vm", "fake"];

/// What everything that links the library can do, so that only a surface that cannot has to say so.
pub const USUAL: [&str; 3] = ["pull_policy", "copy_overwrite", "exit_signal"];

/// Why a scenario is not run on a surface.
pub type Missing = String;

impl Needs {
    /// Finds out what a scenario needs.
    pub fn of(scenario: &Scenario) -> Self {
        let mut needs = Needs::default();
        needs.capabilities.extend(scenario.needs.iter().cloned());
        let given = &scenario.given;
        if given.open != Some(false) {
            needs.operation("runtime.open");
            needs.operation("runtime.images");
        }
        if !given.pulled.is_empty() || given.r#box.is_some() {
            needs.operation("images.pull");
        }
        match given.r#box {
            Some(BoxGiven::Running) => {
                needs.operation("runtime.create");
                needs.operation("box.start");
            }
            Some(BoxGiven::Created) => needs.operation("runtime.create"),
            Some(BoxGiven::Image) | None => {}
        }
        needs.spec(&given.spec);
        scenario.steps.iter().for_each(|step| needs.step(step));
        needs
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(call) => {
                self.operation(&call.call);
                self.arguments(&call.call, &call.with);
            }
            Step::Run(run) => {
                self.operation("box.exec");
                self.operation("execution.output");
                self.spec(&run.with);
                if run.stdin.is_some() {
                    self.operation("execution.write");
                    self.operation("execution.close_stdin");
                }
            }
            Step::Cancel(_) => self.capability("cancel"),
            Step::Read(_) => self.operation("execution.read"),
            Step::Drain(step) if step.drain == StreamKind::Events => self.operation("events.next"),
            Step::Drain(_) => self.operation("logs.next"),
            _ => {}
        }
    }

    fn operation(&mut self, name: &str) {
        match name {
            "test.same" => self.capability("identity"),
            "test.collect" => self.capability("gc"),
            "test.fork" => self.capability("fork"),
            name if name.starts_with("fake.") => self.capability("fake"),
            name => {
                self.operations.insert(name.to_owned());
            }
        }
        if name == "images.close" || name == "box.close" {
            self.capability("close_handle");
        }
    }

    fn arguments(&mut self, operation: &str, with: &Yaml) {
        let given = |name: &str| with.get(name);
        if operation == "images.pull" {
            if given("progress").is_some() {
                self.capability("progress");
            }
            if given("policy").is_some_and(|policy| policy != "always") {
                self.capability("pull_policy");
            }
        }
        if operation.starts_with("box.copy") && given("overwrite").is_some() {
            self.capability("copy_overwrite");
        }
        if let Some(spec) = given("spec") {
            self.spec(spec);
        }
    }

    fn spec(&mut self, spec: &Yaml) {
        for (field, capability) in [("main", "main"), ("tty", "tty")] {
            if spec.get(field).is_some() {
                self.capability(capability);
            }
        }
    }

    fn capability(&mut self, name: &str) {
        self.capabilities.insert(name.to_owned());
    }

    /// Returns why a surface cannot run the scenario, if it cannot.
    pub fn missing(
        &self,
        table: &Table,
        column: &str,
        has: &BTreeSet<String>,
        lacks: &BTreeSet<String>,
    ) -> Option<Missing> {
        for name in &self.operations {
            match table.get(name).map(|operation| operation.presence(column)) {
                Some(Presence::Name(_)) => {}
                Some(Presence::Absent { absent }) => return Some(format!("no {name}: {absent}")),
                // Let it fail: a misspelled operation is no reason to skip.
                None => {}
            }
        }
        let can = |name: &&String| {
            has.contains(*name) || (USUAL.contains(&name.as_str()) && !lacks.contains(*name))
        };
        let missing = self.capabilities.iter().find(|name| !can(name));
        missing.map(|name| format!("the surface does not have `{name}`"))
    }
}
