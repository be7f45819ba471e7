//! Boxes as virtual machines: QEMU's `microvm`, a distribution's kernel, the agent as its PID 1.
//!
//! The parts, from the ground up: [`kernel`] fetches and unpacks a guest kernel, [`initramfs`] packs it up with the
//! agent, [`command`] says how QEMU is called, [`boot`] brings a machine up cold or out of a [`template`], also one with
//! the root of an image [`mounted`] in it, and [`qmp`] talks to it. [`VmEngine`] puts them together for the library.
//!
//! Nothing here starts QEMU by itself: whoever owns a machine hands in a [`Spawn`], which is where the jail is. All that
//! runs inside a shim is synchronous.

pub mod accelerator;
pub mod boot;
pub mod command;
pub mod disk;
pub mod durable;
mod engine;
pub mod facts;
mod host_report;
pub mod initramfs;
pub mod kernel;
pub mod machine;
pub mod mounted;
pub mod process;
pub mod qemu;
pub mod qmp;
mod reserve;
pub mod snapshot;
pub mod spare;
pub mod task;
pub mod template;
pub mod tsc;

pub use boot::{Machine, start};
pub use command::{MachineChannels, VmmCommand, vmm_command};
pub use engine::{VmEngine, VmEngineOptions};
pub use host_report::{Check, host_report};
pub use machine::{Accelerator, MachineSpec, Memory};
pub use process::{PlainSpawn, Spawn, VmmProcess};
pub use task::{Task, TaskKind};
