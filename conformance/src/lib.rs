//! One table of behaviour for every surface of BoxLite, and what runs it.
//!
//! * [`registry`]: a registry that lies on command, for scenarios and, as the program `boxlite-testkit-registry`, for the
//!   tests of every language.
//!
//! Nothing here is part of the product.

pub mod registry;
