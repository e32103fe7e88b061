//! Tests of the contract: an invalid one is refused, and a mismatch names the field.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use thinkvla::contract::{Contract, FILE_NAME};

const CONTRACT: &str = "
robot:
  arm: rm75
  cameras:
    - {name: top, frame: top_camera_optical_frame, width: 640, height: 480, rate_hz: 30.0}
    - {name: wrist, frame: wrist_camera_optical_frame, width: 640, height: 480, rate_hz: 30.0}
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
data:
  fps: 10.0
  resize: {width: 224, height: 224, filter: bicubic}
  action_space: joint8
  composition: sequential
  reference: commanded
  statistics:
";

fn statistics(number: usize, q01: f64) -> String {
    (0..number)
        .map(|i| format!("    - {{name: joint{i}, normalisation: q99, min: -1.0, max: 1.0, mean: 0.0, std: 0.5, q01: {q01}, q99: 0.9}}\n"))
        .collect()
}

fn load(text: &str) -> Result<Contract, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(FILE_NAME), text).unwrap();
    Contract::load(directory.path()).map_err(|e| e.to_string())
}

fn valid() -> Contract {
    load(&format!("{CONTRACT}{}", statistics(8, -0.9))).unwrap()
}

#[test]
fn survives_a_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    valid().save(directory.path()).unwrap();
    assert_eq!(Contract::load(directory.path()).unwrap(), valid());
}

#[test]
fn a_missing_file_says_what_the_directory_must_hold() {
    let error = Contract::load(tempfile::tempdir().unwrap().path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("must hold contract.yaml"), "{error}");
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let error =
        load(&format!("{CONTRACT}{}", statistics(8, -0.9)).replace("gripper_stroke_m", "gripper_stroke")).unwrap_err();
    assert!(error.contains("gripper_stroke") && error.contains("line 9"), "{error}");
}

#[test]
fn statistics_must_cover_every_action_dimension() {
    let error = load(&format!("{CONTRACT}{}", statistics(7, -0.9))).unwrap_err();
    assert!(
        error.contains("expected 8 entries") && error.contains("found 7"),
        "{error}"
    );
}

#[test]
fn statistics_must_be_ordered_and_finite() {
    let error = load(&format!("{CONTRACT}{}", statistics(8, 1.5))).unwrap_err();
    assert!(error.contains("joint0") && error.contains("1.5"), "{error}");
}

#[test]
fn a_different_robot_is_refused_by_field() {
    let recorded = valid().robot;
    let mut live = recorded.clone();
    assert!(recorded.require_same(&live).is_ok());
    live.cameras[1].width = 1280;
    let error = recorded.require_same(&live).unwrap_err().to_string();
    assert!(
        error.contains("robot.cameras[1].width: expected 640, found 1280"),
        "{error}"
    );
    live.cameras.swap(0, 1);
    assert!(
        recorded
            .require_same(&live)
            .unwrap_err()
            .to_string()
            .contains("cameras[0].name")
    );
}

#[test]
fn a_camera_rate_is_refused_beyond_its_tolerance() {
    let recorded = valid().robot;
    let mut live = recorded.clone();
    live.cameras[1].rate_hz = 27.0;
    assert!(recorded.require_rates(&live, 0.2).is_ok());
    live.cameras[1].rate_hz = 15.0;
    let error = recorded.require_rates(&live, 0.2).unwrap_err().to_string();
    assert!(
        error.contains("robot.cameras[1].rate_hz: expected 30 within 20 %, found 15.0"),
        "{error}"
    );
}
