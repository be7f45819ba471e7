//! What is said on stderr while something takes its time: bars on a terminal, plain lines elsewhere, one JSON object per
//! event with `--format json`, nothing with `--quiet`.
//!
//! Only steps that a person waits for are told: transfers, and what happens once per home. A box that starts from its
//! template with its image held starts in silence.

mod bars;
mod lines;

use std::io::IsTerminal;

use boxlite::{Digest, Event, StartStage};

use self::bars::Bars;
use self::lines::Lines;
use crate::arguments::Format;
use crate::output;

/// Tells of events in the way that fits the reader.
pub enum Progress {
    /// Not at all.
    Silent,
    /// One JSON object a line.
    Json,
    /// Sentences.
    Lines(Lines),
    /// Bars that are drawn over and over.
    Bars(Bars),
}

impl Progress {
    /// Chooses the way for this process.
    pub fn new(format: Format, quiet: bool) -> Self {
        match format {
            _ if quiet => Progress::Silent,
            Format::Json => Progress::Json,
            Format::Table if std::io::stderr().is_terminal() => Progress::Bars(Bars::default()),
            Format::Table => Progress::Lines(Lines::default()),
        }
    }

    /// Tells of one event.
    pub fn show(&mut self, event: &Event) {
        match self {
            Progress::Silent => {}
            Progress::Json => {
                if let Ok(line) = serde_json::to_string(event) {
                    output::say(line);
                }
            }
            Progress::Lines(lines) => lines.show(event),
            Progress::Bars(bars) => bars.show(event),
        }
    }

    /// Takes everything off the screen that is not meant to stay. Call it before others write to the terminal.
    pub fn clear(&mut self) {
        if let Progress::Bars(bars) = self {
            bars.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What a stage is called while it goes on and when it is over; `None` for those of every start.
fn stage_words(stage: StartStage) -> Option<(&'static str, &'static str)> {
    match stage {
        StartStage::Kernel => Some(("Fetching a guest kernel, once for this home", "Fetched a guest kernel")),
        StartStage::Accelerator => {
            Some(("Trying what accelerates a guest here", "Found what accelerates a guest here"))
        }
        StartStage::Template => Some(("Booting a template, once for this kind of box", "Booted a template")),
        _ => None,
    }
}

/// The first digits of a digest, enough to tell the layers of one image apart.
fn short(digest: &Digest) -> String {
    digest.hex()[..12].to_owned()
}
