//! What every benchmark shares: samples, a report of rows and budgets, and commands measured as whole processes.
//!
//! The machines these run on are small, shared and noisy. So nothing is asserted about absolute time: things are measured
//! in turn, A B A B, within one run, and a budget is a ratio of two medians of that run. A budget that is missed makes the
//! benchmark exit with 1.

mod bare;
mod process;
mod report;
mod samples;

pub use bare::{BareMachine, forget_templates};
pub use process::{Finished, boxlite, peak_memory_bytes, proportional_memory_bytes, run};
pub use report::Report;
pub use samples::{Samples, in_turn, rounds};
