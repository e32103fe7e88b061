//! Fuzzes the decoder of compressed images: any bytes are refused or become an image within the size limits.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use thinkvla::camera::compressed::{MAX_PIXELS, decode};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::{ImageMode, Picture};

/// Writes seeds: a small image of each format, and a JPEG rotated by its EXIF data.
fn seed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/decode");
    std::fs::create_dir_all(&corpus).unwrap();
    let picture = |mode| Picture::encode(&RgbImage::new(16, 8), mode).unwrap().bytes;
    let (png, jpeg) = (picture(ImageMode::Png), picture(ImageMode::Jpeg(80)));
    let tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (tiff.len() as u16 + 2).to_be_bytes();
    let turned = [&jpeg[..2], &[0xff, 0xe1], &length, tiff, &jpeg[2..]].concat();
    for (name, choice, bytes) in [("png", 0, &png), ("jpeg", 2, &jpeg), ("turned", 2, &turned)] {
        std::fs::write(corpus.join(name), [&[choice], &bytes[..]].concat()).unwrap();
    }
}

fuzz_target!(init: seed(), |data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    // The end marker is required; appending it lets damaged data reach the decoder.
    let mut ended = data.to_vec();
    let format = match choice % 4 {
        0 => "png",
        1 => "rgb8; png compressed bgr8",
        2 => "jpeg",
        _ => {
            ended.extend([0xff, 0xd9]);
            "bgr8; jpeg compressed bgr8"
        }
    };
    let mut out = RgbImage::default();
    if decode(format, &ended, &mut out).is_ok() {
        let pixels = u64::from(out.width()) * u64::from(out.height());
        assert!(pixels <= MAX_PIXELS);
        assert_eq!(out.data().len() as u64, pixels * 3);
    }
});
