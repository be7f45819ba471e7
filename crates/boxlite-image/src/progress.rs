//! What one pull tells: events to its sink, thinned out, and how many bytes it has received.
//!
//! Cheap to clone and safe to use from every stage of the pipeline. Without a sink it only counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boxlite_types::{Digest, Error, PullEvent};

use crate::PullSink;

/// Least time between two reports on one layer.
const INTERVAL: Duration = Duration::from_millis(200);

/// The reporting side of one pull.
#[derive(Clone)]
pub(crate) struct Progress {
    sink: Option<PullSink>,
    received_bytes: Arc<AtomicU64>,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(sink: Option<PullSink>) -> Self {
        Progress { sink, received_bytes: Arc::default(), started: Instant::now() }
    }

    /// Sends one event.
    pub(crate) fn emit(&self, event: PullEvent) {
        if let Some(sink) = &self.sink {
            sink(event);
        }
    }

    /// Counts bytes received from a registry.
    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the bytes counted so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Returns the milliseconds since the pull began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Reports a failure that will be tried again.
    pub(crate) fn retrying(&self, what: &str, attempt: u32, delay: Duration, error: &Error) {
        self.emit(PullEvent::Retrying {
            what: what.to_owned(),
            attempt,
            delay_ms: delay.as_millis() as u64,
            reason: error.message().to_owned(),
        });
    }

    /// Begins reporting on the download of one layer.
    pub(crate) fn layer(&self, digest: Digest, total_bytes: u64) -> LayerProgress {
        LayerProgress { progress: self.clone(), digest, total_bytes, last: None }
    }
}

/// Reports on the download of one layer, a few times a second.
pub(crate) struct LayerProgress {
    progress: Progress,
    digest: Digest,
    total_bytes: u64,
    last: Option<Instant>,
}

impl LayerProgress {
    /// Says that `received_bytes` of the layer have arrived; passed on at once if it is the first report or the last.
    pub(crate) fn at(&mut self, received_bytes: u64) {
        let due = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due || received_bytes == self.total_bytes {
            self.last = Some(Instant::now());
            let (digest, total_bytes) = (self.digest, self.total_bytes);
            self.progress.emit(PullEvent::LayerDownloading { digest, received_bytes, total_bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_layer_reports_its_first_and_last_byte_and_little_in_between() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink: PullSink = {
            let seen = seen.clone();
            Arc::new(move |event| {
                if let PullEvent::LayerDownloading { received_bytes, .. } = event {
                    seen.lock().unwrap().push(received_bytes);
                }
            })
        };
        let mut layer = Progress::new(Some(sink)).layer(Digest::from_bytes([0; 32]), 100_000);
        (1..=100_000).for_each(|byte| layer.at(byte));
        let seen = seen.lock().unwrap();
        assert_eq!((seen[0], *seen.last().unwrap()), (1, 100_000));
        assert!(seen.len() < 100, "{} reports", seen.len());
    }
}
