//! Durations of one thing, measured several times.

use std::time::Duration;

/// What one measurement took, in the order measured.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds a measurement.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Returns the sample below which `percent` of them lie; the median for 50.
    ///
    /// # Panics
    /// If there are none.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let place = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
        sorted[place - 1]
    }

    /// Returns the median.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(samples: I) -> Self {
        Samples(samples.into_iter().collect())
    }
}

/// A thing to measure: it is told the round, and returns how long the part that counts took.
pub type Contender<'a> = &'a mut dyn FnMut(usize) -> Duration;

/// Measures several things in turn, round by round, so that a machine that gets slower does so for all of them.
pub fn in_turn<const N: usize>(rounds: usize, mut contenders: [Contender<'_>; N]) -> [Samples; N] {
    let mut samples = [const { Samples(Vec::new()) }; N];
    for round in 0..rounds {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            samples.push(contender(round));
        }
    }
    samples
}

/// Returns how many rounds to measure: `BOXLITE_BENCH_ROUNDS`, or `default`.
pub fn rounds(default: usize) -> usize {
    std::env::var("BOXLITE_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}
