//! Tests of the image pipeline: images become exactly the input of the reference code, and malformed ones an error that
//! names what was expected and found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests may panic

use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thinkvla::camera::compressed::{self, DecodeError, MAX_SIDE};
use thinkvla::camera::image_view::{ImageError, ImageFields, ImageView};
use thinkvla::camera::patches::PatchRule;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::resize::{ResizeError, Resizer};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Filter, Resize};

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

/// Outputs of Pillow, OpenCV, torchvision and the Qwen3-VL processor, written by tests/reference/golden_images.py.
#[derive(Deserialize)]
struct Golden {
    resizes: Vec<GoldenResize>,
    processed: Vec<GoldenProcessed>,
    yuyv: GoldenYuyv,
}

#[derive(Debug, Deserialize)]
struct GoldenResize {
    reference: String,
    kind: String,
    source: [u32; 2],
    target: [u32; 2],
    head: Vec<u8>,
    sha256: String,
}

#[derive(Debug, Deserialize)]
struct GoldenProcessed {
    input: String,
    source: [u32; 2],
    grid: [u32; 3],
    head: Vec<f32>,
    sha256: String,
}

#[derive(Deserialize)]
struct GoldenYuyv {
    width: u32,
    height: u32,
    head: Vec<u8>,
    sha256: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("data/images.json")).unwrap()
}

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

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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

