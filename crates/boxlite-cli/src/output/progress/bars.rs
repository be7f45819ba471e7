//! Progress for a person at a terminal: one bar for the whole image, one for each layer under way, a spinner for the steps
//! that have no measure. What stays when it is over is one line for each.

use std::collections::HashMap;
use std::time::Duration;

use boxlite::{Digest, Event, PullEvent, StartStage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{short, stage_words};
use crate::output::size::human_bytes;
use crate::output::time::duration;

const TOTAL: &str =
    "{prefix}  [{bar:30}] {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {msg}";
const LAYER: &str = "  {prefix}  [{bar:24}] {decimal_bytes}/{decimal_total_bytes}  {msg}";
const SPINNER: &str = "{spinner} {msg}  {elapsed}";
const TICK: Duration = Duration::from_millis(120);

/// The bars on the screen. Nothing is drawn before the first event that needs it.
#[derive(Default)]
pub struct Bars {
    screen: Option<MultiProgress>,
    total: Option<ProgressBar>,
    layers: HashMap<Digest, Layer>,
    stages: HashMap<StartStage, ProgressBar>,
    layer_count: u32,
    layers_done: u32,
}

struct Layer {
    bar: Option<ProgressBar>,
    received_bytes: u64,
}

impl Bars {
    /// Draws what is new in `event`, if anything is.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Pull { reference, event } => self.show_pull(reference, event),
            Event::BoxStarting { stage, .. } => {
                if let Some((begins, _)) = stage_words(*stage) {
                    let bar = self.add(ProgressBar::new_spinner(), SPINNER);
                    bar.set_message(begins);
                    bar.enable_steady_tick(TICK);
                    self.stages.insert(*stage, bar);
                }
            }
            Event::BoxStage { stage, elapsed_us, .. } => {
                if let (Some(bar), Some((_, over))) = (self.stages.remove(stage), stage_words(*stage)) {
                    bar.finish_and_clear();
                    self.print(format!("{over} in {}", duration(Duration::from_micros(*elapsed_us))));
                }
            }
            _ => {}
        }
    }

    /// Takes all bars off the screen.
    pub fn clear(&mut self) {
        if let Some(screen) = self.screen.take() {
            for (_, bar) in self.stages.drain() {
                bar.finish_and_clear();
            }
            self.end_pull();
            // Fails only if the terminal is gone.
            let _ = screen.clear();
        }
    }

    fn show_pull(&mut self, reference: &str, event: &PullEvent) {
        match event {
            PullEvent::Resolved { layer_count, total_bytes, .. } => {
                let bar = self.add(ProgressBar::new(*total_bytes), TOTAL);
                bar.set_prefix(format!("Pulling {reference}"));
                self.total = Some(bar);
                self.layer_count = *layer_count;
                self.layers_done = 0;
                self.count_layers();
            }
            PullEvent::LayerDownloading { digest, received_bytes, total_bytes } => {
                self.received(*digest, *received_bytes, *total_bytes);
            }
            PullEvent::LayerWaiting { digest } => {
                let bar = self.add(ProgressBar::new_spinner(), "  {prefix}  {msg}");
                bar.set_prefix(short(digest));
                bar.set_message("waiting for another download of it");
                self.layers.insert(*digest, Layer { bar: Some(bar), received_bytes: 0 });
            }
            PullEvent::LayerCached { digest } | PullEvent::LayerDone { digest } => {
                if let Some(bar) = self.layers.get_mut(digest).and_then(|layer| layer.bar.take()) {
                    bar.finish_and_clear();
                }
                self.layers_done += 1;
                self.count_layers();
            }
            PullEvent::Retrying { what, attempt, delay_ms, reason } => self.print(format!(
                "{what}: {reason}; attempt {attempt} in {}",
                duration(Duration::from_millis(*delay_ms))
            )),
            PullEvent::Merging => {
                if let Some(total) = &self.total {
                    total.set_message("merging");
                }
            }
            PullEvent::Done { cached, elapsed_ms, .. } => {
                let received = self.layers.values().map(|layer| layer.received_bytes).sum();
                self.end_pull();
                if !cached {
                    let elapsed = duration(Duration::from_millis(*elapsed_ms));
                    self.print(format!("Pulled {reference}: {} in {elapsed}", human_bytes(received)));
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, digest: Digest, received_bytes: u64, total_bytes: u64) {
        let known = self.layers.get(&digest).is_some_and(|layer| layer.bar.is_some());
        if !known {
            let bar = self.add(ProgressBar::new(total_bytes), LAYER);
            bar.set_prefix(short(&digest));
            self.layers.insert(digest, Layer { bar: Some(bar), received_bytes: 0 });
        }
        let Some(layer) = self.layers.get_mut(&digest) else { return };
        if let Some(bar) = &layer.bar {
            bar.set_length(total_bytes);
            bar.set_position(received_bytes);
            bar.set_message(if received_bytes == total_bytes { "converting" } else { "" });
        }
        layer.received_bytes = received_bytes;
        if let Some(total) = &self.total {
            total.set_position(self.layers.values().map(|layer| layer.received_bytes).sum());
        }
    }

    fn count_layers(&self) {
        if let Some(total) = &self.total {
            total.set_message(format!("{}/{} layers", self.layers_done, self.layer_count));
        }
    }

    fn end_pull(&mut self) {
        for bar in self.layers.drain().filter_map(|(_, layer)| layer.bar) {
            bar.finish_and_clear();
        }
        if let Some(total) = self.total.take() {
            total.finish_and_clear();
        }
    }

    fn add(&mut self, bar: ProgressBar, template: &str) -> ProgressBar {
        let bar = self.screen.get_or_insert_with(MultiProgress::new).add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }

    fn print(&mut self, line: String) {
        let _ = self.screen.get_or_insert_with(MultiProgress::new).println(line);
    }
}
