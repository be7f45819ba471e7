//! The library's end of the protocol: one connection, many concurrent requests.

/// A connection to a running box. Clones share it; it closes when the last clone is dropped.
#[derive(Clone)]
pub struct Session {}
