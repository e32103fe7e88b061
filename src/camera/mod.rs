//! Camera pipeline: from received frames to the input of the vision tower.
//!
//! ```text
//! sensor_msgs fields ─► image_view ─┐
//! compressed bytes ──► compressed ──┴─► rgb ─► resize ─► smart_resize ─► patches
//! pairing groups the frames of several cameras by stamp; stream_health monitors every stream
//! ```
//!
//! No module uses a ROS type or reads a clock: the caller passes fields and times.

mod area_average;
pub mod compressed;
pub mod file;
mod filter_weights;
pub mod image_view;
mod jpeg_segments;
mod orientation;
pub mod pairing;
pub mod patches;
pub mod points;
pub mod preprocess;
mod resample;
pub mod resize;
pub mod rgb;
pub mod smart_resize;
pub mod stream_health;
mod weighted_sum;
#[cfg(target_arch = "x86_64")]
mod weighted_sum_vnni;
