//! Tests of the image pipeline: images become exactly the input of the reference code, and malformed ones an error that
//! names what was expected and found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests may panic

mod files;
mod hostile;
mod preprocess;
mod reference;
mod views;

use thinkvla::camera::compressed::{self, DecodeError};
use thinkvla::camera::image_view::{ImageError, ImageFields, ImageView};
use thinkvla::camera::rgb::RgbImage;

/// Names of all supported encodings.
const ENCODINGS: [&str; 12] = [
    "rgb8",
    "bgr8",
    "8UC3",
    "rgba8",
    "bgra8",
    "8UC4",
    "mono8",
    "8UC1",
    "yuyv",
    "yuv422_yuy2",
    "uyvy",
    "yuv422",
];

/// The random generator of tests/reference/golden_images.py.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn noise_image(kind: &str, [width, height]: [u32; 2]) -> RgbImage {
    let mut data = noise((width * height * 3) as usize);
    if kind == "steps" {
        data.iter_mut()
            .for_each(|byte| *byte = if *byte >= 128 { 255 } else { 0 });
    }
    RgbImage::from_raw(width, height, data).unwrap()
}

fn view<'a>(
    encoding: &'a str,
    width: u32,
    height: u32,
    step: u32,
    data: &'a [u8],
) -> Result<ImageView<'a>, ImageError> {
    ImageView::new(ImageFields {
        width,
        height,
        encoding,
        step,
        data,
    })
}

const RAMP_JPEG: &[u8] = include_bytes!("../data/ramp.jpg");
const RAMP_PROGRESSIVE: &[u8] = include_bytes!("../data/ramp_progressive.jpg");
const RAMP_GREY_JPEG: &[u8] = include_bytes!("../data/ramp_grey.jpg");
const RAMP_PNG: &[u8] = include_bytes!("../data/ramp.png");
const RAMP_RGBA_PNG: &[u8] = include_bytes!("../data/ramp_rgba.png");
const RAMP_GREY_PNG: &[u8] = include_bytes!("../data/ramp_grey.png");
const DEPTH_PNG: &[u8] = include_bytes!("../data/depth16.png");

fn decoded(format: &str, data: &[u8]) -> Result<RgbImage, DecodeError> {
    let mut out = RgbImage::default();
    compressed::decode(format, data, &mut out).map(|()| out)
}
