//! Rows for people, budgets for machines.

use std::process::ExitCode;
use std::time::Duration;

use crate::Samples;

/// Prints what was measured as it comes, and remembers which budgets were missed.
pub struct Report {
    missed: Vec<String>,
}

impl Report {
    /// Begins a report under a title.
    pub fn new(title: &str) -> Self {
        println!("\n## {title}\n");
        println!("| what | median | p95 |\n|---|---|---|");
        Report { missed: Vec::new() }
    }

    /// Prints the durations of one thing.
    pub fn time(&mut self, what: &str, samples: &Samples) {
        println!("| {what} | {} | {} |", duration(samples.median()), duration(samples.percentile(95)));
    }

    /// Prints one figure that is no duration.
    pub fn figure(&mut self, what: &str, value: impl std::fmt::Display) {
        println!("| {what} | {value} | |");
    }

    /// Prints the ratio `ours / theirs` of two medians, and holds it to at most `most`.
    pub fn at_most(&mut self, what: &str, ours: Duration, theirs: Duration, most: f64) {
        self.hold(what, ours.as_secs_f64() / theirs.as_secs_f64().max(1e-9), most);
    }

    /// Prints a figure, and holds it to at most `most`.
    pub fn hold(&mut self, what: &str, figure: f64, most: f64) {
        let verdict = if figure <= most { "held" } else { "MISSED" };
        println!("| budget: {what} | {figure:.3} (at most {most}) | {verdict} |");
        if figure > most {
            self.missed.push(format!("{what}: {figure:.3}, at most {most}"));
        }
    }

    /// Ends the report: failure if a budget was missed.
    pub fn finish(self) -> ExitCode {
        if self.missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("\nbudgets missed:");
        self.missed.iter().for_each(|missed| eprintln!("  {missed}"));
        ExitCode::FAILURE
    }
}

fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}
