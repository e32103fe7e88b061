//! camera

pub mod patches;
