//! Tests against Pillow, OpenCV, torchvision and the Qwen3-VL processor: resizing, network input and YUV.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thinkvla::camera::patches::PatchRule;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Filter, Resize};

use super::{noise, noise_image, view};

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
    serde_json::from_str(include_str!("../data/images.json")).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
