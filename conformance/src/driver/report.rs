//! What came of a run, and how it is told.

use std::fmt;
use std::time::Duration;

use super::adapter::Hello;
use crate::scenario::Scenario;

/// What came of one scenario.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Everything went as written, in this time.
    Passed(Duration),
    /// Something did not.
    Failed {
        /// What.
        reason: String,
        /// What the adapter printed.
        stderr: String,
    },
    /// The surface lacks something it needs.
    Skipped(String),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    surface: String,
    version: String,
    /// Number of scenarios that passed.
    pub passed: usize,
    /// Titles of those that failed, with the reason.
    pub failed: Vec<(String, String)>,
    /// Titles of those that were skipped, with the reason.
    pub skipped: Vec<(String, String)>,
}

impl Report {
    /// Begins a report on a surface.
    pub(super) fn new(hello: &Hello) -> Self {
        let (surface, version) = (hello.surface.clone(), hello.version.clone());
        Report { surface, version, passed: 0, failed: Vec::new(), skipped: Vec::new() }
    }

    pub(super) fn enter(&mut self, scenario: &Scenario, verdict: Verdict) {
        match verdict {
            Verdict::Passed(_) => self.passed += 1,
            Verdict::Failed { reason, .. } => self.failed.push((scenario.title(), reason)),
            Verdict::Skipped(reason) => self.skipped.push((scenario.title(), reason)),
        }
    }

    /// Returns whether nothing failed and something passed: a run in which everything is skipped proves nothing.
    pub fn good(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }
}

impl Verdict {
    /// Tells it as the line, or lines, of one scenario.
    pub fn tell(&self, scenario: &Scenario) -> String {
        let title = scenario.title();
        match self {
            Verdict::Passed(took) => format!("pass  {title} ({} ms)", took.as_millis()),
            Verdict::Skipped(reason) => format!("skip  {title}: {reason}"),
            Verdict::Failed { reason, stderr } => {
                let mut told = format!("FAIL  {title}\n      {}", reason.replace('\n', "\n      "));
                if !stderr.trim().is_empty() {
                    told.push_str("\n      the adapter printed:\n      ");
                    told.push_str(&stderr.trim_end().replace('\n', "\n      "));
                }
                told
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        let total = self.passed + failed + skipped;
        write!(
            f,
            "{} {}: {total} scenarios, {} passed, {failed} failed, {skipped} skipped",
            self.surface, self.version, self.passed
        )
    }
}
