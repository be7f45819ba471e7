//! Runs scenarios through an adapter: several at a time, each with a registry, a home and a process of its own, each bounded
//! in time, none able to hold up or spoil another.

mod adapter;
mod expect;
mod host;
mod player;
mod report;
mod shutdowns;
mod streams;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt;

use crate::scenario::{Needs, Scenario};
use crate::table::Table;
use adapter::Adapter;
use player::Player;
pub use report::{Report, Verdict};
use world::World;

/// How a table of scenarios is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The surface, as its adapter calls itself.
    pub surface: String,
    /// Command line of the adapter.
    pub command: Vec<String>,
    /// The operations there are.
    pub table: Table,
    /// Home of scenarios with boxes.
    pub shared_home: PathBuf,
    /// Scenarios run at a time.
    pub jobs: usize,
    /// Longest time for one answer.
    pub step_limit: Duration,
    /// Longest time for one scenario.
    pub scenario_limit: Duration,
}

impl Plan {
    /// Returns the surface's column in the table: the fake engine is one more way to use the library from Rust.
    fn column(&self) -> &str {
        if self.surface == "fake" { "rust" } else { &self.surface }
    }
}

/// Runs scenarios and tells `each` of every verdict as it is known.
///
/// # Errors
/// If no adapter can be started at all.
pub async fn run(
    plan: &Plan,
    scenarios: Vec<Scenario>,
    mut each: impl FnMut(&Scenario, &Verdict),
) -> Result<Report> {
    // The first hello says what the surface can do; an adapter that cannot even say that is no failure of a scenario.
    let (probe, hello) = Adapter::start(&plan.command, plan.step_limit).await?;
    let (complaints, stderr) = probe.end(plan.step_limit).await;
    if let Some(complaint) = complaints.first() {
        anyhow::bail!("{complaint}, and it was not even asked for anything\n{}", stderr.trim_end());
    }
    if hello.surface != plan.surface {
        anyhow::bail!("the adapter is one of `{}`, not of `{}`", hello.surface, plan.surface);
    }
    let plan = Arc::new(plan.clone());
    let mut report = Report::new(&hello);
    let verdicts = scenarios.into_iter().map(|scenario| {
        let (plan, has, lacks) = (plan.clone(), hello.capabilities.clone(), hello.lacks.clone());
        async move {
            let missing = Needs::of(&scenario).missing(&plan.table, plan.column(), &has, &lacks);
            let verdict = match missing {
                Some(reason) => Verdict::Skipped(reason),
                // A task of its own: a panic is the failure of one scenario.
                None => match tokio::spawn(run_one(plan, scenario.clone())).await {
                    Ok(verdict) => verdict,
                    Err(error) => Verdict::Failed {
                        reason: format!("the driver failed: {error}"),
                        stderr: String::new(),
                    },
                },
            };
            (scenario, verdict)
        }
    });
    let mut verdicts = futures::stream::iter(verdicts).buffer_unordered(plan.jobs.max(1));
    while let Some((scenario, verdict)) = verdicts.next().await {
        each(&scenario, &verdict);
        report.enter(&scenario, verdict);
    }
    Ok(report)
}

async fn run_one(plan: Arc<Plan>, scenario: Scenario) -> Verdict {
    let begun = Instant::now();
    let failed = |reason: String| Verdict::Failed { reason, stderr: String::new() };
    let (mut world, variables) = match World::new(&scenario, &plan.shared_home, &plan.surface) {
        Ok(made) => made,
        Err(error) => return failed(format!("{error:#}")),
    };
    let adapter = match Adapter::start(&plan.command, plan.step_limit).await {
        Ok((adapter, _)) => adapter,
        Err(error) => return failed(format!("{error:#}")),
    };
    let mut faults = Vec::new();
    {
        let mut player = Player::new(&adapter, &mut world, variables, plan.step_limit);
        match tokio::time::timeout(plan.scenario_limit, player.play(&scenario)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => faults.push(format!("{error:#}")),
            Err(_) => faults.push(format!("it takes longer than {} s", plan.scenario_limit.as_secs())),
        }
    }
    let (complaints, stderr) = adapter.end(plan.step_limit).await;
    faults.extend(complaints);
    faults.extend(world.clean(faults.is_empty()).await);
    match faults.is_empty() {
        true => Verdict::Passed(begun.elapsed()),
        false => Verdict::Failed { reason: faults.join("\nalso: "), stderr },
    }
}
