//! Tests of recordings that were not exported by this program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::mcap::cdr::CdrWriter;
use thinkvla::dataset::mcap::messages::{JointState, PoseStamped, RecordedHeader, schema};
use thinkvla::dataset::mcap::{ImportOptions, StampClock, import_bags};
use thinkvla::dataset::reader::{At, Dataset};

use super::{START, sample_dataset, source};

/// A recording like those of `ros2 bag record`: joints at 50 Hz, later in another order, and a pose at 10 Hz.
fn foreign(path: &Path, gap: bool) {
    let mut writer = mcap::Writer::new(BufWriter::new(File::create(path).unwrap())).unwrap();
    let mut channel = |[name, definition]: [&str; 2], topic: &str| {
        let schema = writer.add_schema(name, "ros2msg", definition.as_bytes()).unwrap();
        writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).unwrap()
    };
    let (joints, tool) = (
        channel(schema::JOINT_STATE, "/joint_states"),
        channel(schema::POSE_STAMPED, "/tool"),
    );
    let mut write = |channel_id, log_time, data: &[u8]| {
        let header = mcap::records::MessageHeader {
            channel_id,
            sequence: 0,
            log_time,
            publish_time: log_time,
        };
        writer.write_to_known_channel(&header, data).unwrap();
    };
    let header = |stamp| RecordedHeader {
        stamp,
        frame_id: String::new(),
    };
    for i in 0..100_u64 {
        let stamp = START + i * 20_000_000;
        let swap = i >= 50;
        let mut names = vec!["a".to_owned(), "b".to_owned()];
        let mut positions = vec![i as f64, -(i as f64)];
        if swap {
            names.reverse();
            positions.reverse();
        }
        if !(gap && (40..70).contains(&i)) {
            let message = JointState {
                header: header(stamp),
                names,
                positions,
            };
            // Recorded later than stamped.
            write(joints, stamp + 300_000_000, &message.encode());
        }
        if i % 5 == 0 {
            let message = PoseStamped {
                header: header(stamp),
                position: [i as f64, 0.0, 1.0],
                orientation: [0.0, 0.0, 1.0, 0.0],
            };
            write(tool, stamp + 1_000, &message.encode());
        }
    }
    writer.finish().unwrap();
}

fn of_foreign(bag: PathBuf) -> ImportOptions {
    ImportOptions {
        bags: vec![bag],
        vectors: vec![source("observation.state", &["/joint_states", "/tool"])],
        cameras: vec![],
        task: Some("wave".into()),
        task_topic: None,
        max_age_s: 0.15,
        clock: StampClock::Header,
        images: ImageMode::Png,
    }
}

#[test]
fn a_foreign_recording_is_sampled_on_the_stamps_of_its_headers() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, root) = (folder.path().join("foreign.mcap"), folder.path().join("dataset"));
    foreign(&bag, false);
    let report = import_bags(&root, &sample_dataset::contract(), &of_foreign(bag)).unwrap();
    // Poses end after 1.9 s: 20 rows at 10 Hz.
    assert_eq!(report.frames, [20]);
    let dataset = Dataset::open(&root).unwrap();
    assert_eq!(dataset.tasks(), ["wave"]);
    let names = dataset.info().features["observation.state"].value_names();
    assert_eq!(names, ["a", "b", "x", "y", "z", "rx_down", "ry_down", "rz_down"]);
    for frame in 0..20 {
        let state = dataset.values("observation.state", At { episode: 0, frame }).unwrap();
        let i = (frame * 5) as f32;
        assert_eq!(&state[..5], [i, -i, i, 0.0, 1.0], "row {frame}");
        // Half a turn about z relative to the base is half a turn about x relative to pointing down.
        assert!((state[5].abs() - std::f32::consts::PI).abs() < 1e-6, "row {frame}");
    }
}

#[test]
fn a_stream_that_stops_is_named_with_its_time_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, root) = (folder.path().join("foreign.mcap"), folder.path().join("dataset"));
    foreign(&bag, true);
    let error = import_bags(&root, &sample_dataset::contract(), &of_foreign(bag))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/joint_states") && error.contains("at 1.00 s"),
        "{error}"
    );
    assert!(!root.exists());
}

#[test]
fn a_topic_that_is_missing_or_of_another_type_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (bag, root) = (folder.path().join("foreign.mcap"), folder.path().join("dataset"));
    foreign(&bag, false);
    let import = |topic: &str| {
        let mut options = of_foreign(bag.clone());
        options.cameras = vec![source("top", &[topic])];
        import_bags(&root, &sample_dataset::contract(), &options)
            .unwrap_err()
            .to_string()
    };
    assert!(import("/camera").contains("/camera"));
    let mut out = CdrWriter::default();
    out.u32(1);
    assert!(JointState::decode(&out.finish()).is_err());
}

#[test]
fn a_recording_that_was_cut_off_is_read_as_far_as_it_goes_and_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("foreign.mcap");
    foreign(&bag, false);
    let whole = std::fs::read(&bag).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        let (cut, root) = (
            folder.path().join("cut.mcap"),
            folder.path().join(format!("dataset{length}")),
        );
        std::fs::write(&cut, &whole[..length]).unwrap();
        // Any outcome but a panic is accepted.
        drop(import_bags(&root, &sample_dataset::contract(), &of_foreign(cut)));
    }
    std::fs::write(&bag, b"nonsense").unwrap();
    let error = import_bags(
        &folder.path().join("none"),
        &sample_dataset::contract(),
        &of_foreign(bag),
    )
    .unwrap_err();
    assert!(error.to_string().contains("MCAP"), "{error}");
}
