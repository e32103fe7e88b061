//! Tests of recording: a recorded episode is read back unchanged, and no saved episode is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/command_line.rs"]
mod command_line;

use std::path::Path;
use std::sync::Arc;

use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::Contract;
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::repair::Repair;
use thinkvla::dataset::schema::{ACTION, DatasetSchema, STATE};
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::verify::{Depth, verify};
use thinkvla::dataset::{At, Dataset, DatasetWriter, episode_stats, episodes};

const CONTRACT: &str = "
robot:
  arm: rm75
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
  cameras:
    - {name: top, frame: top_optical_frame, width: 64, height: 48, rate_hz: 30}
    - {name: wrist, frame: wrist_optical_frame, width: 64, height: 48, rate_hz: 30}
data:
  fps: 10
  resize: {width: 224, height: 224, filter: bicubic}
  action_space: ee7
  composition: sequential
  reference: commanded
  statistics: [STATISTICS]
";

fn contract() -> Contract {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contract.yaml");
    let one =
        |name| format!("{{name: {name}, normalisation: min_max, min: -1, max: 1, mean: 0, std: 1, q01: -1, q99: 1}}");
    let all = ["x", "y", "z", "rx", "ry", "rz", "gripper"].map(one).join(", ");
    std::fs::write(&path, CONTRACT.replace("STATISTICS", &all)).unwrap();
    Contract::read(&path).unwrap()
}

fn picture(episode: usize, frame: usize, camera: usize) -> RgbImage {
    let pixel = |i: usize| [i * 7 + frame * 3, i / 5 + episode * 50, frame * 11 + camera * 90].map(|v| v as u8);
    RgbImage::from_raw(64, 48, (0..64 * 48).flat_map(pixel).collect()).unwrap()
}

/// Frame `frame` of episode `episode`; every value differs from its neighbours.
fn frame(writer: &DatasetWriter, episode: usize, frame: usize) -> Frame {
    let value = |at: usize| (episode * 1000 + frame) as f32 / 100.0 + at as f32 / 7.0;
    let vectors = writer.info().vectors().zip(0..);
    Frame {
        vectors: vectors
            .map(|((name, f), column)| (name.to_owned(), (0..f.len()).map(|i| value(i + column * 20)).collect()))
            .collect(),
        pictures: (0..2)
            .map(|camera| Picture::encode(&picture(episode, frame, camera), ImageMode::Png).unwrap())
            .collect(),
    }
}

fn record(writer: &mut DatasetWriter, episode: usize, frames: usize) {
    writer.begin(&format!("task {}", episode % 2)).unwrap();
    for at in 0..frames {
        let frame = frame(writer, episode, at);
        writer.push(&frame).unwrap();
    }
}

fn create(root: &Path) -> DatasetWriter {
    let contract = contract();
    let schema = DatasetSchema::of_arm(&contract, ImageMode::Png).unwrap();
    DatasetWriter::create(Arc::new(Disk), root, &schema, &contract).unwrap()
}

#[test]
fn saved_episodes_come_back_as_they_were_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = create(&root);
    let lengths = [7, 40, 3];
    for (episode, frames) in lengths.into_iter().enumerate() {
        record(&mut writer, episode, frames);
        writer.save(&serde_json::Map::new()).unwrap();
    }
    assert!(verify(&root, Depth::Rows).unwrap().problems.is_empty());

    let set = Dataset::open(&root).unwrap();
    assert_eq!(set.frames(), 50);
    assert_eq!(set.tasks(), ["task 0", "task 1"]);
    let names = ["observation.images.top", "observation.images.wrist"];
    let mut pictures = set.pictures(&names).unwrap();
    let mut decoded = RgbImage::default();
    for (episode, frames) in lengths.into_iter().enumerate() {
        for at in 0..frames {
            let expected = frame(&writer, episode, at);
            let place = At { episode, frame: at };
            assert_eq!(set.values(ACTION, place).unwrap(), expected.vectors[ACTION]);
            assert_eq!(set.values(STATE, place).unwrap(), expected.vectors[STATE]);
            assert_eq!(set.task(place).unwrap(), format!("task {}", episode % 2));
            for (camera, found) in pictures.read(place).unwrap().iter().enumerate() {
                found.decode(&mut decoded).unwrap();
                assert_eq!(decoded, picture(episode, at, camera));
            }
        }
    }
    if let Some(keep) = std::env::var_os("THINKVLA_KEEP") {
        std::fs::rename(&root, keep).unwrap();
    }
}

#[test]
fn behind_the_end_of_an_episode_steps_are_zero_and_the_gripper_stays() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = create(&root);
    for episode in 0..2 {
        record(&mut writer, episode, 5);
        writer.save(&serde_json::Map::new()).unwrap();
    }
    let set = Dataset::open(&root).unwrap();
    let chunk = set.chunk(ACTION, At { episode: 0, frame: 3 }, 4).unwrap();
    assert_eq!(chunk.valid, 2);
    let last = frame(&writer, 0, 4).vectors[ACTION].clone();
    assert_eq!(chunk.values[7..14], last);
    for behind in chunk.values[14..].chunks(7) {
        assert_eq!(behind[..6], [0.0; 6]);
        assert_eq!(behind[6], last[6]);
    }
}

#[test]
fn a_dataset_of_an_older_layout_is_to_be_converted_before_it_is_recorded_into() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = create(&root);
    record(&mut writer, 0, 2);
    writer.save(&serde_json::Map::new()).unwrap();
    drop(writer);
    let info = root.join("meta/info.json");
    let described = std::fs::read_to_string(&info).unwrap();
    std::fs::write(&info, described.replace("v3.0", "v2.1")).unwrap();
    // There instructions are in lines of JSON.
    std::fs::remove_file(root.join("meta/tasks.parquet")).unwrap();
    for open in [DatasetWriter::resume, DatasetWriter::repair] {
        let refused = open(Arc::new(Disk), &root).map(drop).unwrap_err().to_string();
        assert!(refused.contains("convert it first"), "{refused}");
    }
}

