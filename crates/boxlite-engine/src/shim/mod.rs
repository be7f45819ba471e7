//! The supervisor of one box.
