//! Tests of recordings from rosbag2: compressed or not, with joints in alternating messages, without stamps, and with any
//! colour encoding.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use mcap::{Compression, WriteOptions};
use thinkvla::camera::rgb::RgbImage;
use thinkvla::dataset::frame::{ImageMode, Picture};
use thinkvla::dataset::mcap::cdr::CdrWriter;
use thinkvla::dataset::mcap::messages::{CompressedImage, JointState, RecordedHeader};
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

fn mcap_of(messages: &[Message], options: WriteOptions) -> Vec<u8> {
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

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
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

fn metadata(mode: &str, format: &str, files: &[&str]) -> String {
    let files: String = files.iter().map(|file| format!("    - {file}\n")).collect();
    format!(
        "rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: mcap\n  compression_format: {format}\n  \
         compression_mode: {mode}\n  relative_file_paths:\n{files}"
    )
}

#[test]
fn messages_that_rosbag2_compressed_one_by_one_are_read() {
    let import = Import::new();
    let packed: Vec<_> = stamped()
        .into_iter()
        .map(|message| Message {
            data: zstd(&message.data),
            ..message
        })
        .collect();
    let bag = import.put("bag/bag_0.mcap", &plain(&packed));
    import.put(
        "bag/metadata.yaml",
        metadata("MESSAGE", "zstd", &["bag_0.mcap"]).as_bytes(),
    );
    require_scene(&import.run(&bag).unwrap());
    require_scene(&import.run(&import.path("bag")).unwrap());
    let mut damaged = packed;
    damaged[9].data.truncate(12);
    let error = import.refusal(&damaged);
    assert!(error.contains("/joint_states") && error.contains("zstd"), "{error}");
}

#[test]
fn files_that_rosbag2_compressed_as_a_whole_are_read() {
    let import = Import::new();
    let all = stamped();
    let (first, second) = all.split_at(all.len() / 2);
    import.put("bag/bag_0.mcap.zstd", &zstd(&plain(first)));
    import.put("bag/bag_1.mcap.zstd", &zstd(&plain(second)));
    let listed = metadata("FILE", "zstd", &["bag_0.mcap.zstd", "bag_1.mcap.zstd"]);
    import.put("bag/metadata.yaml", listed.as_bytes());
    require_scene(&import.run(&import.path("bag")).unwrap());
    require_scene(&import.run(&import.put("one.mcap.zstd", &zstd(&plain(&all)))).unwrap());
    // `ros2 bag play` unpacks beside the compressed file; an incomplete result must be ignored.
    import.put("bag/bag_1.mcap", &plain(second)[..100]);
    require_scene(&import.run(&import.path("bag")).unwrap());
    // Early versions of rosbag2 list the folder, too.
    let listed = metadata("FILE", "zstd", &["bag/bag_0.mcap.zstd", "bag/bag_1.mcap.zstd"]);
    import.put("bag/metadata.yaml", listed.as_bytes());
    require_scene(&import.run(&import.path("bag")).unwrap());
    // A recorder that was killed while it compressed has written no metadata.
    std::fs::remove_file(import.path("bag/metadata.yaml")).unwrap();
    import.put("bag/bag_1.mcap", &plain(second));
    import.put("bag/bag_1.mcap.zstd", &zstd(&plain(second))[..20]);
    require_scene(&import.run(&import.path("bag")).unwrap());
}

#[test]
fn recordings_that_lack_a_listed_file_are_refused_by_its_name() {
    let import = Import::new();
    let all = stamped();
    for (nth, part) in all.chunks(all.len() / 3).enumerate() {
        import.put(&format!("bag/bag_{nth}.mcap"), &plain(part));
    }
    let names = ["bag_0.mcap", "bag_1.mcap", "bag_2.mcap"];
    let with_folder = names.map(|name| format!("bag/{name}"));
    for listed in [names, with_folder.each_ref().map(String::as_str)] {
        import.put("bag/metadata.yaml", metadata("NONE", "\"\"", &listed).as_bytes());
        require_scene(&import.run(&import.path("bag")).unwrap());
        for missing in ["bag_2.mcap", "bag_1.mcap"] {
            let path = import.path("bag").join(missing);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let error = import.run(&import.path("bag")).unwrap_err().to_string();
            assert!(
                error.contains(&format!("expected {missing}, which its metadata.yaml lists")),
                "{error}"
            );
            assert!(!import.path("dataset").exists());
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn values_that_are_not_finite_are_refused_before_anything_is_written() {
    for (value, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e300, "1e300")] {
        let import = Import::new();
        let mut all = stamped();
        all.retain(|message| message.topic != "/command");
        for row in 0..ROWS {
            let x = if row == 4 { value } else { 0.0 };
            all.push(joints("/command", at(row), &[("x", x)]));
        }
        let error = import.refusal(&all);
        let said = format!("bag.mcap: /command: at 0.40 s: expected a finite number for x, found {shown};");
        assert!(error.contains(&said), "{error}");
        assert!(!import.path("dataset").exists());
    }
}

#[test]
fn what_macos_leaves_beside_recordings_is_passed_over() {
    let import = Import::new();
    import.put("bag/bag_0.mcap", &plain(&stamped()));
    import.put(
        "bag/metadata.yaml",
        metadata("NONE", "\"\"", &["bag_0.mcap"]).as_bytes(),
    );
    let companion = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ";
    for name in ["._bag_0.mcap", "._metadata.yaml", ".DS_Store"] {
        import.put(&format!("bag/{name}"), companion);
    }
    require_scene(&import.run(&import.path("bag")).unwrap());
    // Given directly, it is named for what it is.
    let said = import.run(&import.path("bag/._bag_0.mcap")).unwrap_err().to_string();
    assert!(said.contains("companion file of macOS"), "{said}");
    let said = import.run(&import.put("empty.mcap", b"")).unwrap_err().to_string();
    assert!(said.contains("empty.mcap") && said.contains("an empty file"), "{said}");
}

#[test]
fn a_compressed_file_that_was_cut_off_is_read_as_far_as_it_goes() {
    let import = Import::new();
    let plain = mcap_of(&stamped(), WriteOptions::new().chunk_size(Some(512)).compression(None));
    // In blocks of their own, like those of a longer recording.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for piece in plain.chunks(512) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    let packed = encoder.finish().unwrap();
    require_scene(&import.run(&import.put("bag.mcap.zstd", &packed)).unwrap());
    let mut rows = Vec::new();
    for cut in (0..packed.len()).step_by(packed.len() / 20) {
        // Any outcome but a panic is accepted.
        if let Ok(dataset) = import.run(&import.put("bag.mcap.zstd", &packed[..cut])) {
            rows.push(length(&dataset));
        }
    }
    assert!(rows.is_sorted() && rows[0] < ROWS, "{rows:?}");
}

#[test]
fn every_compression_of_chunks_is_read() {
    for compression in [None, Some(Compression::Lz4), Some(Compression::Zstd)] {
        let import = Import::new();
        let bytes = mcap_of(&stamped(), WriteOptions::new().compression(compression));
        require_scene(&import.run(&import.put("bag.mcap", &bytes)).unwrap());
    }
}

#[test]
fn recordings_of_other_kinds_are_refused_with_the_command_that_converts_them() {
    let ros1 = b"#ROSBAG V2.0\nE\x00\x00\x00".as_slice();
    let sqlite = b"SQLite format 3\0\x10\x00\x01\x01".as_slice();
    let says = |import: &Import, bag: &Path, words: &[&str]| {
        let error = import.run(bag).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let import = Import::new();
    let by_rosbags = ["ROS 1", "rosbags-convert --src", "--dst-storage mcap"];
    let by_ros = ["SQLite", "ros2 bag convert -i", "storage_id: mcap"];
    says(&import, &import.put("a.bag", ros1), &by_rosbags);
    says(&import, &import.put("renamed.mcap", ros1), &by_rosbags);
    says(&import, &import.put("b.db3", sqlite), &by_ros);
    says(&import, &import.put("c.db3.zstd", &zstd(sqlite)), &by_ros);
    import.put("ros1/run.bag", ros1);
    says(&import, &import.path("ros1"), &[&by_rosbags[..], &["run.bag"]].concat());
    import.put("sqlite/run_0.db3", sqlite);
    import.put("sqlite/metadata.yaml", metadata("", "", &["run_0.db3"]).as_bytes());
    says(&import, &import.path("sqlite"), &[&by_ros[..], &["run_0.db3"]].concat());
    // Converted into the same folder: the readable file is read.
    import.put("sqlite/run.mcap", &plain(&stamped()));
    require_scene(&import.run(&import.path("sqlite")).unwrap());
    import.put("other/run_0.mcap", &plain(&stamped()));
    import.put(
        "other/metadata.yaml",
        metadata("MESSAGE", "lz4", &["run_0.mcap"]).as_bytes(),
    );
    says(&import, &import.path("other"), &["zstd", "ros2 bag convert"]);
}

#[test]
fn records_with_texts_longer_than_themselves_are_refused_before_memory_is_reserved() {
    use mcap::records::op;
    let import = Import::new();
    for (opcode, numbers, record, field) in [
        (op::HEADER, 0, "header", "profile"),
        (op::SCHEMA, 2, "schema", "name"),
        (op::CHANNEL, 4, "channel", "topic"),
        (op::MESSAGE_INDEX, 2, "message index", "entries"),
        (op::CHUNK_INDEX, 32, "chunk index", "message index offsets"),
        (op::ATTACHMENT, 16, "attachment", "name"),
        (op::ATTACHMENT_INDEX, 40, "attachment index", "name"),
        (op::STATISTICS, 42, "statistics", "message counts of channels"),
        (op::METADATA, 0, "metadata", "name"),
        (op::METADATA_INDEX, 16, "metadata index", "name"),
    ] {
        let body = [&vec![0u8; numbers][..], &800_000_000u32.to_le_bytes(), b"abc"].concat();
        let length = (body.len() as u64).to_le_bytes();
        let bytes = [mcap::MAGIC, &[opcode], &length, &body].concat();
        let error = import.run(&import.put("bag.mcap", &bytes)).unwrap_err().to_string();
        let said = format!("{record} record: expected 800000000 bytes for its {field}, found 3;");
        assert!(error.contains(&said), "{error}");
    }
}

/// Arm and gripper publish alternately, each its own joints.
fn by_turns(gripper: impl Fn(usize) -> bool) -> Vec<Message> {
    let mut all = stamped();
    all.retain(|message| message.topic != "/joint_states");
    for row in 0..ROWS {
        let arm: Vec<_> = JOINTS[..7]
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, joint(row, at)))
            .collect();
        all.push(joints("/joint_states", at(row), &arm));
        if gripper(row) {
            let later = at(row).map(|time| time + PERIOD / 2);
            all.push(joints("/joint_states", later, &[("gripper", joint(row, 7))]));
        }
    }
    all
}

#[test]
fn joints_that_come_by_turns_have_their_latest_values() {
    let import = Import::new();
    let dataset = import.of(&by_turns(|_| true)).unwrap();
    assert_eq!(dataset.info().features["observation.state"].value_names(), JOINTS);
    // Rows begin when the gripper is first received, half a period after the first joints.
    assert_eq!(length(&dataset), ROWS - 1);
    for row in 0..ROWS - 1 {
        let expected: Vec<f32> = (0..8).map(|at| joint(row, at) as f32).collect();
        assert_eq!(state(&dataset, row), expected, "row {row}");
    }
}

#[test]
fn joints_are_chosen_by_name_in_any_order() {
    let mut import = Import::new();
    import.options.vectors[0] = source("observation.state", "/joint_states", &["joint7", "joint2"]);
    let dataset = import.of(&by_turns(|_| false)).unwrap();
    assert_eq!(
        dataset.info().features["observation.state"].value_names(),
        ["joint7", "joint2"]
    );
    assert_eq!(
        (length(&dataset), state(&dataset, 3)),
        (ROWS, vec![joint(3, 6) as f32, joint(3, 1) as f32])
    );
    import.options.vectors[0] = source("observation.state", "/joint_states", &["elbow"]);
    let error = import.refusal(&stamped());
    assert!(error.contains("elbow") && error.contains("joint7"), "{error}");
}

#[test]
fn a_joint_that_falls_silent_is_named_and_does_not_shorten_the_episode() {
    let mut import = Import::new();
    let error = import.refusal(&by_turns(|row| row < 2));
    assert!(error.contains("/joint_states, gripper: at"), "{error}");
    import.options.vectors[0] = source("observation.state", "/joint_states", &JOINTS[..7]);
    assert_eq!(length(&import.of(&by_turns(|row| row < 2)).unwrap()), ROWS);
}

#[test]
fn a_second_recording_keeps_the_columns_of_the_dataset() {
    let import = Import::new();
    import.of(&stamped()).unwrap();
    let reversed = |names: &[&str]| {
        let mut all = stamped();
        all.retain(|message| message.topic != "/joint_states");
        for row in 0..ROWS {
            let named = names.iter().enumerate().rev().map(|(at, name)| (*name, joint(row, at)));
            all.push(joints("/joint_states", at(row), &named.collect::<Vec<_>>()));
        }
        all
    };
    let dataset = import
        .add(&import.put("second.mcap", &plain(&reversed(&JOINTS))))
        .unwrap();
    assert_eq!(dataset.episodes().len(), 2);
    let at = |episode| {
        dataset
            .values("observation.state", At { episode, frame: 4 })
            .unwrap()
            .to_vec()
    };
    assert_eq!(at(0), at(1));
    let mut others = JOINTS;
    others[3] = "elbow";
    let error = import
        .add(&import.put("third.mcap", &plain(&reversed(&others))))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("observation.state") && error.contains("elbow") && error.contains("joint4"),
        "{error}"
    );
}

#[test]
fn topics_whose_stamps_are_0_are_taken_by_the_times_of_recording() {
    let import = Import::new();
    let unstamped = |is_unstamped: fn(&str) -> bool| {
        scene(move |topic, row| {
            let [stamp, log] = at(row);
            [if is_unstamped(topic) { 0 } else { stamp }, log]
        })
    };
    require_scene(&import.of(&unstamped(|_| true)).unwrap());
    require_scene(&import.of(&unstamped(|topic| topic.contains("camera"))).unwrap());
    let standing = scene(|_, row| [START, at(row)[1]]);
    require_scene(&import.of(&standing).unwrap());
    let nowhere = scene(|_, _| [0, START]);
    let error = import.refusal(&nowhere);
    assert!(error.contains("11 messages of the same time"), "{error}");
}

#[test]
fn topics_of_different_clocks_are_named_and_can_be_taken_by_the_times_of_recording() {
    let mut import = Import::new();
    // Joints in simulation time, and a camera whose driver sets no stamps.
    let mixed = scene(|topic, row| match topic {
        "/camera/top/image" => [0, at(row)[1]],
        _ => [(row as u64 + 1) * PERIOD, at(row)[1]],
    });
    let error = import.refusal(&mixed);
    let words = [
        "/camera/top/image has stamps of 0",
        "/joint_states has stamps",
        "before its times",
        "--clock log",
    ];
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    import.options.clock = StampClock::Log;
    require_scene(&import.of(&mixed).unwrap());
    // All in simulation time, from its beginning.
    import.options.clock = StampClock::Header;
    require_scene(&import.of(&scene(|_, row| [row as u64 * PERIOD, at(row)[1]])).unwrap());
}

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
