//! The C interface, called as C calls it, over a lying registry on loopback and the fake engine.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every call of the interface is one; its contract is what is tested"
)]

mod cancellation;
mod executions;
mod exit;
mod fork;
mod images;
mod liveness;
mod misuse;
mod queues;
mod races;
mod world;
