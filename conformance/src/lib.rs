//! One table of behaviour for every surface of BoxLite, and what runs it.
//!
//! * [`registry`]: a registry that lies on command, for scenarios and, as the program `boxlite-testkit-registry`, for the
//!   tests of every language.
//! * [`scenario`]: `api/scenarios/*.yaml`, read and checked.
//! * [`table`]: `api/operations.toml`, what each surface has.
//! * [`driver`]: plays scenarios through an adapter of any language (`PROTOCOL.md`).
//! * [`adapters`]: those for Rust and for the command line.
//!
//! Nothing here is part of the product.

pub mod adapters;
pub mod driver;
pub mod registry;
pub mod scenario;
pub mod table;
