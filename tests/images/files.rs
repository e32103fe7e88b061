//! Tests of JPEG and PNG: read in every form ROS writes them, and damaged ones are errors.

use thinkvla::camera::compressed::{DecodeError, MAX_SIDE};
use thinkvla::camera::rgb::RgbImage;

use super::{DEPTH_PNG, RAMP_GREY_JPEG, RAMP_GREY_PNG, RAMP_JPEG, RAMP_PNG, RAMP_PROGRESSIVE, RAMP_RGBA_PNG, decoded};

/// Pixels of the 32×24 image in the fixtures.
fn ramp(x: u32, y: u32) -> [u8; 3] {
    [(x * 8) as u8, (y * 10) as u8, 90]
}

fn largest_error(image: &RgbImage, expected: impl Fn(u32, u32) -> [u8; 3]) -> u8 {
    let places = (0..image.height()).flat_map(|y| (0..image.width()).map(move |x| (x, y)));
    let error = |(x, y)| {
        let found = image.pixel(x, y).unwrap();
        (0..3).map(|c| found[c].abs_diff(expected(x, y)[c])).max().unwrap()
    };
    places.map(error).max().unwrap()
}

#[test]
fn compressed_images_are_read_in_every_format_string_ros_writes() {
    for format in [
        "png",
        "rgb8; png compressed bgr8",
        "bgr8; png compressed ",
        "rgba8;png compressed",
    ] {
        assert_eq!(largest_error(&decoded(format, RAMP_PNG).unwrap(), ramp), 0, "{format}");
        assert_eq!(
            largest_error(&decoded(format, RAMP_RGBA_PNG).unwrap(), ramp),
            0,
            "{format}"
        );
    }
    let grey = decoded("mono8; png compressed ", RAMP_GREY_PNG).unwrap();
    assert!(grey.data().as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    for format in [
        "jpeg",
        "jpg",
        "rgb8; jpeg compressed bgr8",
        "bgr8; jpeg compressed bgr8",
    ] {
        for data in [RAMP_JPEG, RAMP_PROGRESSIVE] {
            let image = decoded(format, data).unwrap();
            assert_eq!([image.width(), image.height()], [32, 24]);
            assert!(
                largest_error(&image, ramp) <= 12,
                "{format}: {}",
                largest_error(&image, ramp)
            );
        }
    }
    let grey_jpeg = decoded("mono8; jpeg compressed ", RAMP_GREY_JPEG).unwrap();
    assert!(largest_error(&grey_jpeg, |x, y| grey.pixel(x, y).unwrap()) <= 6);
}

#[test]
fn other_formats_are_refused_by_name() {
    for format in [
        "",
        "tiff",
        "rgb8; jpegxl compressed",
        "16UC1; compressedDepth png",
        "16UC1; png compressedDepth",
    ] {
        let error = decoded(format, RAMP_PNG).unwrap_err().to_string();
        assert!(
            error.contains("expected jpeg or png") && error.contains(&format!("{format:?}")),
            "{error}"
        );
    }
    let error = decoded("png", DEPTH_PNG).unwrap_err();
    assert!(matches!(error, DecodeError::Depth { .. }), "{error}");
    assert!(error.to_string().contains("convert colours to 8 bits"), "{error}");
    assert!(matches!(decoded("jpeg", RAMP_PNG), Err(DecodeError::NotWhole { .. })));
    assert!(matches!(decoded("png", RAMP_JPEG), Err(DecodeError::NotWhole { .. })));
}

#[test]
fn compressed_mosaics_are_refused_and_those_that_were_converted_are_read() {
    for format in [
        "bayer_rggb8; jpeg compressed bayer_rggb8",
        "bayer_rggb8; jpeg compressed ",
        "bayer_gbrg8; jpeg",
    ] {
        let error = decoded(format, RAMP_GREY_JPEG).unwrap_err().to_string();
        assert!(
            error.contains("Bayer mosaic") && error.contains(&format!("{format:?}")),
            "{error}"
        );
    }
    for format in [
        "bayer_rggb8; jpeg compressed mono8",
        "bayer_rggb8; jpeg compressed bgr8",
    ] {
        assert!(decoded(format, RAMP_GREY_JPEG).is_ok(), "{format}");
    }
}

#[test]
fn what_follows_the_end_of_a_jpeg_is_passed_over() {
    for data in [RAMP_JPEG, RAMP_PROGRESSIVE, RAMP_GREY_JPEG] {
        let plain = decoded("jpeg", data).unwrap();
        for appended in [&b"\0\0\0"[..], b"\xff\xff\xff", b"SEFT trailer of a phone", RAMP_PNG] {
            let followed = [data, appended].concat();
            assert_eq!(decoded("jpeg", &followed).unwrap(), plain);
            // The end of an image in a segment is not that of the file.
            let preview = [
                &data[..2],
                b"\xff\xe1\0\x06\xff\xd8\xff\xd9",
                &data[2..data.len() - 2],
                appended,
            ]
            .concat();
            assert!(decoded("jpeg", &preview).is_err());
        }
    }
}

/// The same image without its Huffman tables, as cameras send Motion JPEG.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let (mut bare, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != 0xda {
        let (segment, next) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != 0xc4 {
            bare.extend(segment);
        }
        rest = next;
    }
    bare.extend(rest);
    bare
}

#[test]
fn frames_of_motion_jpeg_without_tables_have_the_standard_ones() {
    for data in [RAMP_JPEG, RAMP_GREY_JPEG] {
        let bare = without_tables(data);
        assert!(bare.len() < data.len());
        assert_eq!(decoded("jpeg", &bare).unwrap(), decoded("jpeg", data).unwrap());
    }
}

#[test]
fn every_truncation_is_an_error() {
    for data in [RAMP_JPEG, RAMP_PROGRESSIVE, RAMP_GREY_JPEG] {
        (0..data.len()).for_each(|len| assert!(decoded("jpeg", &data[..len]).is_err(), "jpeg cut to {len}"));
    }
    // The last 12 bytes of a PNG are the IEND chunk, which contains no data.
    for data in [RAMP_PNG, RAMP_RGBA_PNG, RAMP_GREY_PNG] {
        (0..data.len() - 12).for_each(|len| assert!(decoded("png", &data[..len]).is_err(), "png cut to {len}"));
    }
}

#[test]
fn huge_announced_sizes_are_refused_before_allocation() {
    let mut png = RAMP_PNG.to_vec();
    png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(
        decoded("png", &png),
        Err(DecodeError::Size {
            width: i32::MAX as u32,
            height: i32::MAX as u32
        })
    );
    png[16..24].copy_from_slice(&[0, 0, 0x30, 0, 0, 0, 0x30, 0]);
    let error = decoded("png", &png).unwrap_err().to_string();
    assert!(error.contains("12288x12288") && error.contains("16777216"), "{error}");

    let frame = RAMP_JPEG.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for side in [0x3000_u16, 0xffff] {
        let mut jpeg = RAMP_JPEG.to_vec();
        let bytes = side.to_be_bytes();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[bytes[0], bytes[1], bytes[0], bytes[1]]);
        let error = decoded("jpeg", &jpeg).unwrap_err();
        let named = error
            == DecodeError::Size {
                width: side.into(),
                height: side.into(),
            };
        assert!(named || u32::from(side) > MAX_SIDE, "{error}");
    }
}
