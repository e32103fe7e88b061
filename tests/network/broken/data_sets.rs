//! Tests of `check` with a data set: it names where the data is not what the checkpoint expects.

use std::path::Path;

use serde_json::json;
use thinkvla::contract::Contract;

use super::{check_with, contract, named};
use crate::formats::change;
use crate::support::checkpoint;

/// A dataset that fits the tiny checkpoint.
fn dataset(of: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut contract = Contract::load(of).unwrap();
    contract.model = None;
    contract.save(directory.path()).unwrap();
    std::fs::create_dir(directory.path().join("meta")).unwrap();
    let column = |value: fn(&thinkvla::contract::DimensionStatistics) -> f64| {
        contract.data.statistics.iter().map(value).collect::<Vec<_>>()
    };
    let stats = json!({"action": {
        "min": column(|of| of.min), "q01": column(|of| of.q01), "q50": column(|of| of.mean),
        "q99": column(|of| of.q99), "max": column(|of| of.max), "mean": column(|of| of.mean), "std": column(|of| of.std),
        "count": [1000],
    }});
    std::fs::write(directory.path().join("meta/stats.json"), stats.to_string()).unwrap();
    let names: Vec<_> = contract.data.statistics.iter().map(|of| &of.name).collect();
    let action = json!({"dtype": "float32", "shape": [names.len()], "names": names});
    let info = json!({"codebase_version": "v3.0", "fps": contract.data.fps, "features": {"action": action}});
    std::fs::write(directory.path().join("meta/info.json"), info.to_string()).unwrap();
    directory
}

#[track_caller]
fn other_data(with: impl FnOnce(&Path), expected: &[&str]) {
    let directory = checkpoint(7);
    let data = dataset(directory.path());
    with(data.path());
    named(&check_with(directory.path(), (Some(data.path()), &[])), expected);
}

#[test]
fn a_data_set_it_was_trained_on() {
    let directory = checkpoint(7);
    let data = dataset(directory.path());
    let report = check_with(directory.path(), (Some(data.path()), &[]));
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.to_string().contains("2.0 % outside q01 to q99"), "{report}");
    assert!(report.to_string().contains("no frame was read"));
}

#[test]
fn a_data_set_whose_values_are_in_another_order_is_compared_by_their_names() {
    let directory = checkpoint(7);
    let data = dataset(directory.path());
    change(&data.path().join("meta/info.json"), |json| {
        json["features"]["action"]["names"]
            .as_array_mut()
            .unwrap()
            .rotate_right(1)
    });
    change(&data.path().join("meta/stats.json"), |json| {
        for (name, values) in json["action"].as_object_mut().unwrap() {
            if name != "count" {
                values.as_array_mut().unwrap().rotate_right(1);
            }
        }
    });
    let report = check_with(directory.path(), (Some(data.path()), &[]));
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.to_string().contains("x = x [1]"), "{report}");
    other_data(
        |at| {
            change(&at.join("meta/info.json"), |json| {
                json["features"]["action"]["names"][0] = json!("joint_1")
            })
        },
        &["column action", "found joint_1, y", "and no x"],
    );
}

#[test]
fn a_data_set_without_a_contract() {
    let directory = checkpoint(7);
    let data = dataset(directory.path());
    std::fs::remove_file(data.path().join("contract.yaml")).unwrap();
    let report = check_with(directory.path(), (Some(data.path()), &[]));
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.to_string().contains("says nothing of robot"), "{report}");
    change(&data.path().join("meta/info.json"), |json| json["fps"] = json!(30));
    named(
        &check_with(directory.path(), (Some(data.path()), &[])),
        &["data.fps", "expected 10", "found 30"],
    );
}

#[test]
fn a_data_set_of_another_robot() {
    other_data(
        |at| contract(at, |c| c.robot.arm = "rm65".into()),
        &["robot.arm", "rm75", "rm65"],
    );
}

#[test]
fn a_data_set_of_other_cameras() {
    other_data(
        |at| contract(at, |c| c.robot.cameras.reverse()),
        &["robot.cameras[0].name", "top", "wrist"],
    );
}

#[test]
fn a_data_set_of_another_rate() {
    other_data(
        |at| contract(at, |c| c.data.fps = 20.0),
        &["data.fps", "expected 10", "found 20"],
    );
}

#[test]
fn a_data_set_of_larger_motions() {
    other_data(
        |at| {
            change(&at.join("meta/stats.json"), |json| {
                json["action"]["q99"][0] = json!(0.08);
                json["action"]["max"][0] = json!(0.1);
            });
        },
        &[
            "data set, x",
            "outside the checkpoint's q01 to q99",
            "trained on other data",
        ],
    );
}
