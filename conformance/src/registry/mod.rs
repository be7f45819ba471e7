//! The lying registry of boxlite-testkit as data: images, faults and gates described in JSON or YAML, and named.
//!
//! Scenarios describe theirs in `given`; the program `boxlite-testkit-registry` takes the same descriptions as lines on its
//! stdin. Nothing is random, nothing waits for time to pass, and nothing leaves loopback.

mod image;
pub mod program;
mod rule;
mod stage;

pub use image::{ImageDescription, PushedImage};
pub use rule::{AuthDescription, RuleDescription, TargetDescription};
pub use stage::Stage;
