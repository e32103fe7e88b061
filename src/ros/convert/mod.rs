//! Conversion between types of this package and messages.
//!
//! * [`pose`], [`chunk`]: poses and action chunks
//! * [`markers`]: markers for rviz

pub mod chunk;
pub mod markers;
pub mod pose;
