//! What an operation gives: a handle, plain data, or nothing but the fact that it is done.

use std::sync::Arc;

use boxlite::{
    CheckReport, DoctorReport, ImageDetails, ImageInfo, PulledImage, RemovedImage, RuntimeMetrics,
    UsageReport,
};
use serde_json::{Value, json};

use crate::runtime::OpenRuntime;

/// The outcome of an operation that succeeded.
pub(crate) enum Outcome {
    /// It is done.
    Nothing,
    /// A runtime, which is shut down if nobody takes it.
    Runtime(OpenRuntime),
    /// What was made has been taken.
    Taken,
    /// Plain data.
    Data(Arc<Data>),
}

impl From<Data> for Outcome {
    fn from(data: Data) -> Self {
        Outcome::Data(Arc::new(data))
    }
}

/// Plain data: what the views of a result show, and its JSON tells completely.
pub(crate) enum Data {
    PulledImage(PulledImage),
    Images(Vec<ImageInfo>),
    Image(ImageInfo),
    ImageDetails(Box<ImageDetails>),
    RemovedImage(RemovedImage),
    RuntimeMetrics(RuntimeMetrics),
    Usage(UsageReport),
    Check(CheckReport),
    Doctor(DoctorReport),
    /// What happened during an operation; empty once it is over.
    Progress(Vec<Value>),
}

impl Outcome {
    /// Says in JSON what was given.
    pub fn json(&self) -> Value {
        match self {
            Outcome::Nothing | Outcome::Taken => Value::Null,
            Outcome::Runtime(runtime) => json!({ "home": runtime.home() }),
            Outcome::Data(data) => data.json(),
        }
    }
}

impl Data {
    /// Returns how many elements it has.
    pub fn count(&self) -> usize {
        match self {
            Data::Images(images) => images.len(),
            Data::Check(report) => report.findings.len(),
            Data::Doctor(report) => report.checks.len(),
            Data::Progress(events) => events.len(),
            Data::PulledImage(_)
            | Data::Image(_)
            | Data::ImageDetails(_)
            | Data::RemovedImage(_)
            | Data::RuntimeMetrics(_)
            | Data::Usage(_) => 1,
        }
    }

    /// Says it in JSON, field by field as the Rust type of the same name.
    pub fn json(&self) -> Value {
        let value = match self {
            Data::PulledImage(pulled) => serde_json::to_value(pulled),
            Data::Images(images) => serde_json::to_value(images),
            Data::Image(image) => serde_json::to_value(image),
            Data::ImageDetails(details) => serde_json::to_value(details),
            Data::RemovedImage(removed) => serde_json::to_value(removed),
            Data::RuntimeMetrics(metrics) => serde_json::to_value(metrics),
            Data::Usage(usage) => serde_json::to_value(usage),
            Data::Check(report) => serde_json::to_value(report),
            Data::Doctor(report) => Ok(json!({ "ready": report.ready(), "checks": report.checks })),
            Data::Progress(events) => Ok(Value::Array(events.clone())),
        };
        value.expect("plain data has a JSON form")
    }
}
