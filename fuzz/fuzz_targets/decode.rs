//! Whatever compressed bytes say, they are refused or become an image within the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thinkvla::camera::compressed::{MAX_PIXELS, decode};
use thinkvla::camera::rgb::RgbImage;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    // The end marker is required; adding it lets damaged data through to the decoder.
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
