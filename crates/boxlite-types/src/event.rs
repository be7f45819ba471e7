//! What a runtime tells those who listen.

use crate::{BoxId, ExitStatus, PullEvent};

/// A step of starting a box, in the order they happen; not every start has every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StartStage {
    /// The guest kernel is fetched and unpacked.
    Kernel,
    /// An accelerator is chosen by running a guest on it.
    Accelerator,
    /// A template is made: a guest is booted once and its state kept.
    Template,
    /// The shim is up.
    Shim,
    /// The virtual machine is up and the agent answers.
    Machine,
    /// The root filesystem is mounted.
    Root,
}

/// Something that happened in a runtime.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A pull goes on.
    Pull {
        /// Reference as it was asked for.
        reference: String,
        /// What happened.
        event: PullEvent,
    },
    /// A box was created.
    BoxCreated {
        /// The box.
        id: BoxId,
    },
    /// A step of a start begins.
    BoxStarting {
        /// The box.
        id: BoxId,
        /// The step.
        stage: StartStage,
    },
    /// A step of a start is over.
    BoxStage {
        /// The box.
        id: BoxId,
        /// The step.
        stage: StartStage,
        /// How long it took in microseconds.
        elapsed_us: u64,
    },
    /// A box is running.
    BoxStarted {
        /// The box.
        id: BoxId,
        /// From the call to the mounted root, in microseconds.
        elapsed_us: u64,
    },
    /// A box stopped.
    BoxStopped {
        /// The box.
        id: BoxId,
        /// As [`crate::BoxInfo::exit_code`].
        exit_code: Option<i32>,
    },
    /// A box was removed.
    BoxRemoved {
        /// The box.
        id: BoxId,
    },
    /// A command was started.
    ExecStarted {
        /// The box.
        id: BoxId,
        /// The program.
        program: String,
    },
    /// A command ended.
    ExecCompleted {
        /// The box.
        id: BoxId,
        /// How.
        status: ExitStatus,
    },
    /// Files were copied into a box.
    FileCopiedIn {
        /// The box.
        id: BoxId,
        /// Where to.
        path: String,
    },
    /// Files were copied out of a box.
    FileCopiedOut {
        /// The box.
        id: BoxId,
        /// Where from.
        path: String,
    },
}
