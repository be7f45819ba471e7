//! What a shim is told, and what it says while it starts.
//!
//! A [`Job`] is one JSON document on standard input, ended by a newline. The answer is one [`Report`] per line on standard
//! output, the last of them `Ready`, `Done` or `Failed`. Until then the end of standard input means that the starter is
//! gone, and takes everything with it. Both programs are of one build, so nothing here has versions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use boxlite_types::{BoxId, Context, DiskLayout, Error, ErrorCode, StartStage};
use serde::{Deserialize, Serialize};

use crate::ProcessIdentity;
use crate::vm::spare::SpareOrder;
use crate::vm::{MachineSpec, Task};

/// What a shim is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Run a box.
    Run(RunJob),
    /// Something about machines that is not a box.
    Task(Task),
    /// Get a machine ready, say so, and wait for a box to run on it, or for the end of standard input.
    Spare(SpareOrder),
}

/// A box to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// Its id.
    pub id: BoxId,
    /// Its own directory.
    pub directory: PathBuf,
    /// Its host name.
    pub hostname: String,
    /// Whether it lives on when its starter is gone.
    pub detach: bool,
    /// What it runs on.
    pub machine: MachineKind,
}

/// What a box runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineKind {
    /// A virtual machine.
    Vm {
        /// The machine.
        spec: MachineSpec,
        /// The image's disk.
        root: DiskLayout,
        /// The box's own disk.
        disk: PathBuf,
    },
    /// An agent as an ordinary process of the host, with a channel as its standard input. It isolates nothing: it is for
    /// tests of everything around a machine, and no engine asks for it.
    Process {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// What a shim says to its starter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It is up and alone in charge of the box.
    Up(ProcessIdentity),
    /// A stage begins.
    Began(StartStage),
    /// A stage is over.
    Over(StartStage, Duration),
    /// Commands can be run in the box.
    Ready,
    /// A job that is not a box is done.
    Done,
    /// It failed; nothing is left.
    Failed(ReportedError),
}

/// An error on its way to the starter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    code: ErrorCode,
    message: String,
    context: BTreeMap<Context, String>,
    retryable: bool,
    hint: Option<String>,
}

impl From<&Error> for ReportedError {
    fn from(error: &Error) -> Self {
        ReportedError {
            code: error.code(),
            message: error.message().to_owned(),
            context: error.context().clone(),
            retryable: error.is_retryable(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

impl From<ReportedError> for Error {
    fn from(reported: ReportedError) -> Self {
        let mut error = Error::new(reported.code, reported.message).retryable(reported.retryable);
        for (key, value) in reported.context {
            error = error.with(key, value);
        }
        match reported.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_it_was() {
        let error = Error::new(ErrorCode::InUse, "box `x` runs")
            .with(Context::Box, "x")
            .hint("stop it")
            .retryable(true);
        let line = serde_json::to_string(&Report::Failed((&error).into())).unwrap();
        let Report::Failed(reported) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        let arrived = Error::from(reported);
        assert_eq!(serde_json::to_value(&arrived).unwrap(), serde_json::to_value(&error).unwrap());
    }
}
