//! The C ABI of BoxLite.
