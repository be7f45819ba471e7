//! Progress for a log: every line is final, and there are few of them.

use std::collections::HashMap;
use std::time::Duration;

use boxlite::{Digest, Event, PullEvent};

use super::{short, stage_words};
use crate::output::say;
use crate::output::size::human_bytes;
use crate::output::time::duration;

/// What was said already.
#[derive(Default)]
pub struct Lines {
    /// Layers a first line was printed for, with what was known of their size.
    begun: HashMap<Digest, u64>,
}

impl Lines {
    /// Says what is new in `event`, if anything is.
    pub fn show(&mut self, event: &Event) {
        if let Some(line) = self.line(event) {
            say(line);
        }
    }

    fn line(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Pull { reference, event } => self.pull_line(reference, event),
            Event::BoxStarting { stage, .. } => stage_words(*stage).map(|(begins, _)| begins.to_owned()),
            Event::BoxStage { stage, elapsed_us, .. } => stage_words(*stage)
                .map(|(_, over)| format!("{over} in {}", duration(Duration::from_micros(*elapsed_us)))),
            _ => None,
        }
    }

    fn pull_line(&mut self, reference: &str, event: &PullEvent) -> Option<String> {
        match event {
            PullEvent::Resolved { layer_count, total_bytes, .. } => Some(format!(
                "Pulling {reference}: {layer_count} layer{}, {}",
                if *layer_count == 1 { "" } else { "s" },
                human_bytes(*total_bytes)
            )),
            PullEvent::LayerCached { digest } => Some(format!("{}: held already", short(digest))),
            PullEvent::LayerDownloading { digest, received_bytes, total_bytes } => {
                if self.begun.insert(*digest, *total_bytes).is_some() {
                    return None;
                }
                let resumed = match received_bytes {
                    0 => String::new(),
                    _ => format!(" from {}", human_bytes(*received_bytes)),
                };
                Some(format!("{}: downloading {}{resumed}", short(digest), human_bytes(*total_bytes)))
            }
            PullEvent::LayerWaiting { digest } => {
                Some(format!("{}: waiting for another download of it", short(digest)))
            }
            PullEvent::LayerDone { digest } => Some(format!("{}: done", short(digest))),
            PullEvent::Retrying { what, attempt, delay_ms, reason } => Some(format!(
                "{what}: {reason}; attempt {attempt} in {}",
                duration(Duration::from_millis(*delay_ms))
            )),
            PullEvent::Done { cached: false, elapsed_ms, .. } => {
                Some(format!("Pulled {reference} in {}", duration(Duration::from_millis(*elapsed_ms))))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use boxlite::{BoxId, StartStage};

    use super::*;

    fn check(events: &[Event], expect: &[&str]) {
        let mut lines = Lines::default();
        let said: Vec<String> = events.iter().filter_map(|event| lines.line(event)).collect();
        assert_eq!(said, expect);
    }

    fn pull(event: PullEvent) -> Event {
        Event::Pull { reference: "a:1".into(), event }
    }

    #[test]
    fn a_download_is_told_once_per_layer_however_many_events_it_has() {
        let digest = Digest::from_bytes([0xab; 32]);
        let arrived =
            |received_bytes| pull(PullEvent::LayerDownloading { digest, received_bytes, total_bytes: 3000 });
        check(
            &[
                pull(PullEvent::Resolving { reference: "a:1".into() }),
                pull(PullEvent::Resolved { id: digest, layer_count: 1, total_bytes: 3000 }),
                arrived(0),
                arrived(1500),
                arrived(3000),
                pull(PullEvent::LayerDone { digest }),
                pull(PullEvent::Merging),
                pull(PullEvent::Done { id: digest, cached: false, elapsed_ms: 1200 }),
            ],
            &[
                "Pulling a:1: 1 layer, 3.00 kB",
                "abababababab: downloading 3.00 kB",
                "abababababab: done",
                "Pulled a:1 in 1.2 s",
            ],
        );
    }

    #[test]
    fn a_warm_start_of_a_held_image_is_silent() {
        let id = BoxId::from_random([1; 12]);
        let digest = Digest::from_bytes([1; 32]);
        let mut events = vec![pull(PullEvent::Done { id: digest, cached: true, elapsed_ms: 1 })];
        for stage in [StartStage::Shim, StartStage::Machine, StartStage::Root] {
            events.push(Event::BoxStarting { id: id.clone(), stage });
            events.push(Event::BoxStage { id: id.clone(), stage, elapsed_us: 1 });
        }
        events.push(Event::BoxStarted { id, elapsed_us: 3 });
        check(&events, &[]);
    }
}
