//! Video of datasets: frames into mp4 and any frame out of it.
//!
//! ```text
//! RgbImage ─► colour ─► openh264 ─► mux ─► mp4 ─► demux ─► openh264 or rav1d ─► colour ─► RgbImage
//! ```
//!
//! We write H.264 with a constant frame rate, one sample a frame, a key frame at every other one and none reordered.
//! We read that and what LeRobot writes by default (AV1), or x264 with reordered frames.

mod boxes;
pub mod colour;
mod decoder;
pub mod demux;
pub mod encoder;
pub mod error;
mod fragments;
pub mod info;
mod mux;
pub mod reader;
mod sps;

pub use encoder::{VideoSettings, VideoWriter};
pub use error::VideoError;
pub use info::feature_info;
pub use reader::VideoReader;
