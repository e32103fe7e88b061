//! Benchmark of reading a dataset with two 640×480 cameras in JPEG columns, in order on one core. The target is ten times
//! real time.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::Contract;
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::schema::DatasetSchema;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::{At, Dataset, DatasetWriter};

const EPISODES: usize = 4;
const FRAMES: usize = 150;
const CAMERAS: [&str; 2] = ["observation.images.top", "observation.images.wrist"];

const CONTRACT: &str = "
robot:
  arm: rm75
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
  cameras:
    - {name: top, frame: top_optical_frame, width: 640, height: 480, rate_hz: 30}
    - {name: wrist, frame: wrist_optical_frame, width: 640, height: 480, rate_hz: 30}
data:
  fps: 30
  resize: {width: 224, height: 224, filter: bicubic}
  action_space: ee7
  composition: sequential
  reference: commanded
  statistics: [STATISTICS]
";

/// A synthetic 640×480 image of smooth shapes and some noise.
fn scene(shift: u32) -> RgbImage {
    let mut state = shift + 1;
    let mut byte = |i: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (f64::from(i / 3 % 640 + shift), f64::from(i / 1920));
        let shapes = 120.0 + 60.0 * (x / 37.0).sin() + 50.0 * (y / 23.0 + f64::from(i % 3)).cos();
        (shapes + f64::from(state >> 28)) as u8
    };
    RgbImage::from_raw(640, 480, (0..640 * 480 * 3).map(&mut byte).collect()).unwrap()
}

fn record(root: &Path) {
    let contract = root.with_extension("yaml");
    let one =
        |name| format!("{{name: {name}, normalisation: min_max, min: -1, max: 1, mean: 0, std: 1, q01: -1, q99: 1}}");
    let all = ["x", "y", "z", "rx", "ry", "rz", "gripper"].map(one).join(", ");
    std::fs::write(&contract, CONTRACT.replace("STATISTICS", &all)).unwrap();
    let contract = Contract::read(&contract).unwrap();
    let mode = ImageMode::Jpeg(90);
    let schema = DatasetSchema::of_arm(&contract, mode).unwrap();
    let mut writer = DatasetWriter::create(Arc::new(Disk), root, &schema, &contract).unwrap();
    let scenes: Vec<Picture> = (0..30)
        .map(|shift| Picture::encode(&scene(shift), mode).unwrap())
        .collect();
    for _ in 0..EPISODES {
        writer.begin("lift the can").unwrap();
        for at in 0..FRAMES {
            let vectors = writer.info().vectors();
            let vectors = vectors
                .map(|(name, f)| (name.to_owned(), vec![at as f32; f.len()]))
                .collect();
            let pictures = [at, at + 7].map(|at| scenes[at % scenes.len()].clone()).to_vec();
            writer.push(&Frame { vectors, pictures }).unwrap();
        }
        writer.save(&Default::default()).unwrap();
    }
}

fn reading(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    record(&root);
    let dataset = Dataset::open(&root).unwrap();

    let mut group = c.benchmark_group("dataset");
    group.sample_size(10);
    group.throughput(Throughput::Elements((EPISODES * FRAMES) as u64));
    group.bench_function("in order, two cameras decoded, one core", |b| {
        let mut reader = dataset.pictures(&CAMERAS).unwrap();
        let mut image = RgbImage::default();
        b.iter(|| {
            for episode in 0..EPISODES {
                for frame in (0..FRAMES).step_by(15) {
                    for row in reader.read_many(At { episode, frame }, 15).unwrap() {
                        for picture in row {
                            picture.decode(&mut image).unwrap();
                            black_box(&image);
                        }
                    }
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