/// A dataset with a saved episode of 4 rows and an open one of 6.
fn one_saved_and_one_open(root: &Path) -> DatasetWriter {
    let mut writer = create(root);
    record(&mut writer, 0, 4);
    writer.save(&serde_json::Map::new()).unwrap();
    record(&mut writer, 1, 6);
    writer
}

#[test]
fn an_open_episode_survives_the_end_of_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let writer = one_saved_and_one_open(&root);
    let expected = frame(&writer, 1, 5);
    drop(writer);
    // Truncates the frame that was being written at the end.
    let open_episode = root.join(".open/episode");
    let mut torn = std::fs::read(&open_episode).unwrap();
    torn.truncate(torn.len() - 11);
    std::fs::write(&open_episode, torn).unwrap();

    assert_eq!(Dataset::open(&root).unwrap().episodes().len(), 1);
    let (mut writer, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    assert_eq!(resumed.repairs, Vec::<String>::new());
    assert_eq!(resumed.open.unwrap().frames, 5);
    writer.push(&expected).unwrap();
    assert_eq!(writer.save(&serde_json::Map::new()).unwrap().frames, 6);
    let set = Dataset::open(&root).unwrap();
    assert_eq!(
        set.values(ACTION, At { episode: 1, frame: 5 }).unwrap(),
        expected.vectors[ACTION]
    );
}

#[test]
fn a_value_that_was_never_finite_has_no_weight_when_recording_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = create(&root);
    record(&mut writer, 0, 4);
    writer.save(&serde_json::Map::new()).unwrap();
    let info = writer.info().clone();
    drop(writer);
    let saved = episodes::load(&root, &info).unwrap().remove(0);
    let mut statistics = episode_stats::of_episodes(&root, &info).unwrap().remove(&0).unwrap();
    let action = statistics.get_mut(ACTION).unwrap();
    for list in [&mut action.min, &mut action.max, &mut action.mean, &mut action.std] {
        list[0] = f64::NAN;
    }
    episode_stats::save(&Disk, &root, &statistics).unwrap();
    let path = root.join("meta/episodes/chunk-000/file-000.parquet");
    episodes::save(&Disk, &path, &[(saved, statistics)]).unwrap();

    let (mut writer, _) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    record(&mut writer, 1, 3);
    let lowest = frame(&writer, 1, 0).vectors[ACTION][0];
    writer.save(&serde_json::Map::new()).unwrap();
    let all = &episode_stats::load(&root).unwrap()[ACTION];
    assert_eq!(all.min[0], f64::from(lowest));
}

#[test]
fn a_torn_file_costs_the_episodes_from_it_on_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = create(&root);
    for episode in 0..4 {
        record(&mut writer, episode, 5);
        writer.save(&serde_json::Map::new()).unwrap();
    }
    drop(writer);
    let torn = root.join("data/chunk-000/file-002.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    assert!(!verify(&root, Depth::Files).unwrap().problems.is_empty());

    // The recorder cuts off no saved episode; whoever asks for the repair does.
    let refused = DatasetWriter::resume(Arc::new(Disk), &root).err().unwrap().to_string();
    assert!(
        refused.contains("file-002") && refused.contains("run `thinkvla dataset repair`"),
        "{refused}"
    );
    let done = Repair::plan(&root).unwrap().apply(&Disk).unwrap();
    assert!(
        done.iter()
            .any(|step| step.contains("cut back from 4 episodes to the first 2"))
    );
    let (mut writer, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    assert_eq!(resumed.repairs, Vec::<String>::new());
    record(&mut writer, 2, 5);
    assert_eq!(writer.save(&serde_json::Map::new()).unwrap().episode, 2);
    assert!(verify(&root, Depth::Rows).unwrap().problems.is_empty());
    assert_eq!(Dataset::open(&root).unwrap().episodes().len(), 3);
}

#[test]
fn a_second_writer_is_refused_by_name_and_the_first_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    let mut writer = one_saved_and_one_open(&root);

    let own = format!("found process {} (", std::process::id());
    let refused = |message: String| {
        assert!(
            message.contains("to be the only writer") && message.contains(&own),
            "{message}"
        )
    };
    refused(DatasetWriter::resume(Arc::new(Disk), &root).err().unwrap().to_string());
    let contract = contract();
    let schema = DatasetSchema::of_arm(&contract, ImageMode::Png).unwrap();
    let again = DatasetWriter::create(Arc::new(Disk), &root, &schema, &contract);
    refused(again.err().unwrap().to_string());
    let text = root.to_str().unwrap();
    for change in [
        &["repair", text, "--open", "discard"][..],
        &["delete", text, "0"],
        &["relabel", text, "--task", "another"],
        &["stats", text, "--write"],
        &["merge", text, "--out", text],
    ] {
        let done = command_line::dataset(change);
        assert!(!done.status.success(), "{change:?}");
        refused(String::from_utf8(done.stderr).unwrap());
    }

    assert_eq!(Dataset::open(&root).unwrap().episodes().len(), 1, "readers stay free");
    let last = frame(&writer, 1, 6);
    writer.push(&last).unwrap();
    assert_eq!(writer.save(&serde_json::Map::new()).unwrap().frames, 7);
    assert!(verify(&root, Depth::Rows).unwrap().problems.is_empty());
    drop(writer);
    let (writer, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    assert_eq!((resumed.repairs, resumed.open), (Vec::new(), None));
    drop(writer);
    assert!(!root.join(".lock").exists());
}
