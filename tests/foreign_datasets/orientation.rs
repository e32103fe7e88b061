//! Tests of images rotated by EXIF data: the size of an image is that after the rotation.

use std::path::Path;

use serde_json::json;
use thinkvla::camera::compressed::decode;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::decoded_images::DecodedImageReader;
use thinkvla::dataset::frame::{ImageMode, Picture};
use thinkvla::dataset::{At, Dataset};

use super::foreign::{describe, exchange, read};
use super::{command_line, problems, redrawn, sample_dataset, with_pictures};

/// Width and height, or column and row (px).
type Pixels = (u32, u32);

/// Every orientation, with the displayed size and the place of the top left corner.
const ORIENTATIONS: [(u8, Pixels, Pixels); 8] = [
    (1, (64, 48), (4, 4)),
    (2, (64, 48), (60, 4)),
    (3, (64, 48), (60, 44)),
    (4, (64, 48), (4, 44)),
    (5, (48, 64), (4, 4)),
    (6, (48, 64), (44, 4)),
    (7, (48, 64), (44, 60)),
    (8, (48, 64), (4, 60)),
];

/// A picture of 64x48 pixels, red at the top left and grey elsewhere.
fn with_a_red_corner() -> RgbImage {
    let mut image = RgbImage::new(64, 48);
    image.data_mut().fill(120);
    for y in 0..16 {
        for x in 0..16 {
            let at = (y * 64 + x) * 3;
            image.data_mut()[at..at + 3].copy_from_slice(&[250, 20, 20]);
        }
    }
    image
}

fn encoded(mode: ImageMode) -> Vec<u8> {
    Picture::encode(&with_a_red_corner(), mode).unwrap().bytes
}

/// A TIFF of one entry, the orientation.
fn tiff(orientation: u8) -> Vec<u8> {
    let entry = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
    [&entry[..], &[orientation, 0, 0, 0], &[0; 4]].concat()
}

/// A JPEG with an orientation: the marker segment goes behind the start-of-image marker.
fn turned_jpeg(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [&b"Exif\0\0"[..], &tiff(orientation)].concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

/// A PNG with an orientation: the chunk goes behind the header, which ends at byte 33.
fn turned_png(png: &[u8], orientation: u8) -> Vec<u8> {
    let exif = tiff(orientation);
    let chunk = [&b"eXIf"[..], &exif].concat();
    let length = (exif.len() as u32).to_be_bytes();
    let check = crc32fast::hash(&chunk).to_be_bytes();
    [&png[..33], &length, &chunk, &check, &png[33..]].concat()
}

fn require_red(image: &RgbImage, (x, y): Pixels, what: &str) {
    let [red, green, _] = image.pixel(x, y).unwrap();
    assert!(red > 200 && green < 80, "{what}: {:?}", image.pixel(x, y));
    let (x, y) = (image.width() - 1 - x, image.height() - 1 - y);
    let [red, green, _] = image.pixel(x, y).unwrap();
    assert!(red.abs_diff(green) < 20, "{what}: {:?}", image.pixel(x, y));
}

#[test]
fn pictures_are_turned_as_their_exif_data_says() {
    let (jpeg, png) = (encoded(ImageMode::Jpeg(95)), encoded(ImageMode::Png));
    for (orientation, size, corner) in ORIENTATIONS {
        for (format, bytes) in [
            ("jpeg", turned_jpeg(&jpeg, orientation)),
            ("png", turned_png(&png, orientation)),
        ] {
            let mut found = RgbImage::default();
            decode(format, &bytes, &mut found).unwrap();
            assert_eq!((found.width(), found.height()), size, "{format} {orientation}");
            require_red(&found, corner, &format!("{format} {orientation}"));
        }
    }
}

/// Sets the described size of the first camera's images: height and width (px).
fn described(root: &Path, height: u32, width: u32) {
    describe(root, |info| {
        info["features"][sample_dataset::CAMERAS[0]]["shape"] = json!([height, width, 3])
    });
}

#[test]
fn videos_are_made_of_pictures_as_they_are_seen() {
    let (_folder, root) = with_pictures();
    let camera = sample_dataset::CAMERAS[0];
    let jpeg = encoded(ImageMode::Jpeg(95));
    for file in 0..3 {
        let path = root.join(format!("data/chunk-000/file-00{file}.parquet"));
        let rows = read(&path);
        let turned = redrawn(rows.column_by_name(camera).unwrap(), |_, _| turned_jpeg(&jpeg, 6));
        exchange(&path, &[(camera, Some(turned))]);
    }
    // The size as stored, before the rotation.
    described(&root, 48, 64);
    let said = problems(&root).join("\n");
    assert!(said.contains("expected shape [48, 64, 3], found 48x64 px"), "{said}");
    assert!(said.contains("EXIF"), "{said}");
    described(&root, 64, 48);
    assert_eq!(problems(&root), Vec::<String>::new());

    for (height, width) in [(48, 64), (64, 48)] {
        described(&root, height, width);
        let out = root.with_file_name(format!("videos {height}"));
        let arguments = ["encode", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
        assert!(command_line::dataset(&arguments).status.success());
        let verified = command_line::dataset(&["verify", out.to_str().unwrap(), "--deep"]);
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{said}");
        let dataset = Dataset::open(&out).unwrap();
        assert_eq!(dataset.info().features[camera].size(), Some((48, 64)));
        let mut images = Vec::new();
        let mut reader = DecodedImageReader::new(&dataset, &[camera]).unwrap();
        reader.read(At { episode: 1, frame: 3 }, &mut images).unwrap();
        assert_eq!((images[0].width(), images[0].height()), (48, 64));
        require_red(&images[0], (44, 4), "video");
    }
}
