//! Tests of exported episodes, which are imported again as they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nalgebra::{Quaternion, UnitQuaternion};
use serde_json::Map;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::control::tool_rotation::{turn_from_down, turned_from_down};
use thinkvla::dataset::DatasetWriter;
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::mcap::messages::{JointState, PoseStamped};
use thinkvla::dataset::mcap::{ExportOptions, ImportOptions, StampClock, export_episodes, import_bags};
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::schema::{CameraSchema, DatasetSchema, VectorSchema};
use thinkvla::dataset::storage::Disk;

use super::sample_dataset::{EPISODES, VECTORS};
use super::{START, command_line, sample_dataset, source};

/// Options that import what `export` has written.
fn as_exported(bags: Vec<PathBuf>) -> ImportOptions {
    ImportOptions {
        bags,
        vectors: vec![
            source("action", &["/action"]),
            source("action.joint", &["/action/joint"]),
        ],
        cameras: vec![
            source("top", &["/camera/top/image/compressed"]),
            source("wrist", &["/camera/wrist/image/compressed"]),
        ],
        task: None,
        task_topic: Some("/instruction".into()),
        max_age_s: 0.15,
        clock: StampClock::Header,
        images: ImageMode::Png,
    }
}

fn export(root: &Path, out: &Path) -> Vec<PathBuf> {
    sample_dataset::record(root, ImageMode::Png);
    let options = ExportOptions {
        episodes: 0..EPISODES.len(),
        start_ns: START,
    };
    export_episodes(&Dataset::open(root).unwrap(), out, &options).unwrap()
}

/// Topic, type, time and content of each message.
fn messages(path: &Path) -> Vec<(String, String, u64, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let stream = mcap::MessageStream::new(&bytes).unwrap();
    stream
        .map(|message| {
            let message = message.unwrap();
            let kind = message.channel.schema.as_ref().unwrap().name.clone();
            (
                message.channel.topic.clone(),
                kind,
                message.log_time,
                message.data.to_vec(),
            )
        })
        .collect()
}

/// Takes the last episode from the count, as if the recorder had been killed while it saved it.
fn interrupt(root: &Path, episodes: usize, frames: usize) {
    let path = root.join("meta/info.json");
    let mut info: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    info["total_episodes"] = episodes.into();
    info["total_frames"] = frames.into();
    std::fs::write(&path, info.to_string()).unwrap();
}

#[test]
fn an_interrupted_save_is_repaired_by_an_import_that_fits_and_the_repair_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (root, again) = (folder.path().join("dataset"), folder.path().join("again"));
    let bags = export(&root, &folder.path().join("bags"));
    interrupt(&root, 2, EPISODES[0].1 + EPISODES[1].1);
    // It has a column more than what is imported.
    let refused = import_bags(&root, &sample_dataset::contract(), &as_exported(bags.clone())).unwrap_err();
    assert!(refused.to_string().contains("its columns are others"), "{refused}");
    assert!(root.join("data/chunk-000/file-002.parquet").exists());
    assert!(!root.join(".cut").exists());

    import_bags(&again, &sample_dataset::contract(), &as_exported(bags[..2].to_vec())).unwrap();
    interrupt(&again, 1, EPISODES[0].1);
    let report = import_bags(&again, &sample_dataset::contract(), &as_exported(bags[2..].to_vec())).unwrap();
    let moved = again.join(".cut/1/data/chunk-000/file-001.parquet");
    assert!(moved.exists());
    let repairs = report.repairs.join("\n");
    assert!(repairs.contains(moved.to_str().unwrap()), "{repairs}");
    assert_eq!(report.first_episode, 1);
    assert_eq!(Dataset::open(&again).unwrap().frames(), EPISODES[0].1 + EPISODES[2].1);
}

#[test]
fn an_exported_episode_that_is_imported_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (root, again) = (folder.path().join("dataset"), folder.path().join("again"));
    let bags = export(&root, &folder.path().join("bags"));
    let report = import_bags(&again, &sample_dataset::contract(), &as_exported(bags)).unwrap();
    assert_eq!(report.frames, EPISODES.map(|(_, length)| length));
    let (before, after) = (Dataset::open(&root).unwrap(), Dataset::open(&again).unwrap());
    assert_eq!(before.tasks(), after.tasks());
    for (name, _) in VECTORS.into_iter().filter(|(name, _)| name.starts_with("action")) {
        assert_eq!(before.info().features[name], after.info().features[name]);
        assert_eq!(before.vector(name).unwrap(), after.vector(name).unwrap(), "{name}");
    }
    sample_dataset::require_pictures(&after);
}

