//! Tests of the pictures of a recording: raw in any colour encoding, and compressed.

use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::{ImageMode, Picture};
use thinkvla::dataset::mcap::messages::CompressedImage;

use super::{HEIGHT, Import, Message, ROWS, Raw, WIDTH, at, header, image, picture, require_scene, rgb, stamped};

fn with_camera(raw: impl Fn(usize) -> Raw<'static>) -> Vec<Message> {
    let mut all = stamped();
    all.retain(|message| !message.topic.starts_with("/camera"));
    all.extend((0..ROWS).map(|row| image(at(row), &raw(row))));
    all
}

#[test]
fn cameras_are_read_in_their_encodings_with_padded_rows() {
    let red = [255, 0, 0];
    // Red in BT.601, limited range.
    let (y, u, v) = (81, 90, 240);
    for (encoding, pixels, expected) in [
        ("8UC3", vec![0, 0, 255], red),
        ("8UC1", vec![77], [77; 3]),
        ("uyvy", vec![u, y, v, y], [254, 0, 0]),
        ("yuv422", vec![u, y, v, y], [254, 0, 0]),
        ("yuv422_yuy2", vec![y, u, y, v], [254, 0, 0]),
    ] {
        let import = Import::new();
        let row: Vec<u8> = pixels
            .iter()
            .copied()
            .cycle()
            .take(pixels.len().max(1) * WIDTH as usize)
            .collect();
        let bytes = if pixels.len() == 4 {
            WIDTH as usize * 2
        } else {
            row.len()
        };
        let data: Vec<u8> = (0..HEIGHT).flat_map(|_| [&row[..bytes], &[0xee; 5]].concat()).collect();
        let dataset = import
            .of(&with_camera(|_| Raw {
                width: WIDTH,
                encoding,
                step: bytes as u32 + 5,
                data: data.clone(),
            }))
            .unwrap();
        let found = picture(&dataset, 0);
        assert_eq!((found.width(), found.height()), (WIDTH, HEIGHT));
        let near = |pixel: &[u8; 3]| pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(
            found.data().as_chunks::<3>().0.iter().all(near),
            "{encoding}: {:?}",
            &found.data()[..6]
        );
    }
    for (encoding, what) in [("bayer_rggb8", "image_proc"), ("16UC1", "depth"), ("32FC1", "depth")] {
        let error = Import::new().refusal(&with_camera(|_| Raw {
            width: WIDTH,
            encoding,
            step: WIDTH * 4,
            data: vec![0; (WIDTH * HEIGHT * 4) as usize],
        }));
        let words = ["/camera/top/image", encoding, what];
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn pictures_that_change_their_size_are_named_with_both_sizes_and_the_time() {
    let error = Import::new().refusal(&with_camera(|row| {
        let width = if row < 6 { WIDTH } else { WIDTH * 2 };
        Raw {
            width,
            step: width * 3,
            data: vec![9; (width * HEIGHT * 3) as usize],
            ..rgb(row)
        }
    }));
    let words = ["/camera/top/image", "0.60 s", "8x4", "16x4"];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

fn compressed(format: &str, data: impl Fn(usize, Vec<u8>) -> Vec<u8>) -> Vec<Message> {
    let mut all = stamped();
    all.retain(|message| !message.topic.starts_with("/camera"));
    all.extend((0..ROWS).map(|row| {
        let image = RgbImage::from_raw(WIDTH, HEIGHT, rgb(row).data).unwrap();
        let [stamp, log] = at(row);
        let file = Picture::encode(&image, ImageMode::Png).unwrap().bytes;
        let message = CompressedImage {
            header: header(stamp),
            format: format.into(),
            data: data(row, file),
        };
        Message {
            topic: "/camera/top/image",
            kind: "sensor_msgs/msg/CompressedImage",
            log,
            data: message.encode(),
        }
    }));
    all
}

#[test]
fn a_compressed_picture_that_is_damaged_never_becomes_a_row() {
    for format in ["png", "bgr8; png compressed bgr8", ""] {
        require_scene(&Import::new().of(&compressed(format, |_, file| file)).unwrap());
    }
    let cut = |row: usize, mut file: Vec<u8>| {
        if row == 7 {
            file.truncate(file.len() / 2);
        }
        file
    };
    let error = Import::new().refusal(&compressed("png", cut));
    assert!(error.contains("/camera/top/image: at 0.70 s"), "{error}");
    let error = Import::new().refusal(&compressed("16UC1; compressedDepth png", |_, file| file));
    assert!(error.contains("compressedDepth"), "{error}");
}
