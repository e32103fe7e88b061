//! Tests of recordings from rosbag2: compressed or not, with joints in alternating messages, without stamps, and with any
//! colour encoding.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod files;
mod pictures;
#[path = "../support/sample_dataset/mod.rs"]
mod sample_dataset;
mod stamps;
mod values;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use mcap::WriteOptions;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::mcap::cdr::CdrWriter;
use thinkvla::dataset::mcap::messages::{JointState, RecordedHeader};
use thinkvla::dataset::mcap::{BagError, ColumnSource, ImportOptions, SourceTopic, StampClock, import_bags};
use thinkvla::dataset::reader::{At, Dataset};

const START: u64 = 1_700_000_000_000_000_000;
/// Period of the messages of a topic (ns).
const PERIOD: u64 = 100_000_000;
const ROWS: usize = 11;
const WIDTH: u32 = 8;
const HEIGHT: u32 = 4;
const JOINTS: [&str; 8] = [
    "joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "joint7", "gripper",
];

#[derive(Clone)]
struct Message {
    topic: &'static str,
    kind: &'static str,
    log: u64,
    data: Vec<u8>,
}

fn header(stamp: u64) -> RecordedHeader {
    RecordedHeader {
        stamp,
        frame_id: "here".into(),
    }
}

fn joints(topic: &'static str, [stamp, log]: [u64; 2], named: &[(&str, f64)]) -> Message {
    let message = JointState {
        header: header(stamp),
        names: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
        positions: named.iter().map(|(_, value)| *value).collect(),
    };
    Message {
        topic,
        kind: "sensor_msgs/msg/JointState",
        log,
        data: message.encode(),
    }
}

struct Raw<'a> {
    width: u32,
    encoding: &'a str,
    step: u32,
    data: Vec<u8>,
}

fn image([stamp, log]: [u64; 2], raw: &Raw<'_>) -> Message {
    let mut out = CdrWriter::default();
    out.time(stamp);
    out.text("camera");
    out.u32(HEIGHT);
    out.u32(raw.width);
    out.text(raw.encoding);
    out.u8(0);
    out.u32(raw.step);
    out.bytes(&raw.data);
    Message {
        topic: "/camera/top/image",
        kind: "sensor_msgs/msg/Image",
        log,
        data: out.finish(),
    }
}

fn rgb(row: usize) -> Raw<'static> {
    Raw {
        width: WIDTH,
        encoding: "rgb8",
        step: WIDTH * 3,
        data: [row as u8, 100, 200].repeat((WIDTH * HEIGHT) as usize),
    }
}

fn joint(row: usize, joint: usize) -> f64 {
    row as f64 + joint as f64 / 16.0
}

/// Stamp and recording time of a row's messages, which are equal.
fn at(row: usize) -> [u64; 2] {
    [START + row as u64 * PERIOD; 2]
}

/// A second of joints, commands and images; `times` gives stamp and recording time of a topic's message.
fn scene(times: impl Fn(&str, usize) -> [u64; 2]) -> Vec<Message> {
    let mut all = Vec::new();
    for row in 0..ROWS {
        let named: Vec<_> = JOINTS
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, joint(row, at)))
            .collect();
        all.push(joints("/joint_states", times("/joint_states", row), &named));
        all.push(joints("/command", times("/command", row), &[("x", row as f64)]));
        all.push(image(times("/camera/top/image", row), &rgb(row)));
    }
    all
}

fn stamped() -> Vec<Message> {
    scene(|_, row| at(row))
}

fn mcap_of<'a>(messages: impl IntoIterator<Item = &'a Message>, options: WriteOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = options.profile("ros2").create(Cursor::new(&mut bytes)).unwrap();
    let mut channels = BTreeMap::new();
    for message in messages {
        let channel_id = *channels.entry(message.topic).or_insert_with(|| {
            let schema = writer.add_schema(message.kind, "ros2msg", b"").unwrap();
            writer
                .add_channel(schema, message.topic, "cdr", &BTreeMap::new())
                .unwrap()
        });
        let header = mcap::records::MessageHeader {
            channel_id,
            sequence: 0,
            log_time: message.log,
            publish_time: message.log,
        };
        writer.write_to_known_channel(&header, &message.data).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn plain(messages: &[Message]) -> Vec<u8> {
    mcap_of(messages, WriteOptions::new())
}

fn source(name: &str, topic: &str, values: &[&str]) -> ColumnSource {
    ColumnSource {
        name: name.into(),
        topics: vec![SourceTopic {
            name: topic.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }],
    }
}

struct Import {
    folder: tempfile::TempDir,
    options: ImportOptions,
}

impl Import {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            options: ImportOptions {
                bags: vec![],
                vectors: vec![
                    source("observation.state", "/joint_states", &[]),
                    source("action", "/command", &[]),
                ],
                cameras: vec![source("top", "/camera/top/image", &[])],
                task: Some("x".into()),
                task_topic: None,
                max_age_s: 0.2,
                clock: StampClock::Header,
                images: ImageMode::Png,
            },
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn run(&self, bag: &Path) -> Result<Dataset, BagError> {
        let root = self.path("dataset");
        drop(std::fs::remove_dir_all(&root));
        self.add(bag)
    }

    /// Imports into a dataset that may exist already.
    fn add(&self, bag: &Path) -> Result<Dataset, BagError> {
        let mut options = self.options.clone();
        options.bags = vec![bag.to_owned()];
        let root = self.path("dataset");
        import_bags(&root, &sample_dataset::contract(), &options)?;
        Ok(Dataset::open(&root).unwrap())
    }

    fn of(&self, messages: &[Message]) -> Result<Dataset, BagError> {
        self.run(&self.put("bag.mcap", &plain(messages)))
    }

    fn refusal(&self, messages: &[Message]) -> String {
        self.of(messages).unwrap_err().to_string()
    }
}

fn length(dataset: &Dataset) -> usize {
    dataset.episodes().iter().map(|episode| episode.length).sum()
}

fn picture(dataset: &Dataset, frame: usize) -> RgbImage {
    let mut reader = dataset.pictures(&["observation.images.top"]).unwrap();
    let read = reader.read(At { episode: 0, frame }).unwrap();
    let mut rgb = RgbImage::default();
    read[0].decode(&mut rgb).unwrap();
    rgb
}

fn state(dataset: &Dataset, frame: usize) -> Vec<f32> {
    dataset
        .values("observation.state", At { episode: 0, frame })
        .unwrap()
        .to_vec()
}

/// Asserts that the dataset contains all rows of [`scene`].
fn require_scene(dataset: &Dataset) {
    assert_eq!(length(dataset), ROWS);
    assert_eq!(dataset.info().features["observation.state"].value_names(), JOINTS);
    for row in 0..ROWS {
        let expected: Vec<f32> = (0..JOINTS.len()).map(|at| joint(row, at) as f32).collect();
        assert_eq!(state(dataset, row), expected, "row {row}");
        assert_eq!(picture(dataset, row).data(), rgb(row).data, "row {row}");
    }
}