#[test]
fn an_import_says_once_that_a_recording_was_cut_off_and_that_its_episode_is_shortened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dataset");
    let bags = export(&root, &folder.path().join("bags"));
    let bytes = std::fs::read(&bags[0]).unwrap();
    // Without the end of the file; all messages are there.
    std::fs::write(&bags[0], &bytes[..bytes.len() - 9]).unwrap();
    let into = folder.path().join("again");
    let [cut, whole, root, into] = [&bags[0], &bags[1], &root, &into].map(|path| path.to_str().unwrap());
    let names = ["--vector", "action", "--camera", "top", "--task", "lift"];
    let output =
        command_line::dataset(&[&["import", cut, whole, "--into", into, "--contract", root][..], &names].concat());
    let [found, log] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(log.matches("cut off; read as far as it goes").count(), 1, "{log}");
    let lines: Vec<_> = found.lines().collect();
    assert!(lines[0].ends_with("shortened: the recording was cut off"), "{found}");
    assert!(lines[1].ends_with("episode-000001.mcap"), "{found}");
}

#[test]
fn an_exported_episode_says_itself_where_its_columns_are() {
    let folder = tempfile::tempdir().unwrap();
    let (root, again) = (folder.path().join("dataset"), folder.path().join("again"));
    let bags = export(&root, &folder.path().join("bags"));
    let options = ImportOptions {
        vectors: VECTORS.map(|(name, _)| source(name, &[])).into(),
        cameras: ["top", "wrist"].map(|name| source(name, &[])).into(),
        ..as_exported(bags)
    };
    import_bags(&again, &sample_dataset::contract(), &options).unwrap();
    let (before, after) = (Dataset::open(&root).unwrap(), Dataset::open(&again).unwrap());
    assert_eq!(before.info().features, after.info().features);
    let state = |dataset: &Dataset, frame| {
        dataset
            .values("observation.state", At { episode: 0, frame })
            .unwrap()
            .to_vec()
    };
    // Joints, position, gripper and tracking error. Rotations are left out: an arbitrary vector returns as a shorter one.
    for frame in 0..EPISODES[0].1 {
        let (before, after) = (state(&before, frame), state(&after, frame));
        assert_eq!(
            (&before[..10], &before[13..]),
            (&after[..10], &after[13..]),
            "row {frame}"
        );
    }
    let mut options = options;
    options.cameras.push(source("left", &[]));
    let error = import_bags(&folder.path().join("none"), &sample_dataset::contract(), &options).unwrap_err();
    assert!(error.to_string().contains("left=TOPIC"), "{error}");
}

/// Checks a topic name by the rules of ROS 2 (`rmw_validate_full_topic_name`), and for repeated underscores.
fn is_topic(name: &str) -> bool {
    let is_token = |token: &str| {
        token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && token
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && !token.contains("__")
    };
    name.len() <= 247
        && name
            .strip_prefix('/')
            .is_some_and(|tokens| tokens.split('/').all(is_token))
}

