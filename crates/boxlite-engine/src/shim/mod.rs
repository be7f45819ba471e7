//! The supervisor of one box: the program `boxlite-shim`, and how the library starts and finds it.
//!
//! One process per box, synchronous and small. It locks the box, brings its machine up in a [`jail`], makes it the box,
//! and then stands between the library's connections and the machine ([`supervise`], [`mux`]) until the machine is gone.
//! Whatever dies, in whatever order, leaves nothing running: the machine dies with the shim, and the shim ends the
//! machine when its owner dies.
//!
//! It trusts the library that starts it; not the machine, on none of its channels.

mod children;
mod config;
mod confine;
mod files;
mod identity;
mod jail;
mod landlock;
mod launch;
mod lifeline;
mod listener;
pub mod log;
mod machine;
mod mux;
mod nbd;
mod program;
mod record;
mod run;
mod spare;
mod supervise;

pub use config::{MachineKind, RunJob};
pub use identity::supervisor;
pub use launch::{Launcher, Spare, connect, reap};
pub use program::main;

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
fn realtime_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Longest wait for a process that was sent `SIGKILL`.
const GONE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
