//! Which failures are tried again, and when.
//!
//! Knows nothing of HTTP beyond a [`Failure`]: an error, with whether another attempt can help. The delay grows
//! exponentially and is jittered, so that many clients hit by one outage do not come back in step.

use std::time::Duration;

use boxlite_types::Error;

use crate::RetryOptions;
use crate::progress::Progress;

/// Whether another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No.
    Never,
    /// Yes, after a delay of our choice.
    Backoff,
    /// Yes, after the delay the other side asked for.
    After(Duration),
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) retry: Retry,
}

impl From<Error> for Failure {
    /// An error of our own making or judging: final.
    fn from(error: Error) -> Self {
        Failure { error, retry: Retry::Never }
    }
}

impl Failure {
    /// A failure that may pass.
    pub(crate) fn passing(error: Error) -> Self {
        Failure { error, retry: Retry::Backoff }
    }
}

/// The attempts at one thing.
pub(crate) struct Attempts<'a> {
    options: &'a RetryOptions,
    progress: &'a Progress,
    what: String,
    made: u32,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(options: &'a RetryOptions, progress: &'a Progress, what: String) -> Self {
        Attempts { options, progress, what, made: 0 }
    }

    /// Forgets the attempts made, because the last one got somewhere.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }

    /// Waits until the next attempt is due, or gives the error back if there is to be none.
    pub(crate) async fn pause(&mut self, failure: Failure) -> Result<(), Error> {
        self.made += 1;
        let delay = match failure.retry {
            Retry::Never => return Err(failure.error),
            _ if self.made >= self.options.attempts => return Err(failure.error),
            Retry::After(delay) if delay > self.options.max_retry_after => return Err(failure.error),
            Retry::After(delay) => delay,
            Retry::Backoff => backoff(self.options, self.made, rand::random()),
        };
        self.progress.retrying(&self.what, self.made + 1, delay, &failure.error);
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

/// Returns the delay after `made` attempts: between half of the exponential delay and all of it, as `random` decides.
fn backoff(options: &RetryOptions, made: u32, random: u32) -> Duration {
    let doubled = options.base_delay.saturating_mul(1 << made.saturating_sub(1).min(20));
    let full = doubled.min(options.max_delay);
    full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxlite_types::ErrorCode;

    #[test]
    fn the_delay_doubles_up_to_its_bound_and_is_jittered_by_half() {
        let options = RetryOptions {
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
            ..RetryOptions::default()
        };
        let check = |made, random, expect_ms| {
            assert_eq!(backoff(&options, made, random).as_millis(), expect_ms, "{made} {random}");
        };
        check(1, 0, 50);
        check(1, u32::MAX, 100);
        check(3, 0, 200);
        check(3, u32::MAX, 400);
        check(40, u32::MAX, 1000);
    }

    #[tokio::test]
    async fn attempts_end_by_count_by_nature_and_by_a_retry_after_that_is_too_long() {
        let error = || Error::new(ErrorCode::Network, "cut");
        let options = RetryOptions {
            base_delay: Duration::from_micros(1),
            max_retry_after: Duration::from_millis(20),
            ..RetryOptions::default()
        };
        let progress = Progress::new(None);
        let attempts = || Attempts::new(&options, &progress, "x".into());

        let mut counted = attempts();
        for _ in 1..options.attempts {
            counted.pause(Failure::passing(error())).await.unwrap();
        }
        counted.pause(Failure::passing(error())).await.unwrap_err();

        attempts().pause(error().into()).await.unwrap_err();

        let wait = |millis| Failure { error: error(), retry: Retry::After(Duration::from_millis(millis)) };
        let before = std::time::Instant::now();
        attempts().pause(wait(20)).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(20));
        attempts().pause(wait(21)).await.unwrap_err();
    }
}
