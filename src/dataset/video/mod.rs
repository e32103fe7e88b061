//! Videos of datasets: encodes frames to mp4 and decodes any frame of it.
//!
//! ```text
//! RgbImage ─► colour ─► openh264 ─► mux ─► mp4 ─► demux ─► openh264 or rav1d ─► colour ─► RgbImage
//! ```
//!
//! Videos are written as H.264 with a constant frame rate, one sample per frame, a key frame at every other frame and
//! no reordering. These are read, and so are what LeRobot writes by default (AV1) and x264 with reordered frames.

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
