//! The library as its users see it, over a registry on loopback and an engine without machines.
//!
//! What handles.md promises stands here as tests. Nothing sleeps: what has to happen at a certain moment is held at a gate
//! of the registry or at a stage of the engine. `BOXLITE_SOAK_ROUNDS` makes the races run longer.

mod boxes;
mod cancellation;
mod copies;
mod executions;
mod processes;
mod recovery;
mod shutdown;
mod world;
