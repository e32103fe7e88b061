//! Tests of `thinkvla eval --dataset`: errors in millimetres are correct, also for episodes of one row, rows follow from
//! the seed, and data that does not fit the checkpoint is refused.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "network/support.rs"]
#[allow(dead_code)]
mod support;

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Map, Value};
use thinkvla::contract::Contract;
use thinkvla::dataset::frame::{Frame, ImageMode, Picture};
use thinkvla::dataset::storage::Disk;
use thinkvla::eval::open_loop::{ComparedRows, OpenLoop, RowResult, compare};
use thinkvla::eval::viewer::Viewer;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::{Policy, PolicyOptions};

/// A tiny untrained checkpoint for the recorded robot.
fn checkpoint(change: impl FnOnce(&mut Contract)) -> tempfile::TempDir {
    let checkpoint = support::checkpoint(4);
    let mut contract = Contract::load(checkpoint.path()).unwrap();
    contract.robot = sample_dataset::contract().robot;
    change(&mut contract);
    contract.save(checkpoint.path()).unwrap();
    checkpoint
}

/// Makes the policy move 0.1 m along x and close the gripper whatever the network outputs: equal minimum and maximum leave
/// one value.
fn fix_actions(contract: &mut Contract) {
    for (of, value) in contract
        .data
        .statistics
        .iter_mut()
        .zip([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    {
        (of.min, of.max) = (value, value);
        of.normalisation = thinkvla::contract::Normalisation::MinMax;
    }
}

/// Makes the actions depend on the network's output.
fn set_random_statistics(contract: &mut Contract) {
    for of in &mut contract.data.statistics {
        (of.min, of.max) = (-1.0, 1.0);
    }
}

/// A dataset of episodes of one row each, with these distances along x (m).
fn single_rows(root: &Path, ways: &[f32]) {
    let mut writer = sample_dataset::create(Arc::new(Disk), root, ImageMode::Png);
    for (number, way) in ways.iter().enumerate() {
        writer.begin("reach the thing").unwrap();
        let mut frame: Frame = sample_dataset::frame(&writer, ImageMode::Png, number % 3, number);
        let action = vec![*way, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        frame.vectors.insert("action".into(), action);
        // Every row has different images.
        let shift = |picture: &Picture| {
            let mut image = Default::default();
            picture.decode(&mut image).unwrap();
            image.data_mut()[..60].fill(20 * number as u8);
            Picture::encode(&image, ImageMode::Png).unwrap()
        };
        frame.pictures = frame.pictures.iter().map(shift).collect();
        writer.push(&frame).unwrap();
        writer.save(&Map::new()).unwrap();
    }
}

fn compared(
    checkpoint: &Path,
    dataset: &Path,
    rows: Option<u64>,
    seed: u64,
) -> (Result<OpenLoop, String>, Vec<RowResult>) {
    let options = PolicyOptions {
        device: DeviceChoice::Cpu,
        threads: Some(1),
        ..PolicyOptions::default()
    };
    let viewer = Viewer::new(Policy::load(checkpoint, options).unwrap()).unwrap();
    let mut seen = Vec::new();
    let drawn = ComparedRows {
        held_out: None,
        rows,
        seed,
    };
    let report = compare(viewer, dataset, drawn, |row| seen.push(row.clone()));
    (report.map_err(|e| e.to_string()), seen)
}

#[test]
fn the_error_of_one_row_is_how_far_the_tool_would_end_from_the_thing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    single_rows(&data, &[0.100, 0.110, 0.080, 0.130, 0.160]);
    let (report, seen) = compared(checkpoint(fix_actions).path(), &data, None, 0);
    let report = report.unwrap();
    // Errors are 0, 10, 20, 30 and 60 mm; those of the constant of 110 mm are 0, 10, 20, 30 and 50.
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{report}");
    near(report.policy.first.translation_mm.p50, 20.0);
    near(report.policy.first.translation_mm.p95, 60.0);
    near(report.constant.first.translation_mm.p50, 20.0);
    near(report.constant.first.translation_mm.p95, 50.0);
    assert_eq!(
        report.policy.whole, report.policy.first,
        "only the row that was recorded counts"
    );
    let agreement = [&report.policy, &report.constant].map(|of| of.first.gripper_agreement);
    assert_eq!(agreement, [0.0, 1.0]);
    assert_eq!((report.rows, seen.len()), (5, 5));
    assert!(seen.iter().all(|row| row.recorded.len() == 7 && row.own.len() > 7));
}

#[test]
fn rows_follow_from_the_seed_and_each_is_shown_another_s_pictures_besides() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    single_rows(&data, &[0.1; 8]);
    let checkpoint = checkpoint(set_random_statistics);
    let run = |seed| compared(checkpoint.path(), &data, Some(4), seed);
    let (first, seen) = run(1);
    assert_eq!(run(1), (first.clone(), seen.clone()));
    assert_ne!(run(2).1, seen);
    assert!(
        seen.iter().all(|row| row.own != row.shuffled),
        "a picture changes nothing"
    );
    assert_eq!(first.unwrap().setting.rows_of_dataset, 8);
}

#[test]
fn whole_episodes_are_compared_to_their_ends_and_written_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    sample_dataset::record(&data, ImageMode::Png);
    let checkpoint = checkpoint(set_random_statistics);
    let mut command = Command::new(env!("CARGO_BIN_EXE_thinkvla"));
    command
        .args(["eval", "--device", "cpu", "--threads", "1", "--checkpoint"])
        .arg(checkpoint.path());
    let run = command
        .arg("--dataset")
        .arg(&data)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("eval.json")).unwrap()).unwrap();
    let rows: usize = sample_dataset::EPISODES.iter().map(|(_, length)| length).sum();
    assert_eq!(report["rows"], rows);
    let lines = std::fs::read_to_string(out.join("rows.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), rows);
    let steps = |row: &Value| row["recorded"].as_array().unwrap().len() / 7;
    let last = lines
        .iter()
        .find(|row| row["episode"] == 1 && row["frame"] == 6)
        .unwrap();
    assert_eq!((steps(last), lines.iter().map(steps).max()), (1, Some(4)));
    assert!(
        std::fs::read_to_string(out.join("eval.md"))
            .unwrap()
            .contains("whole chunk")
    );
}

#[test]
fn data_recorded_otherwise_than_the_checkpoint_s_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    single_rows(&data, &[0.1; 2]);
    let refused = |change: fn(&mut Contract)| compared(checkpoint(change).path(), &data, None, 0).0.unwrap_err();
    let slower = refused(|contract| contract.data.fps = 5.0);
    assert!(
        slower.contains("data.fps: expected 5, as the checkpoint has it, found 10"),
        "{slower}"
    );
    let other = refused(|contract| contract.robot.cameras[0].name = "side".into());
    assert!(other.contains("side"), "{other}");
}
