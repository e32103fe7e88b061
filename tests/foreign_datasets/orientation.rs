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

/// A TIFF like [`tiff`] with a long, big-endian number.
fn long_tiff(orientation: u8) -> Vec<u8> {
    let entry = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01";
    [&entry[..], &[0, 0, 0, orientation], &[0; 4]].concat()
}

/// XMP data with the orientation as an attribute.
fn xmp(orientation: u8) -> Vec<u8> {
    let packet = format!("<rdf:Description xmlns:tiff=\"…\" tiff:Orientation=\"{orientation}\"/>");
    packet.into_bytes()
}

/// A JPEG with one more marker segment, behind the start-of-image marker.
fn with_segment(jpeg: &[u8], mark: &[u8], content: &[u8]) -> Vec<u8> {
    let length = ((mark.len() + content.len()) as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, mark, content, &jpeg[2..]].concat()
}

/// A PNG with one more chunk, at byte `place`.
fn with_chunk(png: &[u8], place: usize, kind: &[u8], content: &[u8]) -> Vec<u8> {
    let chunk = [kind, content].concat();
    let length = (content.len() as u32).to_be_bytes();
    let check = crc32fast::hash(&chunk).to_be_bytes();
    [&png[..place], &length, &chunk, &check, &png[place..]].concat()
}

/// A JPEG with an orientation.
fn turned_jpeg(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    with_segment(jpeg, b"Exif\0\0", &tiff(orientation))
}

/// A PNG with an orientation: the chunk goes behind the header, which ends at byte 33.
fn turned_png(png: &[u8], orientation: u8) -> Vec<u8> {
    with_chunk(png, 33, b"eXIf", &tiff(orientation))
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

#[test]
fn an_orientation_is_found_wherever_pillow_looks_for_it() {
    let (jpeg, png) = (encoded(ImageMode::Jpeg(95)), encoded(ImageMode::Png));
    // The end of a PNG, behind the pixels, takes 12 bytes.
    let behind = png.len() - 12;
    let xmp_mark = b"http://ns.adobe.com/xap/1.0/\0";
    for (orientation, size, corner) in ORIENTATIONS {
        let text = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], &xmp(orientation)].concat();
        // EXIF data prevail over XMP data.
        let other = with_segment(&jpeg, xmp_mark, &xmp(orientation % 8 + 1));
        for (format, what, bytes) in [
            (
                "jpeg",
                "long",
                with_segment(&jpeg, b"Exif\0\0", &long_tiff(orientation)),
            ),
            ("jpeg", "xmp", with_segment(&jpeg, xmp_mark, &xmp(orientation))),
            ("jpeg", "exif and xmp", turned_jpeg(&other, orientation)),
            ("png", "long", with_chunk(&png, 33, b"eXIf", &long_tiff(orientation))),
            ("png", "behind", with_chunk(&png, behind, b"eXIf", &tiff(orientation))),
            ("png", "xmp", with_chunk(&png, 33, b"iTXt", &text)),
        ] {
            let mut found = RgbImage::default();
            decode(format, &bytes, &mut found).unwrap();
            let what = format!("{format} {what} {orientation}");
            assert_eq!((found.width(), found.height()), size, "{what}");
            require_red(&found, corner, &what);
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
    let message = problems(&root).join("\n");
    assert!(
        message.contains("expected shape [48, 64, 3], found 48x64 px"),
        "{message}"
    );
    assert!(message.contains("EXIF"), "{message}");
    described(&root, 64, 48);
    assert_eq!(problems(&root), Vec::<String>::new());

    for (height, width) in [(48, 64), (64, 48)] {
        described(&root, height, width);
        let out = root.with_file_name(format!("videos {height}"));
        let arguments = ["encode", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
        assert!(command_line::dataset(&arguments).status.success());
        let verified = command_line::dataset(&["verify", out.to_str().unwrap(), "--deep"]);
        let message = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{message}");
        let dataset = Dataset::open(&out).unwrap();
        assert_eq!(dataset.info().features[camera].size(), Some((48, 64)));
        let mut images = Vec::new();
        let mut reader = DecodedImageReader::new(&dataset, &[camera]).unwrap();
        reader.read(At { episode: 1, frame: 3 }, &mut images).unwrap();
        assert_eq!((images[0].width(), images[0].height()), (48, 64));
        require_red(&images[0], (44, 4), "video");
    }
}
