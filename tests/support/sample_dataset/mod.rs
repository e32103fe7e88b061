//! The recording that `tests/lerobot/recorded.py` describes, too: its content follows from the numbers of episode and frame
//! alone.

#![allow(dead_code)]

pub mod lerobot;

use std::path::Path;
use std::sync::Arc;

use serde_json::Map;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::{Contract, FILE_NAME};
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::schema::DatasetSchema;
use thinkvla::dataset::storage::{Disk, Storage};
use thinkvla::dataset::writer::{DatasetWriter, Whole};
use thinkvla::dataset::{At, Dataset};

pub const FPS: u32 = 10;
pub const EPISODES: [(&str, usize); 3] = [("lift the can", 12), ("push the box", 7), ("lift the can", 9)];
pub const WIDTH: u32 = 64;
pub const HEIGHT: u32 = 48;
pub const CAMERAS: [&str; 2] = ["observation.images.top", "observation.images.wrist"];
pub const VECTORS: [(&str, usize); 3] = [("observation.state", 17), ("action", 7), ("action.joint", 8)];

const CONTRACT: &str = "
robot:
  arm: rm75
  cameras:
    - {name: top, frame: top_camera_optical_frame, width: 64, height: 48, rate_hz: 30.0}
    - {name: wrist, frame: wrist_camera_optical_frame, width: 64, height: 48, rate_hz: 30.0}
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
data:
  fps: 10.0
  resize: {width: 224, height: 224, filter: bicubic}
  action_space: ee7
  composition: sequential
  reference: commanded
  statistics: [STATISTICS]
";

pub fn contract() -> Contract {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let one =
        |name| format!("{{name: {name}, normalisation: min_max, min: -1, max: 1, mean: 0, std: 1, q01: -1, q99: 1}}");
    let all = ["x", "y", "z", "rx", "ry", "rz", "gripper"].map(one).join(", ");
    std::fs::write(&path, CONTRACT.replace("STATISTICS", &all)).unwrap();
    Contract::read(&path).unwrap()
}

/// Values that 32-bit floats hold exactly.
pub fn vector(name: &str, episode: usize, frame: usize) -> Vec<f32> {
    let at = VECTORS.iter().position(|(known, _)| *known == name).unwrap();
    let scale = 1.0 + at as f32;
    let value = |j: usize| scale * ((episode * 4) as f32 + frame as f32 / 16.0 + j as f32 / 64.0);
    (0..VECTORS[at].1).map(value).collect()
}

/// A smooth image, so that lossy encodings stay close.
pub fn picture(camera: &str, episode: usize, frame: usize) -> RgbImage {
    let camera = CAMERAS.iter().position(|known| *known == camera).unwrap();
    let blue = (10 + 2 * frame + 40 * camera + 60 * episode) as u8;
    let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    let bytes = pixels.flat_map(|(x, y)| [20 + 3 * x as u8, 20 + 4 * y as u8, blue]);
    RgbImage::from_raw(WIDTH, HEIGHT, bytes.collect()).unwrap()
}

/// Requires that every picture of a dataset is exactly that of the recording.
pub fn require_pictures(dataset: &Dataset) {
    let mut found = RgbImage::default();
    let mut reader = dataset.pictures(&CAMERAS).unwrap();
    for (episode, (_, length)) in EPISODES.into_iter().enumerate() {
        for frame in 0..length {
            for (shown, camera) in reader.read(At { episode, frame }).unwrap().iter().zip(CAMERAS) {
                shown.decode(&mut found).unwrap();
                assert_eq!(found, picture(camera, episode, frame), "{camera} of {episode}, {frame}");
            }
        }
    }
}

/// Mean difference of two images' bytes.
pub fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let sum: u64 = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.data().len() as f64
}

pub fn frame(writer: &DatasetWriter, mode: ImageMode, episode: usize, frame: usize) -> Frame {
    let vectors = writer.info().vectors();
    let pictures = writer.info().pictures();
    Frame {
        vectors: vectors
            .map(|(name, _)| (name.to_owned(), vector(name, episode, frame)))
            .collect(),
        pictures: pictures
            .map(|(name, _)| Picture::encode(&picture(name, episode, frame), mode).unwrap())
            .collect(),
    }
}

pub fn create(storage: Arc<dyn Storage>, root: &Path, mode: ImageMode) -> DatasetWriter {
    let contract = contract();
    let schema = DatasetSchema::of_arm(&contract, mode).unwrap();
    DatasetWriter::create(storage, root, &schema, &contract).unwrap()
}

/// Records frames of the open episode, which must have this number.
pub fn push(writer: &mut DatasetWriter, mode: ImageMode, episode: usize, frames: std::ops::Range<usize>) {
    for at in frames {
        let frame = frame(writer, mode, episode, at);
        writer.push(&frame).unwrap();
    }
}

/// Records the whole recording.
pub fn record(root: &Path, mode: ImageMode) {
    let mut writer = create(Arc::new(Disk), root, mode);
    for (episode, (task, length)) in EPISODES.into_iter().enumerate() {
        writer.begin(task).unwrap();
        push(&mut writer, mode, episode, 0..length);
        writer.save(&Map::new()).unwrap();
    }
}

/// A complete episode.
pub fn whole(writer: &DatasetWriter, mode: ImageMode, (episode, task, length): (usize, &str, usize)) -> Whole {
    Whole {
        task: task.into(),
        frames: (0..length).map(|at| frame(writer, mode, episode, at)).collect(),
    }
}

/// Records the same, with the first two episodes saved together.
pub fn record_together(root: &Path, mode: ImageMode) {
    let mut writer = create(Arc::new(Disk), root, mode);
    let episodes = EPISODES.into_iter().enumerate();
    let mut all: Vec<_> = episodes
        .map(|(at, (task, length))| whole(&writer, mode, (at, task, length)))
        .collect();
    let last = all.split_off(2);
    writer.save_whole(all).unwrap();
    writer.save_whole(last).unwrap();
}
