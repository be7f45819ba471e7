//! The supervisor of one box.

fn main() {}
