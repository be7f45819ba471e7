//! The adapters that live here: for Rust, with machines or with the fake engine, and for the command line.
//!
//! The Rust adapter is the reference: a scenario that it does not pass is wrong, or has found a bug in the library.

mod arguments;
mod cli;
mod lying;
mod rust;
mod serve;

pub use cli::CliSurface;
pub use lying::{Lie, LyingSurface};
pub use rust::RustSurface;
pub use serve::serve;
