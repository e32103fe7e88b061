//! Benchmark of the preprocessing of camera frames; the target is at most 1 ms for a pair of frames on one core.
#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions};
use thinkvla::camera::compressed;
use thinkvla::camera::image_view::{ImageFields, ImageView};
use thinkvla::camera::patches::{PatchRule, patchify};
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::camera::stream_health::content_hash;
use thinkvla::contract::{Filter, Resize};

const RECORDED: Resize = Resize {
    width: 224,
    height: 224,
    filter: Filter::Bicubic,
};

/// A synthetic 640×480 image of smooth shapes and some noise.
fn scene(shift: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = |i: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (f64::from(i / 3 % 640 + shift), f64::from(i / 1920));
        let shapes = 120.0 + 60.0 * (x / 37.0).sin() + 50.0 * (y / 23.0 + f64::from(i % 3)).cos();
        (shapes + f64::from(state >> 28)) as u8
    };
    (0..640 * 480 * 3).map(&mut byte).collect()
}

fn fields(data: &[u8]) -> ImageFields<'_> {
    ImageFields {
        width: 640,
        height: 480,
        encoding: "rgb8",
        step: 1920,
        data,
    }
}

fn bench(c: &mut Criterion) {
    let frames = [scene(0), scene(100)];
    let mut preprocessor = Preprocessor::new(RECORDED, PatchRule::QWEN3_VL).expect("rules work together");
    let mut rgb = RgbImage::default();
    c.bench_function("view + resize + patches, two 640x480 frames", |b| {
        b.iter(|| {
            preprocessor.clear();
            for frame in &frames {
                let view = ImageView::new(fields(black_box(frame))).expect("well formed");
                view.to_rgb(&mut rgb);
                preprocessor.push_rgb(&rgb).expect("resizes");
            }
            black_box(preprocessor.input().pixel_values.len())
        });
    });

    let view = ImageView::new(fields(&frames[0])).expect("well formed");
    let (mut small, mut fed) = (RgbImage::default(), RgbImage::default());
    let mut resizer = Resizer::default();
    c.bench_function("view to rgb 640x480", |b| b.iter(|| view.to_rgb(black_box(&mut rgb))));
    for filter in [Filter::Bicubic, Filter::Bilinear, Filter::Area] {
        c.bench_function(&format!("resize {filter:?} 640x480 to 224x224"), |b| {
            b.iter(|| resizer.resize(black_box(&rgb), Resize { filter, ..RECORDED }, &mut small));
        });
    }
    let source =
        fast_image_resize::images::Image::from_vec_u8(640, 480, frames[0].clone(), PixelType::U8x3).expect("fits");
    let mut target = fast_image_resize::images::Image::new(224, 224, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let mut other = fast_image_resize::Resizer::new();
    c.bench_function("fast_image_resize CatmullRom 640x480 to 224x224 (not exact)", |b| {
        b.iter(|| other.resize(black_box(&source), &mut target, &options));
    });
    resizer.resize(&rgb, RECORDED, &mut small).expect("resizes");
    let differing = small.data().iter().zip(target.buffer()).filter(|(a, b)| a != b).count();
    eprintln!(
        "fast_image_resize differs from Pillow in {differing} of {} bytes",
        small.data().len()
    );

    let mut to_network = Resizer::default();
    c.bench_function("resize for the network 224x224 to 256x256", |b| {
        b.iter(|| to_network.resize_for_network(black_box(&small), 256, 256, &mut fed));
    });
    c.bench_function("patches of 256x256, allocating", |b| {
        b.iter(|| patchify(black_box(&fed), &PatchRule::QWEN3_VL))
    });
    c.bench_function("content hash 640x480", |b| b.iter(|| content_hash(black_box(&view))));

    let jpeg = include_bytes!("../tests/data/scene.jpg");
    c.bench_function("decode jpeg 640x480", |b| {
        b.iter(|| compressed::decode("jpeg", black_box(jpeg), &mut rgb))
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
