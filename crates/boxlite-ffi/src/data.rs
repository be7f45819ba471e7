//! What an operation gives: a handle, plain data, or nothing but the fact that it is done.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use boxlite::{
    BoxInfo, BoxMetrics, CheckReport, DoctorReport, Event, ExitStatus, FileStat, ImageDetails, ImageInfo,
    KernelInfo, LogEntry, Output, PulledImage, RemovedImage, RuntimeMetrics, UsageReport,
};
use serde_json::{Value, json};

use crate::boxes::BoxObject;
use crate::execution::ExecutionObject;
use crate::runtime::OpenRuntime;
use crate::stream::{LogsObject, ReaderObject};

/// The outcome of an operation that succeeded.
pub(crate) enum Outcome {
    /// It is done.
    Nothing,
    /// A runtime, which is shut down if nobody takes it.
    Runtime(OpenRuntime),
    Box(BoxObject),
    /// A command, which is killed if nobody takes it.
    Execution(Box<ExecutionObject>),
    Logs(LogsObject),
    Reader(ReaderObject),
    /// What was made has been taken.
    Taken,
    /// Plain data.
    Data(Arc<Data>),
}

impl From<BoxObject> for Outcome {
    fn from(made: BoxObject) -> Self {
        Outcome::Box(made)
    }
}

impl From<ExecutionObject> for Outcome {
    fn from(execution: ExecutionObject) -> Self {
        Outcome::Execution(Box::new(execution))
    }
}

impl From<LogsObject> for Outcome {
    fn from(logs: LogsObject) -> Self {
        Outcome::Logs(logs)
    }
}

impl From<ReaderObject> for Outcome {
    fn from(reader: ReaderObject) -> Self {
        Outcome::Reader(reader)
    }
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
    Kernels(Vec<KernelInfo>),
    Kernel(KernelInfo),
    Boxes(Vec<BoxInfo>),
    Box(Box<BoxInfo>),
    BoxMetrics(BoxMetrics),
    /// Exit code of a box.
    ExitCode(i32),
    ExitStatus(ExitStatus),
    Output(Output),
    FileStat(FileStat),
    /// `None` after the last one.
    LogEntry(Option<LogEntry>),
    /// `None` after the last one.
    Event(Option<Event>),
    /// What happened during an operation; empty once it is over.
    Progress(Vec<Value>),
}

impl Outcome {
    /// Says in JSON what was given.
    pub fn json(&self) -> Value {
        match self {
            Outcome::Nothing | Outcome::Taken | Outcome::Logs(_) | Outcome::Reader(_) => Value::Null,
            Outcome::Runtime(runtime) => json!({ "home": runtime.home() }),
            Outcome::Box(made) => json!({ "id": made.id() }),
            Outcome::Execution(execution) => {
                let execution = execution.lock();
                json!({ "id": execution.id(), "box": execution.box_id(), "pid": execution.pid() })
            }
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
            Data::Kernels(kernels) => kernels.len(),
            Data::Boxes(boxes) => boxes.len(),
            Data::LogEntry(entry) => entry.iter().count(),
            Data::Event(event) => event.iter().count(),
            Data::Progress(events) => events.len(),
            Data::PulledImage(_)
            | Data::Image(_)
            | Data::ImageDetails(_)
            | Data::RemovedImage(_)
            | Data::RuntimeMetrics(_)
            | Data::Usage(_)
            | Data::Kernel(_)
            | Data::Box(_)
            | Data::BoxMetrics(_)
            | Data::ExitCode(_)
            | Data::ExitStatus(_)
            | Data::Output(_)
            | Data::FileStat(_) => 1,
        }
    }

    /// Says it in JSON, field by field as the Rust type of the same name; bytes as Base64.
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
            Data::Kernels(kernels) => serde_json::to_value(kernels),
            Data::Kernel(kernel) => serde_json::to_value(kernel),
            Data::Boxes(boxes) => serde_json::to_value(boxes),
            Data::Box(info) => serde_json::to_value(info),
            Data::BoxMetrics(metrics) => serde_json::to_value(metrics),
            Data::ExitCode(code) => Ok(json!({ "code": code })),
            Data::ExitStatus(status) => serde_json::to_value(status),
            Data::Output(output) => Ok(json!({
                "stdout": BASE64.encode(&output.stdout),
                "stderr": BASE64.encode(&output.stderr),
                "status": output.status,
            })),
            Data::FileStat(stat) => Ok(json!({
                "mode": stat.mode,
                "size_bytes": stat.size_bytes,
                "uid": stat.uid,
                "gid": stat.gid,
                "modified_ns": stat.modified_ns,
                "link_target": stat.link_target.as_ref().map(|target| String::from_utf8_lossy(target)),
            })),
            Data::LogEntry(entry) => Ok(entry.as_ref().map_or(Value::Null, |entry| {
                json!({ "at_ns": entry.at_ns, "source": entry.source, "bytes": BASE64.encode(&entry.bytes) })
            })),
            Data::Event(event) => serde_json::to_value(event),
            Data::Progress(events) => Ok(Value::Array(events.clone())),
        };
        value.expect("plain data has a JSON form")
    }
}