#[test]
fn resizes_agree_with_pillow_opencv_and_torchvision_in_every_byte() {
    let mut resizer = Resizer::default();
    let mut out = RgbImage::default();
    let mut wrong = Vec::new();
    for case in golden().resizes {
        let source = noise_image(&case.kind, case.source);
        let [width, height] = case.target;
        let filter = match case.reference.as_str() {
            "pillow_bicubic" => Some(Filter::Bicubic),
            "pillow_bilinear" => Some(Filter::Bilinear),
            "opencv_area" => Some(Filter::Area),
            _ => None,
        };
        match filter {
            Some(filter) => resizer
                .resize(&source, Resize { width, height, filter }, &mut out)
                .unwrap(),
            None => resizer.resize_for_network(&source, width, height, &mut out).unwrap(),
        }
        assert_eq!([out.width(), out.height()], case.target);
        if sha256(out.data()) != case.sha256 {
            wrong.push(format!("{case:?}: found {:?}", &out.data()[..case.head.len()]));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn network_input_agrees_with_the_qwen3_vl_processor_in_every_bit() {
    for case in golden().processed {
        let [width, height] = case.source;
        let (width_as_trained, height_as_trained) = match case.input.as_str() {
            "as_is" => (width, height),
            _ => (224, 224),
        };
        let recorded = Resize {
            width: width_as_trained,
            height: height_as_trained,
            filter: Filter::Bicubic,
        };
        let mut preprocessor = Preprocessor::new(recorded, PatchRule::QWEN3_VL).unwrap();
        preprocessor.push_rgb(&noise_image("noise", case.source)).unwrap();
        let input = preprocessor.input();
        let grid = input.grids[0];
        assert_eq!([grid.t, grid.h, grid.w], case.grid);
        let bytes: Vec<u8> = input
            .pixel_values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(
            sha256(&bytes),
            case.sha256,
            "{case:?}: found {:?}",
            &input.pixel_values[..8]
        );
        assert_eq!(input.pixel_values[..8], case.head);
    }
}

#[test]
fn views_are_appended_in_the_order_pushed_and_buffers_are_reused() {
    let recorded = Resize {
        width: 224,
        height: 224,
        filter: Filter::Bicubic,
    };
    let mut preprocessor = Preprocessor::new(recorded, PatchRule::QWEN3_VL).unwrap();
    let (top, wrist) = (noise_image("noise", [640, 480]), noise_image("steps", [320, 240]));
    preprocessor.push_rgb(&top).unwrap();
    let only_top = preprocessor.input().clone();
    preprocessor.push_rgb(&wrist).unwrap();
    let both = preprocessor.input().clone();
    assert_eq!(both.grids.len(), 2);
    assert_eq!(both.pixel_values.len(), 2 * 256 * 1536);
    assert_eq!(both.pixel_values[..256 * 1536], only_top.pixel_values);
    preprocessor.clear();
    let padded: Vec<u8> = top.rows().flat_map(|row| [row, &[7; 5]].concat()).collect();
    let mut unpadded = RgbImage::default();
    view("rgb8", 640, 480, 640 * 3 + 5, &padded)
        .unwrap()
        .to_rgb(&mut unpadded);
    preprocessor.push_rgb(&unpadded).unwrap();
    assert_eq!(*preprocessor.input(), only_top, "a padded view is the same image");
}

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
fn yuv_agrees_with_opencv_in_every_byte() {
    let GoldenYuyv {
        width,
        height,
        head,
        sha256: hash,
    } = golden().yuyv;
    let yuyv = noise((width * height * 2) as usize);
    // The same image with the two bytes of each pair swapped.
    let uyvy: Vec<u8> = yuyv.as_chunks::<2>().0.iter().flat_map(|[y, c]| [*c, *y]).collect();
    let padded = |data: &[u8]| -> Vec<u8> {
        let rows = data.chunks(width as usize * 2);
        rows.flat_map(|row| [row, &[0xee; 6]].concat()).collect()
    };
    let mut out = RgbImage::default();
    for (encoding, data) in [
        ("yuv422_yuy2", &yuyv),
        ("yuyv", &yuyv),
        ("yuv422", &uyvy),
        ("uyvy", &uyvy),
    ] {
        for (step, data) in [(width * 2, data.clone()), (width * 2 + 6, padded(data))] {
            view(encoding, width, height, step, &data).unwrap().to_rgb(&mut out);
            assert_eq!(out.data()[..head.len()], head, "{encoding}, {step} bytes a row");
            assert_eq!(sha256(out.data()), hash, "{encoding}, {step} bytes a row");
        }
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

#[test]
fn an_enlarging_area_resize_and_empty_images_are_refused() {
    let mut resizer = Resizer::default();
    let rule = |width, height, filter| Resize { width, height, filter };
    let mut out = RgbImage::default();
    let source = RgbImage::new(100, 100);
    let enlarges = resizer.resize(&source, rule(50, 101, Filter::Area), &mut out);
    assert!(matches!(enlarges, Err(ResizeError::Enlarges { height: 101, .. })));
    for (width, height) in [(0, 5), (5, 0), (u32::MAX, 5)] {
        let refused = resizer.resize(&source, rule(width, height, Filter::Bicubic), &mut out);
        assert_eq!(refused, Err(ResizeError::Size { width, height }));
    }
    assert!(
        resizer
            .resize(&RgbImage::default(), rule(5, 5, Filter::Bilinear), &mut out)
            .is_err()
    );
}

const RAMP_JPEG: &[u8] = include_bytes!("data/ramp.jpg");
const RAMP_PROGRESSIVE: &[u8] = include_bytes!("data/ramp_progressive.jpg");
const RAMP_GREY_JPEG: &[u8] = include_bytes!("data/ramp_grey.jpg");
const RAMP_PNG: &[u8] = include_bytes!("data/ramp.png");
const RAMP_RGBA_PNG: &[u8] = include_bytes!("data/ramp_rgba.png");
const RAMP_GREY_PNG: &[u8] = include_bytes!("data/ramp_grey.png");
const DEPTH_PNG: &[u8] = include_bytes!("data/depth16.png");

fn decoded(format: &str, data: &[u8]) -> Result<RgbImage, DecodeError> {
    let mut out = RgbImage::default();
    compressed::decode(format, data, &mut out).map(|()| out)
}

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
    assert!(matches!(decoded("png", DEPTH_PNG), Err(DecodeError::Depth { .. })));
    assert!(matches!(decoded("jpeg", RAMP_PNG), Err(DecodeError::NotWhole { .. })));
    assert!(matches!(decoded("png", RAMP_JPEG), Err(DecodeError::NotWhole { .. })));
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

fn hostile_u32() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..64_u32,
        1 => any::<u32>(),
        1 => prop::sample::select(vec![0, 1, 255, 65_535, 65_536, u32::MAX / 3, u32::MAX / 2, u32::MAX - 1, u32::MAX]),
    ]
}

fn hostile_encoding() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(ENCODINGS.to_vec()).prop_map(String::from),
        1 => ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn hostile_image_fields_never_panic(
        width in hostile_u32(),
        height in hostile_u32(),
        encoding in hostile_encoding(),
        step in hostile_u32(),
        data in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        match view(&encoding, width, height, step, &data) {
            Ok(image) => {
                let mut out = RgbImage::default();
                image.to_rgb(&mut out);
                prop_assert_eq!(out.data().len(), width as usize * height as usize * 3);
                prop_assert!(u64::from(step) * u64::from(height - 1) <= data.len() as u64);
                prop_assert_eq!(image.rows().count(), height as usize);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn damaged_compressed_data_never_panics(
        which in 0..4_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (format, original) =
            [("jpeg", RAMP_JPEG), ("jpeg", RAMP_PROGRESSIVE), ("png", RAMP_PNG), ("png", RAMP_GREY_PNG)][which];
        let mut data = original.to_vec();
        for (place, byte) in damage {
            let place = place.index(data.len());
            data[place] = byte;
        }
        if cut {
            data.truncate(keep.index(data.len()));
        }
        if let Ok(image) = decoded(format, &data) {
            prop_assert_eq!(image.data().len(), image.width() as usize * image.height() as usize * 3);
        }
    }
}

proptest! {
    #[test]
    fn resizing_a_flat_image_keeps_its_colour(
        (width, height) in (1..80_u32, 1..80_u32),
        (to_width, to_height) in (1..80_u32, 1..80_u32),
        colour in any::<[u8; 3]>(),
        area in any::<bool>(),
    ) {
        let mut source = RgbImage::new(width, height);
        source.data_mut().as_chunks_mut::<3>().0.fill(colour);
        let mut out = RgbImage::default();
        let rule = if area {
            Resize { width: to_width.min(width), height: to_height.min(height), filter: Filter::Area }
        } else {
            Resize { width: to_width, height: to_height, filter: Filter::Bicubic }
        };
        Resizer::default().resize(&source, rule, &mut out).unwrap();
        prop_assert!(out.data().as_chunks::<3>().0.iter().all(|pixel| *pixel == colour));
    }
}
