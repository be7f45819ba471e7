//! Boxes as virtual machines.
