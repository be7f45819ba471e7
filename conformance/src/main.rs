//! `boxlite-conformance`: runs the scenarios of `api/scenarios/` through the adapter of a surface.

fn main() {}