#[test]
fn columns_of_any_name_get_topics_that_ros_accepts_and_are_found_again() {
    let cameras = ["0", "cam-left", "cam_left", "cam left", "über.oben"];
    let vectors = ["action", "observation.2nd-arm", "observation.state", "instruction"];
    let folder = tempfile::tempdir().unwrap();
    let (root, out, again) = (
        folder.path().join("a"),
        folder.path().join("bags"),
        folder.path().join("b"),
    );
    let contract = sample_dataset::contract();
    let of_arm = DatasetSchema::of_arm(&contract, ImageMode::Png).unwrap();
    let schema = DatasetSchema {
        vectors: vectors
            .map(|name| VectorSchema {
                name: name.into(),
                values: vec![format!("{name} 0"), format!("{name} 1")],
                groups: vec![],
            })
            .into(),
        cameras: cameras
            .map(|name| CameraSchema {
                name: name.into(),
                width: 8,
                height: 4,
            })
            .into(),
        ..of_arm
    };
    let mut writer = DatasetWriter::create(Arc::new(Disk), &root, &schema, &contract).unwrap();
    writer.begin("wave").unwrap();
    for row in 0..3 {
        let numbers = writer
            .info()
            .vectors()
            .enumerate()
            .map(|(at, (name, _))| (name.to_owned(), vec![row as f32, at as f32]));
        let pictures = writer.info().pictures().enumerate().map(|(at, _)| {
            let colour = [row as u8, at as u8, 7];
            let image = RgbImage::from_raw(8, 4, colour.repeat(32)).unwrap();
            Picture::encode(&image, ImageMode::Png).unwrap()
        });
        let (vectors, pictures) = (numbers.collect(), pictures.collect());
        writer.push(&Frame { vectors, pictures }).unwrap();
    }
    writer.save(&Map::new()).unwrap();
    drop(writer);
    let before = Dataset::open(&root).unwrap();
    let all = ExportOptions {
        episodes: 0..1,
        start_ns: 0,
    };
    let bags = export_episodes(&before, &out, &all).unwrap();
    let mut topics: Vec<_> = messages(&bags[0])
        .into_iter()
        .map(|(topic, kind, ..)| (topic, kind))
        .collect();
    topics.sort();
    topics.dedup();
    assert!(topics.iter().all(|(topic, _)| is_topic(topic)), "{topics:?}");
    assert_eq!(topics.len(), 1 + vectors.len() + cameras.len(), "{topics:?}");
    let named = |topic: &str| topics.iter().any(|(found, _)| found == topic);
    assert!(
        named("/camera/cam_left/image/compressed") && named("/instruction"),
        "{topics:?}"
    );

    let options = ImportOptions {
        vectors: vectors.map(|name| source(name, &[])).into(),
        cameras: cameras.map(|name| source(name, &[])).into(),
        ..as_exported(bags)
    };
    assert_eq!(import_bags(&again, &contract, &options).unwrap().frames, [3]);
    let after = Dataset::open(&again).unwrap();
    assert_eq!(before.info().features, after.info().features);
    for name in vectors {
        assert_eq!(before.vector(name).unwrap(), after.vector(name).unwrap(), "{name}");
    }
    let names: Vec<String> = before.info().pictures().map(|(name, _)| name.to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for frame in 0..3 {
        let read = |dataset: &Dataset| {
            dataset
                .pictures(&names)
                .unwrap()
                .read(At { episode: 0, frame })
                .unwrap()
        };
        assert_eq!(read(&before), read(&after), "row {frame}");
    }
}

#[test]
fn the_state_is_told_as_joints_and_as_the_pose_of_the_tool() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dataset");
    let bags = export(&root, &folder.path().join("bags"));
    let dataset = Dataset::open(&root).unwrap();
    let all = messages(&bags[1]);
    let joints: Vec<_> = all.iter().filter(|(topic, ..)| topic == "/joint_states").collect();
    let poses: Vec<_> = all.iter().filter(|(topic, ..)| topic == "/tool_pose").collect();
    assert_eq!((joints.len(), poses.len()), (EPISODES[1].1, EPISODES[1].1));
    for (frame, ((_, _, time, joint), (_, _, _, pose))) in joints.into_iter().zip(poses).enumerate() {
        let state = dataset.values("observation.state", At { episode: 1, frame }).unwrap();
        let joint = JointState::decode(joint).unwrap();
        assert_eq!(joint.names.len(), 8);
        assert_eq!(
            (joint.names[6].as_str(), joint.names[7].as_str()),
            ("joint7", "gripper")
        );
        assert!(
            joint
                .positions
                .iter()
                .zip([0, 1, 2, 3, 4, 5, 6, 13])
                .all(|(p, i)| *p == f64::from(state[i]))
        );
        let pose = PoseStamped::decode(pose).unwrap();
        assert_eq!(pose.position, [7, 8, 9].map(|i| f64::from(state[i])));
        let [i, j, k, w] = pose.orientation;
        let rotation = turn_from_down(&UnitQuaternion::from_quaternion(Quaternion::new(w, i, j, k)));
        let recorded = [10, 11, 12].map(|i| f64::from(state[i]));
        // The state of these recordings is arbitrary: a rotation vector longer than half a turn returns as a shorter one.
        let same = turned_from_down(rotation).angle_to(&turned_from_down(recorded.into()));
        assert!(same < 1e-6, "row {frame}: {rotation} for {recorded:?}");
        assert_eq!((*time, joint.header.stamp), (START + frame as u64 * 100_000_000, *time));
    }
}
