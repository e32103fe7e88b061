//! Tests of raw images: every encoding is read, and malformed fields are named.

use thinkvla::camera::image_view::{ImageError, ImageView};
use thinkvla::camera::rgb::RgbImage;

use super::view;

#[test]
fn every_encoding_is_read_with_its_row_padding() {
    let expected = [[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]];
    type Layout = fn([u8; 3]) -> Vec<u8>;
    let layouts: [(&str, Layout); 6] = [
        ("rgb8", |[r, g, b]| vec![r, g, b]),
        ("bgr8", |[r, g, b]| vec![b, g, r]),
        ("rgba8", |[r, g, b]| vec![r, g, b, 255]),
        ("bgra8", |[r, g, b]| vec![b, g, r, 255]),
        ("8UC3", |[r, g, b]| vec![b, g, r]),
        ("8UC4", |[r, g, b]| vec![b, g, r, 255]),
    ];
    let mut out = RgbImage::default();
    for (encoding, layout) in layouts {
        for padding in [0, 1, 13] {
            let mut data: Vec<u8> = Vec::new();
            for row in expected.chunks(2) {
                data.extend(row.iter().flat_map(|pixel| layout(*pixel)));
                data.extend(vec![0xee; padding]);
            }
            let step = data.len() / 2;
            let image = view(encoding, 2, 2, step as u32, &data).unwrap();
            image.to_rgb(&mut out);
            assert_eq!(
                out.data(),
                expected.as_flattened(),
                "{encoding}, {padding} bytes of padding"
            );
            let unpadded_end = &data[..data.len() - padding];
            assert!(
                view(encoding, 2, 2, step as u32, unpadded_end).is_ok(),
                "the last row may lack its padding"
            );
        }
    }
    for grey in ["mono8", "8UC1"] {
        view(grey, 2, 2, 3, &[1, 2, 0xee, 3, 4]).unwrap().to_rgb(&mut out);
        assert_eq!(out.data(), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }
}

#[test]
fn encodings_that_are_not_read_are_refused_with_what_to_do() {
    for (encoding, what_to_do) in [
        ("bayer_rggb8", "image_proc"),
        ("bayer_grbg16", "image_proc"),
        ("16UC1", "depth"),
        ("mono16", "depth"),
        ("32FC1", "depth"),
        ("rgb16", "depth"),
        ("nv21", "camera driver"),
        ("8UC2", "camera driver"),
    ] {
        let error = view(encoding, 4, 4, 64, &[0; 256]).unwrap_err().to_string();
        assert!(error.contains(encoding) && error.contains(what_to_do), "{error}");
        assert!(error.contains("rgb8") && error.contains("8UC3"), "{error}");
    }
}

#[test]
fn malformed_fields_are_named_with_what_was_expected() {
    let says = |result: Result<ImageView<'_>, ImageError>, words: &[&str]| {
        let message = result.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    says(view("rgb8", 0, 4, 12, &[0; 48]), &["0x4", "at least 1"]);
    says(view("16UC1", 4, 4, 8, &[0; 32]), &["rgb8", "16UC1"]);
    says(view("rgb8", 4, 4, 11, &[0; 48]), &["at least 12", "found 11"]);
    says(view("rgb8", 4, 4, 12, &[0; 47]), &["at least 48", "found 47"]);
    says(view("yuyv", 3, 4, 6, &[0; 24]), &["even width", "found 3"]);
    says(view("uyvy", 3, 4, 6, &[0; 24]), &["even width", "found 3"]);
    says(view("rgba8", u32::MAX, u32::MAX, u32::MAX, &[]), &["17179869180"]);
    says(
        view("mono8", u32::MAX, u32::MAX, u32::MAX, &[0; 9]),
        &["18446744065119617025", "found 9"],
    );
}
