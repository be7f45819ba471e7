//! How far an operation is: numbers to show at any time, and the events behind them for whoever wants each one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use boxlite::{Digest, PullEvent, StartStage};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::output::SizedStruct;

/// Events kept for somebody who has not asked yet; the oldest go first.
const EVENTS_KEPT: usize = 1024;

/// What a pull is doing.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum boxlite_stage {
    /// It has not begun, or it is no pull.
    #[default]
    BOXLITE_STAGE_NONE = 0,
    /// The registry is asked what the reference means.
    BOXLITE_STAGE_RESOLVING = 1,
    /// Layers are fetched, verified and converted.
    BOXLITE_STAGE_LAYERS = 2,
    /// The layers are merged.
    BOXLITE_STAGE_MERGING = 3,
    /// The image is ready to run.
    BOXLITE_STAGE_DONE = 4,
}

/// How far a pull is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct boxlite_progress {
    /// `sizeof(boxlite_progress)`.
    pub size: usize,
    /// What it is doing: a `boxlite_stage`.
    pub stage: u32,
    /// Layers the image has; 0 until that is known.
    pub layer_count: u32,
    /// Layers that are there.
    pub layers_done: u32,
    /// How often something was tried again.
    pub retries: u32,
    /// Bytes of layers that have arrived.
    pub received_bytes: u64,
    /// Bytes of all layers of the image, those that need no fetching included.
    pub total_bytes: u64,
}

// SAFETY: `repr(C)`, size first, numbers only.
unsafe impl SizedStruct for boxlite_progress {
    const FIRST_SIZE: usize = 40;
}

/// How far one operation is.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    stage: boxlite_stage,
    layer_count: u32,
    layers_done: u32,
    retries: u32,
    total_bytes: u64,
    received: HashMap<Digest, u64>,
    events: VecDeque<Value>,
    over: bool,
}

impl Progress {
    /// Notes what happened in a pull.
    pub fn pull(&self, event: &PullEvent) {
        let mut state = self.lock();
        match event {
            PullEvent::Resolving { .. } => state.stage = boxlite_stage::BOXLITE_STAGE_RESOLVING,
            PullEvent::Resolved { layer_count, total_bytes, .. } => {
                state.stage = boxlite_stage::BOXLITE_STAGE_LAYERS;
                state.layer_count = *layer_count;
                state.total_bytes = *total_bytes;
            }
            PullEvent::LayerCached { .. } | PullEvent::LayerDone { .. } => state.layers_done += 1,
            PullEvent::LayerDownloading { digest, received_bytes, .. } => {
                state.received.insert(*digest, *received_bytes);
            }
            PullEvent::Retrying { .. } => state.retries += 1,
            PullEvent::Merging => state.stage = boxlite_stage::BOXLITE_STAGE_MERGING,
            PullEvent::Done { .. } => state.stage = boxlite_stage::BOXLITE_STAGE_DONE,
            // Those of later releases are told as JSON.
            _ => {}
        }
        self.add(state, serde_json::to_value(event).expect("an event has a JSON form"));
    }

    /// Notes what happened in a preparation.
    pub fn prepare(&self, stage: StartStage, elapsed: Option<Duration>) {
        let elapsed_us = elapsed.map(|elapsed| elapsed.as_micros() as u64);
        self.add(self.lock(), json!({ "stage": stage, "elapsed_us": elapsed_us }));
    }

    /// Notes that nothing more will happen.
    pub fn end(&self) {
        self.lock().over = true;
        self.changed.notify_waiters();
    }

    /// Waits for events, and takes them; there are none once the operation is over.
    pub async fn next(&self) -> Vec<Value> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if !state.events.is_empty() || state.over {
                    return state.events.drain(..).collect();
                }
            }
            changed.await;
        }
    }

    /// Returns the numbers of this moment.
    pub fn numbers(&self) -> boxlite_progress {
        let state = self.lock();
        boxlite_progress {
            size: 0,
            stage: state.stage as u32,
            layer_count: state.layer_count,
            layers_done: state.layers_done,
            retries: state.retries,
            received_bytes: state.received.values().sum(),
            total_bytes: state.total_bytes,
        }
    }

    fn add(&self, mut state: MutexGuard<'_, State>, event: Value) {
        if state.events.len() == EVENTS_KEPT {
            state.events.pop_front();
        }
        state.events.push_back(event);
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
