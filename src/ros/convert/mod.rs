//! Conversion between types of this package and messages.
//!
//! * [`pose`], [`chunk`]: poses and action chunks
//! * [`image`]: camera images, with the one decoder of all nodes
//! * [`markers`]: markers for rviz

pub mod chunk;
pub mod image;
pub mod markers;
pub mod pose;
